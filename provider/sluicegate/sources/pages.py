"""How one page of an API leads to the next. Pure: answers in, where to ask next out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sluicegate.faults import fault
from sluicegate.pipeline.keys.fetch import Pages
from sluicegate.sources.answer import as_written, pick

__all__ = ["Answered", "State", "first_state", "next_state", "params_of"]

State = Mapping[str, Any]
"""Where to ask: `{"url": …}`, `{"cursor": …}`, `{"page": 3}` or `{"offset": 200}`."""


@dataclass(frozen=True)
class Answered:
    """What a page said: its body, how many records are in it, and the address in its `Link` header."""

    body: Any
    records: int
    link: str | None = None


def first_state(pages: Pages | None) -> State:
    if pages is not None and pages.by in {"page", "offset"}:
        usual = 1 if pages.by == "page" else 0
        return {pages.by: usual if pages.first is None else pages.first}
    return {}


def params_of(pages: Pages | None, state: State) -> dict[str, Any]:
    """The parameters that ask for the page at `state`. An address says all by itself."""
    if pages is None or "url" in state:
        return {}
    params: dict[str, Any] = {}
    if pages.size is not None:
        params[pages.size_param or ("per_page" if pages.by == "page" else "limit")] = pages.size
    for key in ("cursor", "page", "offset"):
        if key in state:
            params[pages.param or key] = state[key]
    return params


def next_state(pages: Pages | None, state: State, answered: Answered) -> State | None:
    """Where the next page is; None after the last one.

    A page without records ends what is counted, unless the answer says how many pages there are. A page that is not
    full ends nothing: servers hand out fewer than asked for. What leads on by itself ends when it leads nowhere.

    :raises FaultError: SOURCE_REJECTED when the next page is this one.
    """
    if pages is None:
        return None
    found: State | None
    match pages.by:
        case "link":
            found = {"url": answered.link} if answered.link else None
        case "cursor" | "next_url":
            key = "cursor" if pages.by == "cursor" else "url"
            value = as_written(pick(answered.body, pages.path or ""))
            if not isinstance(value, str | int) or isinstance(value, bool):
                value = None
            found = {key: value} if value not in (None, "") else None
        case "page":
            number = int(state["page"])
            last = pick(answered.body, pages.path) if pages.path is not None else None
            if (isinstance(last, int) and not isinstance(last, bool)) or (isinstance(last, str) and last.isdecimal()):
                first = int(first_state(pages)["page"])
                more = number - first + 1 < int(last)
            else:
                more = answered.records > 0
            found = {"page": number + 1} if more else None
        case "offset":
            found = {"offset": int(state["offset"]) + answered.records} if answered.records else None
    if found is not None and found == state:
        raise fault("SOURCE_REJECTED", f"the page at {dict(state)} names itself as the next one")
    return found

"""The pages of an API, one after the other, each with where to go on."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sluicegate.faults import FaultError, classify, fault
from sluicegate.pipeline.keys.fetch import Fetched, seconds_of
from sluicegate.sources.answer import NotRecordsError, line_of, parse, records_of, text_of
from sluicegate.sources.pages import Answered, State, first_state, next_state, params_of
from sluicegate.storage.web import Web, shown_url, shown_words

if TYPE_CHECKING:
    import httpx

__all__ = ["Api", "Page", "rendered"]

_SHOWN = 200


@dataclass(frozen=True)
class Page:
    """Its records, each a line of JSON, and from where to go on after it; None after the last."""

    lines: tuple[str, ...]
    state: State | None


@dataclass
class Api:
    """`asked` is rendered. `web` has the credentials."""

    asked: Fetched
    web: Web
    clock: Callable[[], float] = time.monotonic
    _last: float | None = field(default=None, repr=False)

    def pages(self, state: State | None = None) -> Iterator[Page]:
        """The pages from `state` on, or from the first.

        :raises FaultError: SOURCE_REJECTED when pages lead around in a circle, SOURCE_UNREADABLE when an answer is not
            what it should be, and what `Web.open` says of requests that fail.
        """
        pages = self.asked.pages
        most = 1 if pages is None else pages.most
        now: State | None = state if state is not None else first_state(pages)
        seen: set[bytes] = set()
        before = b""
        for number in range(1, most + 1):
            assert now is not None
            mark = _digest(sorted(now.items()))
            if mark in seen:
                raise fault("SOURCE_REJECTED", f"{self._shown()}: page {number} leads to a page that was read before")
            seen.add(mark)
            page, content = self._page(now, is_first=state is None and number == 1)
            counted = pages is not None and pages.by in {"page", "offset"}
            if counted and page.lines and content == before:
                why = f"page {number} is the one before once more; does the server know {params_of(pages, now)}?"
                raise fault("SOURCE_REJECTED", f"{self._shown()}: {why}")
            before = content
            yield page
            if (now := page.state) is None:
                return
        raise fault("SOURCE_REJECTED", f"{self._shown()}: more than {most:,} pages (`most`), and still no last one")

    def _page(self, state: State, *, is_first: bool) -> tuple[Page, bytes]:
        # Behind the last page some servers have nothing, and others say that there is none.
        behind = not is_first and ("page" in state or "offset" in state)
        answer = self._answer(state, behind)
        if answer is None:
            return Page((), None), b""
        text = answer.text  # for messages: bytes that are not text are replaced in it
        try:
            body = parse(text_of(answer.content, answer.charset_encoding))
        except ValueError as error:
            raise self._unreadable(f"it does not answer with JSON ({error})", text, answer) from error
        try:
            records = records_of(body, self.asked.records)
        except NotRecordsError as error:
            raise self._unreadable(str(error), text, answer) from error
        lines = tuple(line_of(record) for record in records)
        link = answer.links.get("next", {}).get("url")
        following = next_state(self.asked.pages, state, Answered(body, len(lines), link))
        if following is not None and "url" in following:
            following = {"url": self._address(str(following["url"]), str(answer.request.url))}
        return Page(lines, following), _digest(lines)

    def _answer(self, state: State, behind: bool) -> httpx.Response | None:
        """The answer with its body, asked for again where it breaks off; None where there is no such page."""
        made: dict[str, Any] = {"headers": {"Accept": "application/json", **self.asked.headers}}
        if "url" not in state:
            made["params"] = {**self.asked.params, **params_of(self.asked.pages, state)}
        if self.asked.body is not None:
            made["json"] = dict(self.asked.body)
        url = str(state.get("url", self.asked.api))
        for attempt in range(1, self.web.attempts + 1):
            self._pace()
            try:
                method = "GET" if self.asked.body is None else "POST"
                with self.web.open(method, url, accept=lambda one: behind and one.status_code == 404, **made) as answer:
                    if not answer.is_success:
                        return None
                    answer.read()
                    return answer
            except FaultError:
                raise
            except Exception as error:
                found = classify(error)
                if found.code not in {"NETWORK", "TIMED_OUT"} or attempt == self.web.attempts:
                    raise fault(found.code, f"{self._shown()}: {self.web.credentials.masked(found.detail)}") from error
        raise AssertionError("the last attempt raises")

    def _pace(self) -> None:
        """Wait until the next request may be made."""
        if self.asked.rate is None:
            return
        if self._last is not None and (left := self._last + seconds_of(self.asked.rate) - self.clock()) > 0:
            self.web.sleep(left)
        self._last = self.clock()

    def _address(self, url: str, base: str) -> str:
        """The address of a next page, as it may be kept: on the same server, without what the connection adds."""
        import httpx

        here = httpx.URL(base)
        there = here.join(url)
        if (there.scheme, there.host, there.port) != (here.scheme, here.host, here.port):
            raise fault(
                "SOURCE_REJECTED", f"{self._shown()}: its next page is on another server, {shown_url(str(there))}"
            )
        for name in self.web.credentials.query:
            there = there.copy_remove_param(name)
        return str(there)

    def _unreadable(self, why: str, text: str, answer: httpx.Response) -> FaultError:
        kind = answer.headers.get("Content-Type", "no type")
        words = shown_words(" ".join(text.split()), answer, self.web.credentials)[:_SHOWN]
        return fault("SOURCE_UNREADABLE", f"{self._shown()}: {why}; HTTP {answer.status_code}, {kind}: {words}")

    def _shown(self) -> str:
        return shown_url(str(self.asked.api))


def _digest(value: object) -> bytes:
    return hashlib.sha256(repr(value).encode("utf-8", "surrogatepass")).digest()[:12]


def rendered(asked: Fetched, render: Callable[[str], str]) -> Fetched:
    """`asked` with its templates filled in."""

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return render(value)
        if isinstance(value, Mapping):
            return {key: filled(each) for key, each in value.items()}
        return [filled(each) for each in value] if isinstance(value, list | tuple) else value

    made = {key: filled(getattr(asked, key)) for key in ("api", "params", "headers", "body")}
    return asked.model_copy(update=made)

"""Lists that come in pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sluicegate.api.answers import Fields
from sluicegate.api.client import Client, Query

__all__ = ["by_cursor", "by_offset", "by_search"]

_PAGE = 100
"""The most that Airflow gives at once unless its `[api] maximum_page_limit` says otherwise."""
_SEARCH_PAGE = 5000
"""A search has no such limit. So many task instances are about 10 MB, and take Airflow about three seconds."""


def by_cursor(client: Client, where: str, name: str, query: Query) -> Iterator[object]:
    """Every entry of the list `name`; what begins or ends meanwhile moves none of the others to another page."""
    cursor: str | None = ""
    while cursor is not None:
        page = Fields(client.get(where, {**query, "limit": _PAGE, "cursor": cursor}))
        yield from page.entries(name)
        cursor = page.text_or_none("next_cursor")


def by_offset(client: Client, where: str, name: str, query: Query) -> Iterator[object]:
    """Every entry of the list `name`, where Airflow has no cursor."""
    offset = 0
    while True:
        page = Fields(client.get(where, {**query, "limit": _PAGE, "offset": offset}))
        entries = page.entries(name)
        yield from entries
        offset += len(entries)
        if not entries or offset >= page.number("total_entries"):
            return


def by_search(client: Client, where: str, name: str, body: Mapping[str, object]) -> Iterator[object]:
    """Every entry of the list `name` that `POST where` finds; for task instances each page leaves an audit row."""
    offset = 0
    while True:
        asked = {"order_by": "id", **body, "page_limit": _SEARCH_PAGE, "page_offset": offset}
        page = Fields(client.post(where, asked, repeatable=True))
        entries = page.entries(name)
        yield from entries
        offset += len(entries)
        if len(entries) < _SEARCH_PAGE:
            return

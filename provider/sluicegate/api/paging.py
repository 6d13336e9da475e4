"""Lists that come in pages."""

from __future__ import annotations

from collections.abc import Iterator

from sluicegate.api.answers import Fields
from sluicegate.api.client import Client, Query

__all__ = ["by_cursor", "by_offset"]

_PAGE = 100
"""The most that Airflow gives at once unless its `[api] maximum_page_limit` says otherwise."""


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

"""Statements of DuckDB that come again, parsed: of what a small load asks, parsing is a quarter of the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, Statement

__all__ = ["execute"]

_KEPT = 400_000
"""Characters of all texts that are kept. Parsed, each of them takes 25 bytes."""
_LONG = 50_000
"""Characters of a text that is not kept."""

_known: dict[str, list[Statement]] = {}


def execute(duck: DuckDBPyConnection, text: str) -> DuckDBPyConnection:
    """Execute the statements of `text`; the last one's rows are to be fetched."""
    for statement in _statements(duck, text):
        duck.execute(statement)
    return duck


def _statements(duck: DuckDBPyConnection, text: str) -> list[Statement]:
    """The statements of `text`, which any DuckDB may execute, as often as it likes: names are looked up then."""
    if (known := _known.get(text)) is not None:
        return known
    found = duck.extract_statements(text)
    if len(text) <= _LONG:
        if sum(map(len, list(_known))) + len(text) > _KEPT:
            _known.clear()
        _known[text] = found
    return found

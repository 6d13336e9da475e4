"""Statements of DuckDB that come again, parsed: of a small load's largest one that is a third of the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, Statement

__all__ = ["parsed"]

_KEPT = 16
_LONG = 50_000
"""Characters of a statement that is not kept."""

_known: dict[str, Statement] = {}


def parsed(duck: DuckDBPyConnection, text: str) -> Statement:
    """The one statement of `text`, which any DuckDB may execute, as often as it likes: names are looked up then."""
    if (known := _known.get(text)) is not None:
        return known
    [statement] = duck.extract_statements(text)
    if len(text) <= _LONG:
        if len(_known) >= _KEPT:
            _known.clear()
        _known[text] = statement
    return statement

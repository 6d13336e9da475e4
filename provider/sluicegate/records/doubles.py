"""Columns that DuckDB takes for doubles although a double would not give their numbers back digit by digit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from sluicegate.checks.sql import literal, name_of
from sluicegate.records.exact import as_double

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["exact_types"]

_WIDEST = 38
"""Digits of DuckDB's widest DECIMAL."""


def exact_types(
    duck: DuckDBPyConnection, texts: str, arguments: Mapping[str, object], names: Sequence[str], point: str = "."
) -> dict[str, str]:
    """DuckDB's type for each of the columns `names` that a double would change: a DECIMAL, else VARCHAR.

    :param texts: a query whose columns are the numbers as they are written
    :param point: the decimal separator
    """
    written = [f"replace(CAST({name_of(name)} AS VARCHAR), {literal(point)}, '.')" for name in names]
    changed = _row(duck, (f"count(*) FILTER (NOT {as_double(text)})" for text in written), texts, arguments)
    inexact = [(name, text) for name, text, count in zip(names, written, changed, strict=True) if count]
    room = _row(duck, (one for _, text in inexact for one in _room(f"ltrim({text}, '+- ')")), texts, arguments)
    each = zip(inexact, room[::3], room[1::3], room[2::3], strict=True)
    return {name: _type(odd, before, behind) for (name, _), odd, before, behind in each}


def _room(digits: str) -> tuple[str, str, str]:
    """SQL of how many texts are not plain numbers, and of the most digits before and behind the point."""
    odd = rf"count(*) FILTER (NOT regexp_full_match({digits}, '[0-9]*\.?[0-9]*'))"
    before = f"max(length(ltrim(regexp_extract({digits}, '[0-9]*', 0), '0')))"
    return odd, before, rf"max(length(regexp_extract({digits}, '\.([0-9]*)', 1)))"


def _type(odd: int, before: int, behind: int) -> str:
    return "VARCHAR" if odd or before + behind > _WIDEST else f"DECIMAL({_WIDEST},{behind})"


def _row(
    duck: DuckDBPyConnection, asked: Iterable[str], texts: str, arguments: Mapping[str, object]
) -> tuple[int, ...]:
    """What all of `asked` come to in one pass; nothing where nothing is asked."""
    if not (some := list(asked)):
        return ()
    row = duck.cursor().execute(f"SELECT {', '.join(some)} {texts}", dict(arguments)).fetchone()
    assert row is not None
    return row

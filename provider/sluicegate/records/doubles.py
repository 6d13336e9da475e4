"""Columns that DuckDB takes for doubles although a double would not give their numbers back digit by digit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    found = {}
    for name in names:
        text = f"replace(CAST({name_of(name)} AS VARCHAR), {literal(point)}, '.')"
        [changed] = _row(
            duck, f"SELECT count(*) FILTER (NOT {as_double('t')}) FROM (SELECT {text} AS t {texts})", arguments
        )
        if changed:
            found[name] = _wide_enough(duck, f"(SELECT {text} AS t {texts})", arguments)
    return found


def _wide_enough(duck: DuckDBPyConnection, texts: str, arguments: Mapping[str, object]) -> str:
    places = r"length(regexp_extract(t, '\.([0-9]*)', 1))"
    whole = "length(ltrim(regexp_extract(t, '[0-9]*', 0), '0'))"
    odd, before, behind = _row(
        duck,
        rf"SELECT count(*) FILTER (NOT regexp_full_match(t, '[+-]?[0-9]*\.?[0-9]*')), max({whole}), max({places}) "
        f"FROM (SELECT ltrim(t, '+- ') AS t FROM {texts})",
        arguments,
    )
    return "VARCHAR" if odd or before + behind > _WIDEST else f"DECIMAL({_WIDEST},{behind})"


def _row(duck: DuckDBPyConnection, query: str, arguments: Mapping[str, object]) -> tuple[int, ...]:
    row = duck.cursor().execute(query, dict(arguments)).fetchone()
    assert row is not None
    return row

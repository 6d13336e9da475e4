"""What a merge would change, for a dry run: by column, how many rows, and some of them before and after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sluicegate.targets.parquet.statements import Layout
from sluicegate.targets.target import Change, Changes

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["changes_of"]

_SAMPLE = 5
"""Rows of each kind."""


def changes_of(duck: DuckDBPyConnection, layout: Layout, rows: str, *, with_fates: bool) -> Changes:
    """The changes that the records of `incoming` would make to `rows`."""
    counts: dict[str, int] = {}
    sample: list[Change] = []
    if with_fates and layout.others:
        joined = (
            "(SELECT * FROM fates WHERE fate = 'updated') f JOIN incoming s ON s.row = f.s_row "
            f"JOIN ({rows}) t ON t.file = f.file AND t.row = f.row"
        )
        counts = _counts(duck, layout, joined)
        sample = _updates(duck, layout, joined)
    new = "JOIN (SELECT s_row FROM fates WHERE fate = 'inserted') f ON f.s_row = s.row" if with_fates else ""
    sample += _inserts(duck, layout, f"incoming s {new} ORDER BY s.row LIMIT {_SAMPLE}")
    return Changes({name: count for name, count in counts.items() if count}, tuple(sample))


def _counts(duck: DuckDBPyConnection, layout: Layout, joined: str) -> dict[str, int]:
    each = ", ".join(
        f"count(*) FILTER (WHERE {layout.identity('t', name)} IS DISTINCT FROM {layout.identity('s', name)})"
        for name in layout.others
    )
    row = duck.execute(f"SELECT {each} FROM {joined}").fetchone()
    assert row is not None
    return dict(zip(layout.others, map(int, row), strict=True))


def _updates(duck: DuckDBPyConnection, layout: Layout, joined: str) -> list[Change]:
    others, keys = layout.others, len(layout.key)
    values = [*_texts(layout, "s", layout.key), *_texts(layout, "t", others), *_texts(layout, "s", others)]
    found = []
    query = f"SELECT {', '.join(values)} FROM {joined} ORDER BY f.s_row LIMIT {_SAMPLE}"
    for row in duck.execute(query).fetchall():
        before = dict(zip(others, row[keys : keys + len(others)], strict=True))
        after = dict(zip(others, row[keys + len(others) :], strict=True))
        differ = [name for name in others if before[name] != after[name]]
        found.append(
            Change(
                dict(zip(layout.key, row[:keys], strict=True)),
                {name: before[name] for name in differ},
                {name: after[name] for name in differ},
            )
        )
    return found


def _inserts(duck: DuckDBPyConnection, layout: Layout, rest: str) -> list[Change]:
    names = [name for name in layout.columns if name in layout.brought]
    texts = ", ".join(_texts(layout, "s", names))
    rows = [dict(zip(names, row, strict=True)) for row in duck.execute(f"SELECT {texts} FROM {rest}").fetchall()]
    return [Change({name: row[name] for name in layout.key}, None, row) for row in rows]


def _texts(layout: Layout, alias: str, names: Sequence[str]) -> list[str]:
    return [f"CAST({alias}.{layout.places[name]} AS VARCHAR)" for name in names]

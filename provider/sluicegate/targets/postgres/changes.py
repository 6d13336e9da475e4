"""What a merge would change, for a dry run: by column, how many rows, and some of them before and after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from sluicegate.pipeline.keys.model import Mode
from sluicegate.targets.postgres.merge import GONE, STAGE, changes, comparable, same_key
from sluicegate.targets.target import Change, Changes, Merge

__all__ = ["changes_of"]

_SAMPLE = 5
"""Rows of each kind."""


def changes_of(connection: psycopg.Connection[tuple[Any, ...]], table: sql.Identifier, merge: Merge) -> Changes:
    """The changes that the records of the stage would make. Asked before they are made."""
    by_key = merge.mode in {Mode.MERGE, Mode.INSERT_ONLY}
    others = [name for name in merge.columns if name not in merge.key]
    joined = sql.SQL("{} AS s JOIN {} AS t ON {}").format(STAGE, table, same_key(merge)) if by_key else None
    counts: dict[str, int] = {}
    sample: list[Change] = []
    if joined is not None and merge.mode is Mode.MERGE and others:
        changed = changes(merge, others)
        if merge.has_tombstones:
            changed = sql.SQL("NOT s.{} AND ({})").format(sql.Identifier(GONE), changed)
        counts = _counts(connection, joined, merge, others, changed)
        sample += _updates(connection, joined, merge, others, changed)
    sample += _inserts(connection, table, merge, by_key=by_key)
    return Changes({name: count for name, count in counts.items() if count}, tuple(sample))


def _counts(
    connection: psycopg.Connection[tuple[Any, ...]],
    joined: sql.Composable,
    merge: Merge,
    others: Sequence[str],
    changed: sql.Composable,
) -> dict[str, int]:
    each = sql.SQL(", ").join(
        sql.SQL("count(*) FILTER (WHERE {} IS DISTINCT FROM {})").format(
            *(comparable(alias, name, merge.columns) for alias in ("t", "s"))
        )
        for name in others
    )
    row = connection.execute(sql.SQL("SELECT {} FROM {} WHERE {}").format(each, joined, changed)).fetchone()
    assert row is not None
    return dict(zip(others, map(int, row), strict=True))


def _updates(
    connection: psycopg.Connection[tuple[Any, ...]],
    joined: sql.Composable,
    merge: Merge,
    others: Sequence[str],
    changed: sql.Composable,
) -> list[Change]:
    statement = sql.SQL("SELECT {} FROM {} WHERE {} LIMIT {}").format(
        sql.SQL(", ").join([*_texts("s", merge.key), *_texts("t", others), *_texts("s", others)]), joined, changed,
        sql.Literal(_SAMPLE),
    )  # fmt: skip
    found = []
    keys, count = len(merge.key), len(others)
    for row in connection.execute(statement).fetchall():
        before = dict(zip(others, row[keys : keys + count], strict=True))
        after = dict(zip(others, row[keys + count :], strict=True))
        differ = [name for name in others if before[name] != after[name]]
        found.append(
            Change(
                dict(zip(merge.key, row[:keys], strict=True)),
                {name: before[name] for name in differ},
                {name: after[name] for name in differ},
            )
        )
    return found


def _inserts(
    connection: psycopg.Connection[tuple[Any, ...]], table: sql.Identifier, merge: Merge, *, by_key: bool
) -> list[Change]:
    new: sql.Composable = sql.SQL("true")
    if by_key:
        new = sql.SQL("NOT EXISTS (SELECT FROM {} AS t WHERE {})").format(table, same_key(merge))
    if merge.has_tombstones:
        new = sql.SQL("{} AND NOT s.{}").format(new, sql.Identifier(GONE))
    names = list(merge.columns)
    statement = sql.SQL("SELECT {} FROM {} AS s WHERE {} LIMIT {}").format(
        sql.SQL(", ").join(_texts("s", names)), STAGE, new, sql.Literal(_SAMPLE)
    )
    rows = [dict(zip(names, row, strict=True)) for row in connection.execute(statement).fetchall()]
    return [Change({name: row[name] for name in merge.key}, None, row) for row in rows]


def _texts(alias: str, names: Sequence[str]) -> list[sql.Composable]:
    return [sql.SQL("{}::text").format(sql.Identifier(alias, name)) for name in names]

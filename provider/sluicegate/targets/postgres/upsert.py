"""The merge of a stage into a Postgres table, as SQL. Pure: names and types in, statements out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from psycopg import sql

from sluicegate.pipeline.keys.model import Mode
from sluicegate.records.types import ColumnType
from sluicegate.targets.target import Merge

__all__ = ["STAGE", "append", "identifiers", "stage_between", "stale", "upsert"]

STAGE = sql.Identifier("pg_temp", "sluicegate_stage")
_UPSERT = sql.SQL(
    "WITH merged AS (INSERT INTO {table} AS t ({columns}) SELECT {columns} FROM {stage} AS s "
    "ON CONFLICT ({key}) {action} RETURNING (t.xmax = 0) AS fresh) "
    "SELECT count(*) FILTER (WHERE fresh), count(*) FROM merged"
)
# A partitioned table does not say whether a row is new: what was not there before is.
_UPSERT_PARTITIONED = sql.SQL(
    "WITH merged AS (INSERT INTO {table} AS t ({columns}) SELECT {columns} FROM {stage} AS s "
    "ON CONFLICT ({key}) {action} RETURNING 1) "
    "SELECT (SELECT count(*) FROM {stage} AS s WHERE NOT EXISTS (SELECT FROM {table} AS t WHERE {same_key})), "
    "count(*) FROM merged"
)
_NO_EQUALITY = {"json", "xml", "point", "polygon", "path", "box", "line", "circle", "lseg"}


def upsert(table: sql.Identifier, merge: Merge, source: sql.Composable = STAGE, *, partitioned: bool) -> sql.Composed:
    """The merge from the stage; returns the numbers of inserted and of touched rows.

    The stage is read in the order it was written in, by key: the index is walked once, and two merges that
    do not know each other's lock take their row locks in the same order.
    """
    others = [name for name in merge.columns if name not in merge.key]
    if merge.mode is Mode.INSERT_ONLY or not others:
        action: sql.Composable = sql.SQL("DO NOTHING")
    else:
        assignments = sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in others)
        action = sql.SQL("DO UPDATE SET {} WHERE {}").format(assignments, _guard(merge, others))
    return (_UPSERT_PARTITIONED if partitioned else _UPSERT).format(
        table=table, columns=identifiers(merge.columns), stage=source, key=identifiers(merge.key), action=action,
        same_key=_same_key(merge),
    )  # fmt: skip


def append(table: sql.Identifier, merge: Merge, source: sql.Composable) -> sql.Composed:
    """All records of the stage as new rows; returns their number twice, as `upsert` would."""
    return sql.SQL(
        "WITH merged AS (INSERT INTO {table} ({columns}) SELECT {columns} FROM {stage} AS s RETURNING 1) "
        "SELECT count(*), count(*) FROM merged"
    ).format(table=table, columns=identifiers(merge.columns), stage=source)


def stage_between(position: str, low: int, high: int) -> sql.Composed:
    """The stage's records from `low` to before `high` by the column `position`, in that order."""
    return sql.SQL("(SELECT * FROM {0} WHERE {1} >= {2} AND {1} < {3} ORDER BY {1})").format(
        STAGE, sql.Identifier(position), sql.Literal(low), sql.Literal(high)
    )


def stale(table: sql.Identifier, merge: Merge) -> sql.Composed:
    """The number of the stage's records that are older than the table's."""
    older, newer = (version_of(alias, merge) for alias in ("s", "t"))
    return sql.SQL("SELECT count(*) FROM {} s JOIN {} t ON {} WHERE {}").format(
        STAGE, table, _same_key(merge), is_newer(newer, older)
    )


def _same_key(merge: Merge) -> sql.Composed:
    return sql.SQL(" AND ").join(sql.SQL("s.{0} = t.{0}").format(sql.Identifier(name)) for name in merge.key)


def _guard(merge: Merge, others: Sequence[str]) -> sql.Composable:
    """When an existing row gives way: to a newer version, or to another content of the same version."""
    rows = [
        sql.SQL(", ").join(_comparable(alias, name, merge.columns[name]) for name in others)
        for alias in ("t", "excluded")
    ]
    differs = sql.SQL("({}) IS DISTINCT FROM ({})").format(*rows)
    if merge.newest_by is None:
        return differs
    mine, theirs = version_of("excluded", merge), version_of("t", merge)
    return sql.SQL("({} OR ({} IS NOT DISTINCT FROM {} AND {}))").format(is_newer(mine, theirs), mine, theirs, differs)


def is_newer(one: sql.Composable, other: sql.Composable) -> sql.Composable:
    """Whether `one` is a later version than `other`; no version is the earliest."""
    return sql.SQL("({0} > {1} OR ({1} IS NULL AND {0} IS NOT NULL))").format(one, other)


def version_of(alias: str, merge: Merge) -> sql.Composable:
    assert merge.newest_by is not None
    value = sql.Identifier(alias, merge.newest_by)
    # DuckDB, which picked the newest within the file, compares texts by their bytes.
    is_text = merge.columns[merge.newest_by].name in {"text", "varchar", "char"}
    return sql.SQL('{} COLLATE "C"').format(value) if is_text else value


def _comparable(alias: str, name: str, type_: ColumnType) -> sql.Composable:
    value = sql.Identifier(alias, name)
    without = type_.name in _NO_EQUALITY or type_.native in _NO_EQUALITY
    return sql.SQL("{}::text").format(value) if without else value


def identifiers(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)

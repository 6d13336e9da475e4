"""The merge of a stage into a Postgres table, as SQL. Pure: names and types in, statements out.

One MERGE reads the table's keys once, and of a row that is there only what decides whether it changes. It does not
say what it did with a record, so that its conditions count: a temporary sequence for each kind of outcome that the
number of changed rows does not give away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Flag

from psycopg import sql

from sluicegate.pipeline.keys.model import Mode
from sluicegate.records.types import ColumnType
from sluicegate.targets.target import Merge, Replaced

__all__ = [
    "GONE", "STAGE", "Cases", "append", "changes", "comparable", "counters", "create_counters", "identifiers",
    "is_newer", "merge_into", "remove", "same_key", "stage_between", "version_of",
]  # fmt: skip

STAGE = sql.Identifier("pg_temp", "sluicegate_stage")
GONE = "sluicegate_gone"
"""The stage's column that says that a record deletes the row of its key."""
_COUNTED = ("inserted", "stale", "deleted")
_TEXTS = {"text", "varchar", "char"}


class Cases(Flag):
    """Which records a merge looks at: those whose key is there, or is new."""

    THERE = 1
    NEW = 2
    ALL = 3


def merge_into(
    table: sql.Identifier,
    merge: Merge,
    source: sql.Composable = STAGE,
    cases: Cases = Cases.ALL,
    within: sql.Composable | None = None,
) -> sql.Composed:
    """The merge from the stage, which changes as many rows as it says.

    :param within: a condition that every row meets that has the key of a record.

    The stage is read in the order it was written in, by key: rows of a table that was loaded in that order are
    fetched one after the other, and two merges that do not know each other's lock take their row locks in one order.
    """
    on = same_key(merge) if within is None else sql.SQL("{} AND {}").format(same_key(merge), within)
    return sql.SQL("MERGE INTO {} AS t USING {} AS s ON {} {}").format(
        table, source, on, sql.SQL(" ").join(_cases(merge, cases))
    )


def _cases(merge: Merge, cases: Cases) -> Iterable[sql.Composable]:
    if Cases.THERE in cases:
        yield from _there(merge)
    # A MERGE has to have a case.
    yield _new(merge) if Cases.NEW in cases else sql.SQL("WHEN MATCHED THEN DO NOTHING")


def _there(merge: Merge) -> Iterable[sql.Composable]:
    others = [name for name in merge.columns if name not in merge.key]
    if merge.mode is not Mode.INSERT_ONLY:
        if merge.newest_by is not None:
            older = is_newer(version_of("t", merge, merge.newest_by), version_of("s", merge, merge.newest_by))
            yield sql.SQL("WHEN MATCHED AND {} THEN DO NOTHING").format(_counted("stale", older))
        if merge.has_tombstones:
            yield sql.SQL("WHEN MATCHED AND {} THEN DELETE").format(_counted("deleted", sql.Identifier("s", GONE)))
        if others:
            assignments = sql.SQL(", ").join(sql.SQL("{0} = s.{0}").format(sql.Identifier(name)) for name in others)
            yield sql.SQL("WHEN MATCHED AND {} THEN UPDATE SET {}").format(changes(merge, others), assignments)


def _new(merge: Merge) -> sql.Composable:
    fresh = sql.SQL("NOT {}").format(sql.Identifier("s", GONE)) if merge.has_tombstones else sql.SQL("true")
    values = sql.SQL(", ").join(sql.Identifier("s", name) for name in merge.columns)
    return sql.SQL("WHEN NOT MATCHED AND {} THEN INSERT ({}) VALUES ({})").format(
        _counted("inserted", fresh), identifiers(merge.columns), values
    )


def _counted(name: str, condition: sql.Composable) -> sql.Composable:
    """`condition`, which is counted each time that it holds. Only CASE promises that nothing else is."""
    counter = sql.Literal(f"pg_temp.sluicegate_{name}")
    return sql.SQL("CASE WHEN {} THEN nextval({}) >= 0 ELSE false END").format(condition, counter)


def create_counters(merge: Merge) -> sql.Composed:
    """Make the counters that the merge needs, of which each is at 0 once it was asked."""
    each = sql.SQL(
        "CREATE TEMP SEQUENCE IF NOT EXISTS {name} MINVALUE 0 START 0; "
        "SELECT nextval({path}) FROM {name} WHERE NOT is_called"
    )
    return sql.SQL("; ").join(
        each.format(name=sql.Identifier(f"sluicegate_{name}"), path=sql.Literal(f"pg_temp.sluicegate_{name}"))
        for name in _counters(merge)
    )


def counters(merge: Merge) -> sql.Composed:
    """The array of what was counted so far: inserted, stale, deleted."""
    needed = _counters(merge)
    each = (
        sql.SQL("(SELECT last_value FROM {})").format(sql.Identifier("pg_temp", f"sluicegate_{name}"))
        if name in needed
        else sql.SQL("0")
        for name in _COUNTED
    )
    return sql.SQL("ARRAY[{}]").format(sql.SQL(", ").join(each))


def _counters(merge: Merge) -> list[str]:
    needed = {"inserted": True, "stale": merge.newest_by is not None, "deleted": merge.has_tombstones}
    if merge.mode in {Mode.APPEND, Mode.REPLACE_WINDOW}:
        return []
    return [name for name in _COUNTED if needed[name]]


def append(table: sql.Identifier, merge: Merge, source: sql.Composable) -> sql.Composed:
    """All records of the stage as new rows."""
    columns = identifiers(merge.columns)
    return sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} AS s").format(table, columns, columns, source)


def remove(table: sql.Identifier, replaced: Replaced) -> sql.Composed:
    """The deletion of rows that are replaced.

    Without parameters: psycopg takes a `%` in a name for one. A value of the scope is a text, which becomes of the
    column's type as the records' own values do.
    """
    ends = (sql.Literal(end) for end in (replaced.start, replaced.end))
    parts: list[sql.Composable] = [sql.SQL("{0} >= {1} AND {0} < {2}").format(sql.Identifier(replaced.column), *ends)]
    for name, some in replaced.scope.items():
        alternatives = [
            sql.SQL("{} IS NULL").format(sql.Identifier(name))
            if value is None
            else sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value))
            for value in some
        ]
        parts.append(sql.SQL("({})").format(sql.SQL(" OR ").join(alternatives) if alternatives else sql.SQL("false")))
    return sql.SQL("DELETE FROM {} WHERE {}").format(table, sql.SQL(" AND ").join(parts))


def stage_between(position: str, low: int, high: int) -> sql.Composed:
    """The stage's records from `low` to before `high` by the column `position`, in that order."""
    return sql.SQL("(SELECT * FROM {0} WHERE {1} >= {2} AND {1} < {3} ORDER BY {1})").format(
        STAGE, sql.Identifier(position), sql.Literal(low), sql.Literal(high)
    )


def same_key(merge: Merge) -> sql.Composed:
    return sql.SQL(" AND ").join(sql.SQL("s.{0} = t.{0}").format(sql.Identifier(name)) for name in merge.key)


def changes(merge: Merge, others: Sequence[str]) -> sql.Composable:
    """When an existing row gives way: to a newer version, or to another content of the same version."""
    rows = [sql.SQL(", ").join(comparable(alias, name, merge.columns) for name in others) for alias in ("t", "s")]
    differs = sql.SQL("({}) IS DISTINCT FROM ({})").format(*rows)
    if merge.newest_by is None:
        return differs
    mine, theirs = (version_of(alias, merge, merge.newest_by) for alias in ("s", "t"))
    return sql.SQL("({} OR ({} IS NOT DISTINCT FROM {} AND {}))").format(is_newer(mine, theirs), mine, theirs, differs)


def is_newer(one: sql.Composable, other: sql.Composable) -> sql.Composable:
    """Whether `one` is a later version than `other`; no version is the earliest."""
    return sql.SQL("({0} > {1} OR ({1} IS NULL AND {0} IS NOT NULL))").format(one, other)


def version_of(alias: str, merge: Merge, newest_by: str) -> sql.Composable:
    value = sql.Identifier(alias, newest_by)
    # DuckDB, which picked the newest within the file, compares texts by their bytes.
    is_text = merge.columns[newest_by].name in _TEXTS
    return sql.SQL('{} COLLATE "C"').format(value) if is_text else value


def comparable(alias: str, name: str, columns: Mapping[str, ColumnType]) -> sql.Composable:
    """What of a value differs from that of any other. Types of Postgres' own may have no equality (`json`, `point[]`),
    or take for equal what is written otherwise: `citext`, an interval of a day and one of 24 hours.
    """
    value, type_ = sql.Identifier(alias, name), columns[name]
    if type_.name in _TEXTS:  # whose collation may ignore case or accents
        return sql.SQL('{} COLLATE "C"').format(value)
    by_text = type_.name == "json" or (type_.name == "foreign" and type_.native != "bytea")
    return sql.SQL("{}::text").format(value) if by_text else value


def identifiers(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)

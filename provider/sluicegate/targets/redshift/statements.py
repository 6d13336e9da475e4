"""The SQL of a load into Redshift: COPY of staged Parquet from S3, MERGE, counts by query. Pure: values in, text out.

All of it is one transaction of the table's database, which has the ledger too. Redshift enforces no key and has no
`IS DISTINCT FROM`, no conditions in MERGE, and no COPY that skips what a table refuses: keys are checked and records
counted by queries, and what the merge is to do is decided in the staging table before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sluicegate.checks.sql import literal, name_of
from sluicegate.pipeline.keys.model import Mode
from sluicegate.records.types import ColumnType
from sluicegate.targets.target import Replaced

__all__ = [
    "FATE",
    "GONE",
    "STAGE",
    "copy_in",
    "counts",
    "create_stage",
    "create_table",
    "decide",
    "delete_window",
    "merge",
    "twice",
    "type_name",
]  # fmt: skip

STAGE = "sluicegate_stage"
GONE = "sluicegate_gone"
"""The staging table's column that says that a record deletes the row of its key."""
FATE = "sluicegate_fate"
"""And that of what becomes of a record."""
_TYPES = {
    "text": "varchar(65535)", "json": "super", "jsonb": "super", "uuid": "varchar(36)", "double": "double precision",
}  # fmt: skip


def type_name(type_: ColumnType) -> str:
    """What Redshift calls a type. It has no uuid, and an unbounded text is its widest varchar."""
    if type_.native is not None:
        return type_.native
    if type_.name == "numeric" and type_.precision is None:
        return "numeric(38,10)"
    if type_.length is not None:
        return f"{type_.name}({type_.length})"
    if type_.name in {"time", "timestamp", "timestamptz"}:
        return type_.name  # always with microseconds
    return _TYPES.get(type_.name, type_.name) + type_.digits


def create_table(table: str, columns: Mapping[str, ColumnType], key: Sequence[str]) -> str:
    """:param table: with its schema, quoted."""
    parts = [f"{name_of(name)} {type_name(type_)}" for name, type_ in columns.items()]
    if key:
        # Not enforced: the planner takes it for true, which the checks of each load see to.
        parts.append(f"PRIMARY KEY ({_names(key)})")
    return f"CREATE TABLE {table} ({', '.join(parts)})"


def create_stage(columns: Mapping[str, ColumnType], *, has_tombstones: bool) -> str:
    parts = [f"{name_of(name)} {type_name(type_)}" for name, type_ in columns.items()]
    parts += [f"{GONE} boolean"] * has_tombstones + [f"{FATE} varchar(9)"]
    return f"CREATE TEMPORARY TABLE {STAGE} ({', '.join(parts)})"


def copy_in(columns: Sequence[str], uri: str, role: str, *, has_tombstones: bool) -> str:
    """COPY of the Parquet file at `uri`, with the rights of an IAM role."""
    names = [*map(name_of, columns), *([GONE] if has_tombstones else [])]
    return f"COPY {STAGE} ({', '.join(names)}) FROM {literal(uri)} IAM_ROLE {literal(role)} FORMAT AS PARQUET"


def twice(table: str, key: Sequence[str]) -> str:
    """Keys that the table has more than once: with one of them, no merge is safe."""
    return f"SELECT {_names(key)} FROM {table} GROUP BY {_names(key)} HAVING count(*) > 1 LIMIT 5"


def decide(
    table: str,
    columns: Sequence[str],
    key: Sequence[str],
    mode: Mode,
    newest_by: str | None,
    *,
    has_tombstones: bool,
) -> list[str]:
    """Write the fate of each record into the staging table: `inserted`, `updated`, `unchanged`, `stale`, `deleted`."""
    fresh = f"CASE WHEN {GONE} THEN 'unchanged' ELSE 'inserted' END" if has_tombstones else "'inserted'"
    first = f"UPDATE {STAGE} SET {FATE} = {fresh}"
    if mode in {Mode.APPEND, Mode.REPLACE_WINDOW}:
        return [f"UPDATE {STAGE} SET {FATE} = 'inserted'"]
    others = [name for name in columns if name not in key]
    cases = []
    if mode is Mode.MERGE:
        if newest_by is not None:
            cases.append(f"WHEN {_is_newer('t', STAGE, newest_by)} THEN 'stale'")
        if has_tombstones:
            cases.append(f"WHEN {STAGE}.{GONE} THEN 'deleted'")
        if others:
            cases.append(f"WHEN {' OR '.join(_differs(name) for name in others)} THEN 'updated'")
    fate = f"CASE {' '.join(cases)} ELSE 'unchanged' END" if cases else "'unchanged'"
    same = " AND ".join(f"t.{name_of(name)} = {STAGE}.{name_of(name)}" for name in key)
    return [first, f"UPDATE {STAGE} SET {FATE} = {fate} FROM {table} AS t WHERE {same}"]


def merge(table: str, columns: Sequence[str], key: Sequence[str]) -> list[str]:
    """Carry out the fates.

    Redshift's MERGE knows one WHEN of each kind, without conditions, and its source is a table: what does not change is
    taken out of the staging table, after it was counted.
    """
    same = " AND ".join(f"{table}.{name_of(name)} = s.{name_of(name)}" for name in key)
    others = [name for name in columns if name not in key]
    values = ", ".join(f"s.{name_of(name)}" for name in columns)
    insert = f"INSERT INTO {table} ({_names(columns)}) SELECT {values} FROM {STAGE} AS s WHERE s.{FATE} = 'inserted'"
    if not key:
        return [insert]
    delete = f"DELETE FROM {table} USING {STAGE} AS s WHERE {same} AND s.{FATE} = 'deleted'"
    if not others:
        return [delete, insert]
    sets = ", ".join(f"{name_of(name)} = s.{name_of(name)}" for name in others)
    rest = f"DELETE FROM {STAGE} WHERE {FATE} NOT IN ('inserted', 'updated')"
    upsert = (
        f"MERGE INTO {table} USING {STAGE} AS s ON {same} WHEN MATCHED THEN UPDATE SET {sets} "
        f"WHEN NOT MATCHED THEN INSERT ({_names(columns)}) VALUES ({values})"
    )
    return [delete, rest, upsert]


def delete_window(table: str, replaced: Replaced) -> str:
    """Delete the rows that are replaced."""
    column = name_of(replaced.column)
    parts = [f"{column} >= {literal(str(replaced.start))} AND {column} < {literal(str(replaced.end))}"]
    for name, some in replaced.scope.items():
        known = ", ".join(literal(str(value)) for value in some if value is not None)
        one_of = ([f"{name_of(name)} IN ({known})"] if known else []) + [f"{name_of(name)} IS NULL"] * (None in some)
        parts.append(f"({' OR '.join(one_of) or 'false'})")
    return f"DELETE FROM {table} WHERE {' AND '.join(parts)}"


def counts() -> str:
    """How many records have which fate: their sum is what was copied, or nothing is committed."""
    return f"SELECT {FATE}, count(*) FROM {STAGE} GROUP BY {FATE}"


def _is_newer(one: str, other: str, name: str) -> str:
    one, other = f"{one}.{name_of(name)}", f"{other}.{name_of(name)}"
    return f"({one} > {other} OR ({other} IS NULL AND {one} IS NOT NULL))"


def _differs(name: str) -> str:
    mine, theirs = f"{STAGE}.{name_of(name)}", f"t.{name_of(name)}"
    return f"({mine} <> {theirs} OR ({mine} IS NULL) <> ({theirs} IS NULL))"


def _names(names: Sequence[str]) -> str:
    return ", ".join(map(name_of, names))

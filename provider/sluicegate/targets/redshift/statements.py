"""The SQL of a load into Redshift: COPY of staged Parquet from S3, MERGE, counts by query. Pure: values in, text out.

All of it is one transaction. Redshift enforces no key and has no `IS DISTINCT FROM`, no conditions in MERGE, no
savepoints, and no COPY that skips what a table refuses: keys are checked and records counted by queries, and what the
merge is to do is decided in the staging table before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sluicegate.checks.sql import literal, name_of
from sluicegate.pipeline.keys.model import Mode
from sluicegate.records.types import ColumnType
from sluicegate.targets.redshift.dialect import WIDEST, converted, text_of, type_name
from sluicegate.targets.target import Replaced

__all__ = [
    "FATE",
    "GONE",
    "POSITION",
    "STAGE",
    "add_column",
    "append",
    "broken_keys",
    "bury",
    "constant",
    "copy_in",
    "counts",
    "create_deleted",
    "create_stages",
    "create_table",
    "decide",
    "decide_buried",
    "differs",
    "fill_stage",
    "leave_out",
    "merge",
    "replaced_where",
    "same_key",
    "twice",
]  # fmt: skip

COPIED = "sluicegate_copied"
"""The temporary table that takes what the files have."""
STAGE = "sluicegate_stage"
"""And the one with the table's own types, in which is decided."""
GONE = "sluicegate_gone"
"""The staging table's column that says that a record deletes the row of its key."""
FATE = "sluicegate_fate"
"""And that of what becomes of a record."""
POSITION = "sluicegate_position"
"""And that of a record's number, where it is asked for."""
_TEXTS = {"text", "varchar", "char"}
_KEY = f"varchar({WIDEST})"


def create_table(table: str, columns: Mapping[str, ColumnType], key: Sequence[str]) -> str:
    """:param table: with its schema, quoted."""
    parts = [f"{name_of(name)} {type_name(type_)}" for name, type_ in columns.items()]
    if key:
        # Not enforced: the planner takes it for true, which the checks of each load see to.
        parts.append(f"PRIMARY KEY ({_names(key)})")
    return f"CREATE TABLE {table} ({', '.join(parts)})"


def add_column(table: str, name: str, type_: ColumnType) -> str:
    return f"ALTER TABLE {table} ADD COLUMN {name_of(name)} {type_name(type_)}"


def create_stages(
    columns: Mapping[str, ColumnType],
    copied: Mapping[str, ColumnType],
    *,
    has_tombstones: bool,
    numbered: bool = False,
) -> list[str]:
    """The table for what is `copied`, whose columns are those of the files in their order, and the one for what becomes
    of it.
    """
    found = []
    for table, some in ((COPIED, copied), (STAGE, columns)):
        parts = [f"{POSITION} bigint"] * numbered
        parts += [f"{name_of(name)} {type_name(type_)}" for name, type_ in some.items()]
        parts += [f"{GONE} boolean"] * has_tombstones + [f"{FATE} varchar(9)"] * (table == STAGE)
        found.append(f"CREATE TEMPORARY TABLE {table} ({', '.join(parts)})")
    return found


def copy_in(uri: str, role: str, *, is_manifest: bool = False) -> str:
    """COPY of the Parquet files whose URIs begin with `uri`, or that it lists, with the rights of an IAM role."""
    credentials = "default" if role == "default" else literal(role)
    return f"COPY {COPIED} FROM {literal(uri)} IAM_ROLE {credentials} FORMAT AS PARQUET{' MANIFEST' * is_manifest}"


def fill_stage(
    columns: Mapping[str, ColumnType],
    copied: Mapping[str, ColumnType],
    *,
    has_tombstones: bool,
    numbered: bool = False,
) -> str:
    """What was copied as values of the table's types, all of it new as far as is known."""
    more = ([POSITION] if numbered else []), ([GONE] if has_tombstones else [])
    names = [*more[0], *map(name_of, columns), *more[1], FATE]
    values = [converted(type_, copied[name], name_of(name)) for name, type_ in columns.items()]
    fresh = f"CASE WHEN {GONE} THEN 'unchanged' ELSE 'inserted' END" if has_tombstones else "'inserted'"
    selected = ", ".join([*more[0], *values, *more[1], fresh])
    return f"INSERT INTO {STAGE} ({', '.join(names)}) SELECT {selected} FROM {COPIED}"


def twice(table: str, key: Sequence[str]) -> str:
    """Keys of staged records that `table` has more than once: with one of them, no merge is safe."""
    names = ", ".join(f"t.{name_of(name)}" for name in key)
    joined = f"{STAGE} AS t" if table == STAGE else f"{table} AS t JOIN {STAGE} AS s ON {same_key(key)}"
    return f"SELECT {names} FROM {joined} GROUP BY {names} HAVING count(*) > 1 LIMIT 5"


def broken_keys(table: str, key: Sequence[str]) -> str:
    """Positions of staged records whose key is there already, or in a record before."""
    names = ", ".join(f"s.{name_of(name)}" for name in key)
    place = f"row_number() OVER (PARTITION BY {names} ORDER BY s.{POSITION})"
    there = f"SELECT s.{POSITION} FROM {STAGE} AS s JOIN {table} AS t ON {same_key(key)}"
    again = f"SELECT {POSITION} FROM (SELECT s.{POSITION}, {place} AS place FROM {STAGE} AS s) AS n WHERE place > 1"
    return f"SELECT {POSITION} FROM ({there} UNION {again}) AS b ORDER BY {POSITION}"


def leave_out(positions: Iterable[int]) -> str:
    return f"DELETE FROM {STAGE} WHERE {POSITION} IN ({', '.join(map(str, positions))})"


def decide(
    table: str,
    columns: Mapping[str, ColumnType],
    key: Sequence[str],
    mode: Mode,
    newest_by: str | None,
    *,
    has_tombstones: bool,
) -> str:
    """Write the fate of each record whose key is there: `updated`, `unchanged`, `stale` or `deleted`."""
    others = [name for name in columns if name not in key]
    cases = []
    if mode is Mode.MERGE:
        if newest_by is not None:
            cases.append(f"WHEN {_is_newer(f't.{name_of(newest_by)}', f'{STAGE}.{name_of(newest_by)}')} THEN 'stale'")
        if has_tombstones:
            cases.append(f"WHEN {STAGE}.{GONE} THEN 'deleted'")
        if others:
            cases.append(f"WHEN {' OR '.join(differs(name, columns[name]) for name in others)} THEN 'updated'")
    fate = f"CASE {' '.join(cases)} ELSE 'unchanged' END" if cases else "'unchanged'"
    return f"UPDATE {STAGE} SET {FATE} = {fate} FROM {table} AS t WHERE {same_key(key, STAGE)}"


def create_deleted(deleted: str) -> str:
    """A table for what was deleted: keys and versions as texts."""
    return f"CREATE TABLE {deleted} (row_key {_KEY}, row_version {_KEY})"


def decide_buried(deleted: str, columns: Mapping[str, ColumnType], key: Sequence[str], newest_by: str) -> str:
    """Records that are older than the deletion of their key are `buried`."""
    version = f"CAST(d.row_version AS {type_name(columns[newest_by])})"
    newer = _is_newer(version, f"{STAGE}.{name_of(newest_by)}")
    return (
        f"UPDATE {STAGE} SET {FATE} = 'buried' FROM {deleted} AS d "
        f"WHERE d.row_key = {_key_text(STAGE, columns, key)} AND {newer}"
    )


def bury(
    deleted: str, columns: Mapping[str, ColumnType], key: Sequence[str], newest_by: str, *, has_tombstones: bool
) -> list[str]:
    """Keep the versions of what is deleted, and forget them of what comes back."""
    known = f"{deleted}.row_key = {_key_text(STAGE, columns, key)}"
    found = [f"DELETE FROM {deleted} USING {STAGE} WHERE {known} AND {STAGE}.{FATE} <> 'buried'"]
    if has_tombstones:
        text = _key_text("s", columns, key)
        version = text_of(columns[newest_by], f"s.{name_of(newest_by)}")
        found.append(
            f"INSERT INTO {deleted} (row_key, row_version) SELECT {text}, {version} FROM {STAGE} AS s "
            f"WHERE s.{GONE} AND s.{FATE} <> 'buried'"
        )
    return found


def _key_text(alias: str, columns: Mapping[str, ColumnType], key: Sequence[str]) -> str:
    """The key as one text; with the length of each value, so that no two keys have the same."""
    parts = []
    for name in key:
        value = text_of(columns[name], f"{alias}.{name_of(name)}")
        value = f"rtrim({value})" if columns[name].name in _TEXTS else value
        parts.append(f"CAST(length({value}) AS varchar(9)) || ':' || {value}")
    return " || ".join(parts)


def merge(table: str, columns: Sequence[str], key: Sequence[str]) -> list[str]:
    """Carry out the fates.

    Redshift's MERGE knows one WHEN of each kind, without conditions, and its source is a table: what does not change is
    taken out of the staging table, after it was counted.
    """
    same = " AND ".join(f"{table}.{name_of(name)} = s.{name_of(name)}" for name in key)
    others = [name for name in columns if name not in key]
    values = ", ".join(f"s.{name_of(name)}" for name in columns)
    there = " AND ".join(f"{table}.{name_of(name)} = {STAGE}.{name_of(name)}" for name in key)
    delete = f"DELETE FROM {table} USING {STAGE} WHERE {there} AND {STAGE}.{FATE} = 'deleted'"
    if not others:
        return [delete, append(table, columns)]
    sets = ", ".join(f"{name_of(name)} = s.{name_of(name)}" for name in others)
    rest = f"DELETE FROM {STAGE} WHERE {FATE} NOT IN ('inserted', 'updated')"
    upsert = (
        f"MERGE INTO {table} USING {STAGE} AS s ON {same} WHEN MATCHED THEN UPDATE SET {sets} "
        f"WHEN NOT MATCHED THEN INSERT ({_names(columns)}) VALUES ({values})"
    )
    return [delete, rest, upsert]


def append(table: str, columns: Sequence[str]) -> str:
    """The records that are new, as rows."""
    values = ", ".join(f"s.{name_of(name)}" for name in columns)
    return f"INSERT INTO {table} ({_names(columns)}) SELECT {values} FROM {STAGE} AS s WHERE s.{FATE} = 'inserted'"


def replaced_where(replaced: Replaced) -> str:
    """Which rows are replaced."""
    column = name_of(replaced.column)
    parts = [f"{column} >= {literal(str(replaced.start))} AND {column} < {literal(str(replaced.end))}"]
    for name, some in replaced.scope.items():
        known = ", ".join(constant(str(value)) for value in some if value is not None)
        one_of = ([f"{name_of(name)} IN ({known})"] if known else []) + [f"{name_of(name)} IS NULL"] * (None in some)
        parts.append(f"({' OR '.join(one_of) or 'false'})")
    return " AND ".join(parts)


def counts() -> str:
    """How many records have which fate: their sum is what was copied, or nothing is committed."""
    return f"SELECT {FATE}, count(*) FROM {STAGE} GROUP BY {FATE} ORDER BY {FATE}"


def same_key(key: Sequence[str], alias: str = "s") -> str:
    return " AND ".join(f"t.{name_of(name)} = {alias}.{name_of(name)}" for name in key)


def constant(text: str) -> str:
    """A literal, whatever Redshift makes of a backslash in one."""
    return " || chr(92) || ".join(map(literal, text.split("\\")))


def _is_newer(one: str, other: str) -> str:
    return f"({one} > {other} OR ({other} IS NULL AND {one} IS NOT NULL))"


def differs(name: str, type_: ColumnType) -> str:
    mine, theirs = f"{STAGE}.{name_of(name)}", f"t.{name_of(name)}"
    values = (text_of(type_, mine), text_of(type_, theirs)) if type_.name in {"json", "jsonb"} else (mine, theirs)
    # Blanks at the end of a text do not count in a comparison.
    lengths = f" OR length({mine}) <> length({theirs})" if type_.name in {"text", "varchar"} else ""
    return f"({values[0]} <> {values[1]}{lengths} OR ({mine} IS NULL) <> ({theirs} IS NULL))"


def _names(names: Iterable[str]) -> str:
    return ", ".join(map(name_of, names))

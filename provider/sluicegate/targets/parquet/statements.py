"""The merge of prepared records into rows of files, as DuckDB's SQL. Pure: names and types in, statements out.

Rows of the table are `t`, records that come in are `s`; both have their columns as `c0`, `c1`, ... A table `fates` says
of each record what becomes of it, and which row of which file it meets.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from sluicegate.checks.sql import literal, name_of
from sluicegate.pipeline.keys.model import Mode
from sluicegate.records.types import ColumnType
from sluicegate.targets.parquet.dialect import ParquetDialect
from sluicegate.targets.target import Replaced

__all__ = ["GONE", "Layout", "broken_keys", "fates", "names_in", "rewritten", "rows_of", "where_replaced"]

GONE = "gone"
_DIALECT = ParquetDialect()


@dataclass(frozen=True)
class Layout:
    """The table's `columns` as they will be, those that records bring (`brought`), and how records are matched."""

    columns: Mapping[str, ColumnType]
    brought: Collection[str]
    key: tuple[str, ...] = ()
    newest_by: str | None = None
    places: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", {name: f"c{number}" for number, name in enumerate(self.columns)})

    @property
    def others(self) -> list[str]:
        return [name for name in self.columns if name in self.brought and name not in self.key]

    def all(self, alias: str = "") -> str:
        """All columns."""
        return ", ".join(f"{alias}{place}" for place in self.places.values())

    def digested(self) -> str:
        """All columns, with the digests of those texts that only have to be compared for equality."""
        values = []
        for name, place in self.places.items():
            type_ = self.columns[name]
            is_text = type_.duck in {"VARCHAR", "BLOB"} and self.identity("x", name) == f"x.{place}"
            is_only_compared = is_text and name not in self.key and name != self.newest_by
            values.append(f"sha256({place}) AS {place}" if is_only_compared else place)
        return ", ".join(values)

    def identity(self, alias: str, name: str) -> str:
        return _DIALECT.identity(self.columns[name], f"{alias}.{self.places[name]}")

    def same_key(self) -> str:
        return " AND ".join(f"{self.identity('s', name)} = {self.identity('t', name)}" for name in self.key)

    def keys(self, alias: str) -> str:
        return ", ".join(self.identity(alias, name) for name in self.key)

    def is_newer(self, one: str, other: str) -> str:
        """Whether the version at `one` is later than that at `other`; no version is the earliest."""
        assert self.newest_by is not None
        type_ = self.columns[self.newest_by]
        later = f"{type_.comparable(one)} > {type_.comparable(other)}"
        if type_.comparable("x") != "x":  # what a double does not distinguish, its digits do
            one_, other_ = (f"TRY_CAST({value} AS DECIMAL(38,9))" for value in (one, other))
            later = f"({later} OR ({type_.comparable(one)} = {type_.comparable(other)} AND {one_} > {other_}))"
        return f"coalesce({later} OR ({other} IS NULL AND {one} IS NOT NULL), false)"

    def version(self, alias: str) -> str:
        assert self.newest_by is not None
        return f"{alias}.{self.places[self.newest_by]}"

    def differs(self) -> str:
        """Whether a record would change the row that it meets: it is newer, or another content of the same version."""
        each = [f"{self.identity('t', name)} IS DISTINCT FROM {self.identity('s', name)}" for name in self.others]
        differs = f"({' OR '.join(each)})" if each else "false"
        if self.newest_by is None:
            return differs
        mine, theirs = self.version("s"), self.version("t")
        return f"({self.is_newer(mine, theirs)} OR (NOT {self.is_newer(theirs, mine)} AND {differs}))"


def names_in(columns: Sequence[str]) -> dict[str, str]:
    """What DuckDB calls the columns of a file: those that differ by case alone get a number."""
    taken: set[str] = set()
    found = {}
    for name in columns:
        free, count = name, 0
        while free.casefold() in taken:
            count += 1
            free = f"{name}_{count}"
        taken.add(free.casefold())
        found[name] = free
    return found


def rows_of(
    layout: Layout, path: Path, columns: Sequence[str], number: int, *, without: str = "false", more: str = ""
) -> str:
    """The rows of one file: `file` (its number), `row` (the row's) and the table's columns.

    :param columns: those that the file has, in its order.
    :param without: which rows are left out, by the file's own names.
    """
    own = names_in(columns)
    values = "".join(
        f", {_typed(type_, name_of(own[name]) if name in own else None)} AS {layout.places[name]}"
        for name, type_ in layout.columns.items()
    )
    kept = "" if without == "false" else f" WHERE NOT coalesce({without}, false)"
    return (
        f"SELECT {number} AS file, file_row_number AS row{values}{more} "
        f"FROM read_parquet({literal(str(path))}, file_row_number=true, hive_partitioning=false){kept}"
    )


def _typed(type_: ColumnType, value: str | None) -> str:
    if value is None:
        return "NULL" if type_.native is not None else f"CAST(NULL AS {type_.duck})"
    return value if type_.native is not None else f"CAST({value} AS {type_.duck})"


def where_replaced(replaced: Replaced, columns: Sequence[str]) -> str:
    """Which rows of a file are replaced."""
    own = names_in(columns)
    if replaced.column not in own or not set(replaced.scope) <= own.keys():
        return "false"
    column = name_of(own[replaced.column])
    parts = [f"{column} >= {_moment(replaced.start)} AND {column} < {_moment(replaced.end)}"]
    for name, some in replaced.scope.items():
        place = name_of(own[name])
        texts = [literal(str(one).lower() if isinstance(one, bool) else str(one)) for one in some if one is not None]
        one_of = [f"{place} = {text}" for text in texts] + [f"{place} IS NULL"] * (None in some)
        parts.append(f"({' OR '.join(one_of) or 'false'})")
    return " AND ".join(parts)


def _moment(value: date | datetime) -> str:
    if not isinstance(value, datetime):
        return f"DATE {literal(value.isoformat())}"
    if value.tzinfo is None:
        return f"TIMESTAMP {literal(value.isoformat(sep=' '))}"
    return f"TIMESTAMPTZ {literal(value.astimezone(UTC).isoformat(sep=' '))}"


def fates(
    layout: Layout, mode: Mode, existing: str, *, has_tombstones: bool, has_buried: bool, are_long: bool = False
) -> str:
    """The table `fates`: `s_row`, `file`, `row` and `fate` of each record of `incoming`.

    :param are_long: whether texts are too long to be joined; their digests are then.
    """
    incoming, cases = "incoming", []
    if are_long:
        gone = f", {GONE}" if has_tombstones else ""
        incoming = f"(SELECT row{gone}, {layout.digested()} FROM incoming)"
        existing = f"SELECT file, row, {layout.digested()} FROM ({existing})"
    if has_buried and layout.newest_by is not None:
        buried = f"CAST(b.version AS {layout.columns[layout.newest_by].duck})"
        cases.append(f"WHEN b.k0 IS NOT NULL AND {layout.is_newer(buried, layout.version('s'))} THEN 'buried'")
    fresh = f"CASE WHEN s.{GONE} THEN 'unchanged' ELSE 'inserted' END" if has_tombstones else "'inserted'"
    cases.append(f"WHEN t.row IS NULL THEN {fresh}")
    if mode is not Mode.INSERT_ONLY:
        if layout.newest_by is not None:
            cases.append(f"WHEN {layout.is_newer(layout.version('t'), layout.version('s'))} THEN 'stale'")
        if has_tombstones:
            cases.append(f"WHEN s.{GONE} THEN 'deleted'")
        cases.append(f"WHEN {layout.differs()} THEN 'updated'")
    join = ""
    if has_buried:
        same = " AND ".join(
            f"b.k{number} = CAST({layout.identity('s', name)} AS VARCHAR)" for number, name in enumerate(layout.key)
        )
        join = f" LEFT JOIN buried b ON {same}"
    return (
        f"CREATE TABLE fates AS SELECT s.row AS s_row, t.file, t.row, CASE {' '.join(cases)} ELSE 'unchanged' END AS "
        f"fate FROM {incoming} s LEFT JOIN ({existing}) t ON {layout.same_key()}{join}"
    )


def broken_keys(layout: Layout, existing: Iterable[str]) -> str:
    """The rows of `incoming` whose key is there already, or in a record before."""
    twice = f"SELECT row, row_number() OVER (PARTITION BY {layout.keys('s')} ORDER BY row) AS place FROM incoming s"
    found = [f"SELECT row FROM ({twice}) WHERE place > 1"]
    found += [f"SELECT s.row FROM incoming s SEMI JOIN ({rows}) t ON {layout.same_key()}" for rows in existing]
    return f"SELECT DISTINCT row FROM ({' UNION ALL '.join(found)}) ORDER BY row"


def rewritten(
    layout: Layout, rows: str | None, number: int, *, with_fates: bool, inserts: str | None, in_order: bool = True
) -> str:
    """What a file is to hold: its `rows` as their fates have it, and the records that `inserts` selects of `incoming`.

    In the order of the key; without one, as they are. What is joined has few columns, to fit into memory.

    :param in_order: False where sorting would not fit either.
    """
    parts = []
    if rows is not None and with_fates:
        fate = f"SELECT * FROM fates WHERE file = {number} AND fate"
        left = f"ANTI JOIN ({fate} IN ('updated', 'deleted')) f ON f.row = t.row"
        parts.append(f"SELECT 0 AS part, t.row, {layout.all('t.')} FROM ({rows}) t {left}")
        came = f"FROM incoming s JOIN ({fate} = 'updated') f ON f.s_row = s.row"
        if all(name in layout.brought for name in layout.columns):
            parts.append(f"SELECT 0 AS part, f.row, {layout.all('s.')} {came}")
        else:
            values = ", ".join(
                f"s.{place}" if name in layout.brought else f"t.{place}" for name, place in layout.places.items()
            )
            parts.append(f"SELECT 0 AS part, t.row, {values} {came} JOIN ({rows}) t ON t.row = f.row")
    elif rows is not None:
        parts.append(f"SELECT 0 AS part, t.row, {layout.all('t.')} FROM ({rows}) t")
    if inserts is not None:
        parts.append(f"SELECT 1 AS part, s.row, {layout.all('s.')} FROM incoming s {inserts}")
    order = ", ".join(layout.places[name] for name in layout.key) or "part, row"
    return f"SELECT {layout.all()} FROM ({' UNION ALL '.join(parts)}){f' ORDER BY {order}' if in_order else ''}"

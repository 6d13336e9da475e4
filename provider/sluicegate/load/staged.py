"""The table on which DuckDB holds the records of one load, and the pieces of SQL that speak of it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sluicegate.checks.bounds import CheckedColumn
from sluicegate.load.parsed import execute
from sluicegate.records.casts import Cast
from sluicegate.records.dialect import Dialect

if TYPE_CHECKING:
    import pandas as pd
    from duckdb import DuckDBPyConnection

Frames = Callable[[int | None], Iterator["pd.DataFrame"]]
"""Gives records as frames of at most so many rows (None: all in one), at least one frame."""


FAILED = "s.aside[1].failed"
"""SQL of the numbers of the rules that a record of `staged s` failed by itself."""
_ASIDE = "STRUCT(line BIGINT, failed INTEGER[], raw VARCHAR, why VARCHAR)[]"


class Staged:
    """`staged`, the records; `more_failed`, failures that came to light later; `older`, the good records that another
    one with their key replaces. The two are made when they are first needed.

    What is to be said of a record beside its values is in its list `aside`, which has one element or is NULL: of most
    records it is nothing, and five columns without a value would take as much room as three with one. The element has
    the `line`, unless it follows from the order of the part's records; the numbers of the rules that the record
    `failed`; its `raw` form, where it failed any; and `why` it is malformed.

    A record is known by its `rowid`: records are in the order of the parts, and of the lines of a part. `staged` is
    only ever appended to, since what is updated in it could get another one.

    :param casts: the columns, in order, and how their values are made.
    :param dialect: what the target takes for equal, and what it cannot store.
    """

    def __init__(
        self,
        duck: DuckDBPyConnection,
        casts: Mapping[str, Cast],
        dialect: Dialect,
        *,
        key: Sequence[str] = (),
        newest_by: str | None = None,
        has_tombstones: bool = False,
    ) -> None:
        self.duck = duck
        self.casts = dict(casts)
        self.columns = {name: cast.type for name, cast in casts.items()}
        self.places = {name: f"v{number}" for number, name in enumerate(self.columns)}
        self.dialect = dialect
        self.key, self.newest_by = tuple(key), newest_by
        self.deduplicated = 0
        self.is_distinct = False
        """Whether no two kept records have one key."""
        self.has_tombstones = has_tombstones
        """Whether `gone` says which records delete the row of their key."""
        self.more_failed = "(SELECT NULL::BIGINT AS stage_row, NULL::INTEGER AS rule WHERE false)"
        """SQL of the failures that came to light later: rows of the stage, and the numbers of the rules."""
        self._more_failed = 0
        self.forgiven: tuple[int, ...] = ()
        """The rules that hold by their `mostly`, and set nothing aside."""
        self._rows = 0
        self._firsts: list[int] = []
        """The first row of each part with records."""
        self._parts: list[tuple[int, int]] = []
        """Of each of these its number, and what is added to a row to have its line."""
        self._has_older = self._has_numbers = False

    def create(self) -> None:
        """Make the table, which is empty."""
        values = "".join(f"{self.places[name]} {type_.duck}, " for name, type_ in self.columns.items())
        gone = ", gone BOOLEAN" if self.has_tombstones else ""
        execute(self.duck, f"CREATE TABLE staged ({values}aside {_ASIDE}{gone})")

    def number(self, query: str) -> int:
        """The one number that a query returns."""
        return int(self.row(query)[0])

    def row(self, query: str) -> tuple[Any, ...]:
        """The one row that a query returns."""
        row: tuple[Any, ...] | None = execute(self.duck, query).fetchone()
        assert row is not None
        return row

    def note(self, parts: Sequence[tuple[int, int, int]]) -> None:
        """Note how lines follow from the order of the records of parts that were staged one after the other.

        :param parts: the number of each, the lines before its first record, and its records.
        """
        for number, skipped, records in parts:
            if records:
                self._firsts.append(self._rows)
                self._parts.append((number, skipped + 1 - self._rows))
                self._rows += records

    def origin(self, row: int, line: int | None) -> tuple[int, int]:
        """The part and the line of a record, by its row and the line that is staged with it."""
        part, ahead = self._parts[bisect_right(self._firsts, row) - 1]
        return part, row + ahead if line is None else line

    def part_at(self, row: int) -> tuple[int, int, int, int]:
        """The part that the record in a row is of: its number, its first row, the one behind its last, and what is
        added to a row to have its line.
        """
        place = bisect_right(self._firsts, row)
        end = self._firsts[place] if place < len(self._firsts) else self._rows
        number, ahead = self._parts[place - 1]
        return number, self._firsts[place - 1], end, ahead

    def number_parts(self) -> None:
        """Have a column `part` from now on, by which `added` sees which records are of which part."""
        if not self._has_numbers:
            self._has_numbers = True
            self.duck.execute("ALTER TABLE staged ADD COLUMN part INTEGER")

    def added(self) -> list[tuple[int, int]]:
        """The parts that were staged since the last one was noted, each with the number of its records; a part whose
        records do not follow one another is there more than once.
        """
        return self.duck.execute(
            "SELECT part, count(*) FROM (SELECT part, rowid, "
            "rowid - row_number() OVER (PARTITION BY part ORDER BY rowid) AS block "
            f"FROM staged WHERE rowid >= {self._rows}) GROUP BY part, block ORDER BY min(rowid)"
        ).fetchall()

    @property
    def rows(self) -> int:
        """How many records are staged."""
        return self._rows

    def mean_bytes(self) -> int:
        """How long the texts of a record are on average, all together."""
        texts = [self.places[name] for name, type_ in self.columns.items() if type_.duck == "VARCHAR"]
        if not texts:
            return 0
        return self.number(
            f"SELECT coalesce(avg({' + '.join(f'coalesce(strlen({t}), 0)' for t in texts)}), 0)::BIGINT FROM staged"
        )

    def drop(self, condition: str) -> int:
        """Delete the records that meet a condition; returns how many. The others keep their `rowid`."""
        return self.number(f"DELETE FROM staged WHERE {condition}")

    @property
    def has_more_failed(self) -> bool:
        return self._more_failed > 0

    def fail(self, failures: str, values: Sequence[object] = ()) -> None:
        """Note failures that came to light later.

        :param failures: a query of rows of the stage and numbers of rules, with its `values`.
        """
        if self.more_failed != "more_failed":
            self.more_failed = "more_failed"
            self.duck.execute("CREATE TABLE more_failed (stage_row BIGINT, rule INTEGER)")
        self._more_failed += self._changed(f"INSERT INTO more_failed {failures}", values)

    def forgive(self, rules: Sequence[int]) -> None:
        """Let what breaks these rules go in."""
        self.forgiven = tuple(rules)
        if self.has_more_failed:
            some = ", ".join(map(str, rules))
            self._more_failed -= self._changed(f"DELETE FROM more_failed WHERE rule IN ({some})")

    def give_way(self, rows: str) -> None:
        """Leave out good records that others with their keys replace; `rows` is a query of their rows."""
        if not self._has_older:
            self._has_older = True
            self.duck.execute("CREATE TABLE older (stage_row BIGINT)")
        self.deduplicated += self._changed(f"INSERT INTO older {rows}")

    def take_back(self, rows: Sequence[int]) -> None:
        """Forget that the records in these rows gave way to others."""
        if self._has_older:
            some = "SELECT unnest($1::BIGINT[])"
            self.deduplicated -= self._changed(f"DELETE FROM older WHERE stage_row IN ({some})", [list(rows)])

    def _changed(self, statement: str, values: Sequence[object] = ()) -> int:
        row = self.duck.execute(statement, list(values) or None).fetchone()
        assert row is not None
        return int(row[0])

    def good(self) -> str:
        """The condition that a record of `staged s` has failed nothing."""
        failed = f"s.aside IS NULL OR {FAILED} IS NULL"
        if self.forgiven:
            some = ", ".join(map(str, self.forgiven))
            failed += f" OR len(list_filter({FAILED}, lambda x: x NOT IN ({some}))) = 0"
        more = f" AND NOT EXISTS (SELECT 1 FROM {self.more_failed} m WHERE m.stage_row = s.rowid)"
        return f"(({failed}){more if self.has_more_failed else ''})"

    def kept(self) -> str:
        """The condition that a record of `staged s` is good and none with its key replaces it."""
        older = "NOT EXISTS (SELECT 1 FROM older o WHERE o.stage_row = s.rowid)"
        return f"{self.good()} AND {older}" if self.deduplicated else self.good()

    @staticmethod
    def is_malformed() -> str:
        """The condition, of a relation that has `aside`."""
        return "(aside IS NOT NULL AND coalesce(list_contains(aside[1].failed, 0), false))"

    def order(self) -> str:
        """How the written records are ordered; no two of them are equal in it."""
        places = [f"s.{self.places[name]}" for name in self.key]
        return ", ".join(places if self.is_distinct else [*places, "s.rowid"])

    def identity(self, name: str) -> str:
        """What is equal where the target takes two values of the column for equal."""
        return self.dialect.identity(self.columns[name], self.places[name])

    def failed_cast(self, name: str) -> str:
        """The condition that the raw value of the column is not of its type."""
        number = 1 + list(self.columns).index(name)
        return f"(s.aside IS NOT NULL AND coalesce(list_contains({FAILED}, {number}), false))"

    def newest(self, place: str | None = None) -> list[str]:
        """By what a record is newer than another: SQL of the value at `place`, its own unless given. What a double does
        not distinguish, its digits do.
        """
        if self.newest_by is None:
            return []
        type_, place = self.columns[self.newest_by], place or self.places[self.newest_by]
        value = type_.comparable(place)
        return [value] if value == place else [value, f"TRY_CAST({place} AS DECIMAL(38,9))"]

    def stated(self, columns: str) -> str:
        """The stage with `columns` and what rules refer to. A failed cast is not a missing value."""
        values = "".join(f", s.{place}" for place in self.places.values())
        missing = "".join(
            f", s.{place} IS NULL AND NOT {self.failed_cast(name)} AS m{place[1:]}"
            for name, place in self.places.items()
        )
        return f"SELECT {columns}{values}{missing} FROM staged s"

    def checked(self, name: str) -> CheckedColumn:
        """A column as rules see it. Great Expectations takes NaN for missing, and so does this."""
        type_, place = self.columns[name], self.places[name]
        value, missing = type_.comparable(place), f"m{place[1:]}"
        if type_.name in {"real", "double"}:
            value = f"CASE WHEN isnan({place}) THEN NULL ELSE {place} END"
            missing = f"({missing} OR coalesce(isnan({place}), false))"
        return CheckedColumn(value, missing, type_.duck, type_.kind, self.casts[name].zone)

    def frames(self, names: Sequence[str], rest: str) -> Frames:
        """The records that `rest`, a FROM and what follows it, selects."""
        values = {name: self.columns[name].comparable(self.places[name]) for name in names}
        places = ", ".join(f"{values[name]} AS c{number}" for number, name in enumerate(names))

        def frames(size: int | None) -> Iterator[pd.DataFrame]:
            cursor = self.duck.cursor()
            cursor.execute(f"SELECT {places} {rest}")
            first = True
            while first or size is not None:
                frame = cursor.df() if size is None else cursor.fetch_df_chunk(max(1, size // 2048))
                if frame.empty and not first:
                    return
                frame.columns = list(names)
                yield frame
                first = False

        return frames

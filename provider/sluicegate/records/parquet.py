"""Parquet as a relation of raw, typed values.

Names are taken as they are written, as in CSV and JSON lines: `Id` and `id` are two columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from sluicegate.checks.sql import literal, name_of
from sluicegate.faults import fault
from sluicegate.records.dialect import Dialect
from sluicegate.records.engine import with_room
from sluicegate.records.notation import PLAIN
from sluicegate.records.reader import LocalPart
from sluicegate.records.types import MAX_PRECISION

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["ParquetReader"]


class ParquetReader:
    """Parquet: the line is the row's number, from 1. Nested values become JSON texts, bytes what the target reads."""

    is_text = False
    may_hold_nul = True
    written = None
    notation = PLAIN

    def __init__(self, duck: DuckDBPyConnection, part: LocalPart, dialect: Dialect) -> None:
        import duckdb

        self.duck, self.part, self._dialect = duck, part, dialect
        self._limit = ""
        try:
            written = duck.execute(
                f"SELECT name, num_children, type, precision FROM parquet_schema({literal(str(part.path))})"
            ).fetchall()
            self._source = self._source_of(has_int96=any(kind == "INT96" for _, _, kind, _ in written))
            columns = duck.execute(f"DESCRIBE SELECT * EXCLUDE (file_row_number) FROM {self._source}").fetchall()
        except duckdb.Error as error:
            raise fault("SOURCE_UNREADABLE", f"{part.uri} is not a Parquet file: {error}", uri=part.uri) from error
        if wide := [name for name, _, _, precision in written if (precision or 0) > MAX_PRECISION]:
            detail = f"{part.uri}: {', '.join(wide)} has decimals of more than {MAX_PRECISION} digits, of which DuckDB "
            detail += "reads about 16: write them with fewer, or as texts"
            raise fault("SOURCE_UNREADABLE", detail, uri=part.uri)
        self.names = tuple(_top_level([(name, children) for name, children, *_ in written]))
        if twice := sorted({name for name in self.names if self.names.count(name) > 1}):
            raise fault("SOURCE_UNREADABLE", f"{part.uri} has {', '.join(twice)} more than once", uri=part.uri)
        # DuckDB calls a column otherwise where two differ by case alone.
        self._columns = {name: name_of(str(column[0])) for name, column in zip(self.names, columns, strict=True)}
        self.types = {name: str(column[1]) for name, column in zip(self.names, columns, strict=True)}

    def _source_of(self, *, has_int96: bool) -> str:
        """SQL that reads the file. Moments of the type INT96 count nanoseconds, and DuckDB reads them to the
        microsecond in any year, or to the nanosecond from 1677 to 2262 and as infinite outside.

        :raises FaultError: SOURCE_UNREADABLE when neither would be exact.
        """
        options = f"{literal(str(self.part.path))}, file_row_number=true, hive_partitioning=false"
        plain, exact = f"read_parquet({options})", f"read_parquet({options}, int96_as='TIMESTAMP_NS')"
        if not has_int96:
            return plain
        columns = [
            (name_of(str(name)), str(kind))
            for name, kind, *_ in self.duck.execute(f"DESCRIBE SELECT * FROM {exact}").fetchall()
            if "TIMESTAMP_NS" in str(kind)
        ]
        finer = " OR ".join(_is_finer(name, kind) for name, kind in columns)
        beyond = " OR ".join(f"contains(CAST({name} AS VARCHAR), 'infinity')" for name, _ in columns)
        row = self.duck.execute(f"SELECT bool_or({finer}), bool_or({beyond}) FROM {exact}").fetchone()
        if row == (True, True):
            detail = f"{self.part.uri} has moments with nanoseconds and years that are beyond these (1677 to 2262) in "
            detail += "columns of the type INT96: write them as timestamps of microseconds"
            raise fault("SOURCE_UNREADABLE", detail, uri=self.part.uri)
        return exact if row is not None and row[0] else plain

    @property
    def skipped(self) -> int:
        return 0

    @property
    def most(self) -> int | None:
        row = self.duck.execute(
            f"SELECT sum(num_rows) FROM parquet_file_metadata({literal(str(self.part.path))})"
        ).fetchone()
        return int(row[0]) if row is not None and row[0] is not None else None

    def cut(self, most: int | None) -> None:
        self._limit = "" if most is None else f" LIMIT {most}"

    def read(self, use: Callable[[str], int], *, numbered: bool = True) -> None:
        import duckdb

        raw = "".join(f", {self._value(name)} AS r{number}" for number, name in enumerate(self.names))
        line = "file_row_number + 1 AS line, NULL::VARCHAR AS why, NULL::VARCHAR AS text"
        try:
            with_room(self.duck, lambda: use(f"SELECT {line}{raw} FROM {self._source}{self._limit}"))
        except duckdb.Error as error:
            # A header of a page that is damaged is an error of no kind of its own.
            if type(error) not in (duckdb.Error, duckdb.InvalidInputException, duckdb.SerializationException):
                raise
            raise fault("SOURCE_UNREADABLE", f"{self.part.uri} is damaged: {error}", uri=self.part.uri) from error

    def _value(self, name: str) -> str:
        kind, column = self.types[name], self._columns[name]
        if kind == "BLOB":
            return self._dialect.binary_text(column)
        if kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION", "JSON", "VARIANT")):
            return f"CAST(to_json({column}) AS VARCHAR)"
        if kind.startswith(("ENUM", "INTERVAL", "BIT")):
            return f"CAST({column} AS VARCHAR)"
        return column


def _is_finer(name: str, kind: str) -> str:
    """The condition that a value of the column has a part of a microsecond."""
    if kind == "TIMESTAMP_NS":
        return f"coalesce(epoch_ns({name}) % 1000 <> 0, false)"
    return f"coalesce(regexp_matches(CAST({name} AS VARCHAR), ':[0-9]{{2}}[.][0-9]{{7}}'), false)"


def _top_level(schema: Sequence[tuple[str, int | None]]) -> Iterator[str]:
    """The names of the columns in a schema that is written depth first, its root at the beginning."""
    nodes = iter(schema)
    _, columns = next(nodes)
    for _ in range(columns or 0):
        name, children = next(nodes)
        yield name
        inside = children or 0
        while inside:
            inside += (next(nodes)[1] or 0) - 1

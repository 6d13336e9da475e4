"""Parquet as a relation of raw, typed values.

Names are taken as they are written, as in CSV and JSON lines: `Id` and `id` are two columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from sluicegate.checks.sql import literal, name_of
from sluicegate.faults import fault
from sluicegate.records.dialect import Dialect
from sluicegate.records.notation import PLAIN
from sluicegate.records.reader import LocalPart

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
        self._source = f"read_parquet({literal(str(part.path))}, file_row_number=true, hive_partitioning=false)"
        try:
            columns = duck.execute(f"DESCRIBE SELECT * EXCLUDE (file_row_number) FROM {self._source}").fetchall()
            written = duck.execute(
                f"SELECT name, num_children FROM parquet_schema({literal(str(part.path))})"
            ).fetchall()
        except duckdb.Error as error:
            raise fault("SOURCE_UNREADABLE", f"{part.uri} is not a Parquet file: {error}", uri=part.uri) from error
        self.names = tuple(_top_level(written))
        if twice := sorted({name for name in self.names if self.names.count(name) > 1}):
            raise fault("SOURCE_UNREADABLE", f"{part.uri} has {', '.join(twice)} more than once", uri=part.uri)
        # DuckDB calls a column otherwise where two differ by case alone.
        self._columns = {name: name_of(str(column[0])) for name, column in zip(self.names, columns, strict=True)}
        self.types = {name: str(column[1]) for name, column in zip(self.names, columns, strict=True)}

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
            use(f"SELECT {line}{raw} FROM {self._source}{self._limit}")
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

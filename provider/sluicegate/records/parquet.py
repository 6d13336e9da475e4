"""Parquet as a relation of raw, typed values."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sluicegate.checks.sql import literal, name_of
from sluicegate.faults import fault
from sluicegate.records.dialect import Dialect
from sluicegate.records.reader import LocalPart

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["ParquetReader"]


class ParquetReader:
    """Parquet: the line is the row's number, from 1. Nested values become JSON texts, bytes what the target reads."""

    is_text = False
    may_hold_nul = True

    def __init__(self, duck: DuckDBPyConnection, part: LocalPart, dialect: Dialect) -> None:
        import duckdb

        self.duck, self.part, self._dialect = duck, part, dialect
        self._source = f"read_parquet({literal(str(part.path))}, file_row_number=true)"
        try:
            columns = duck.execute(f"DESCRIBE SELECT * EXCLUDE (file_row_number) FROM {self._source}").fetchall()
        except duckdb.Error as error:
            raise fault("SOURCE_UNREADABLE", f"{part.uri} is not a Parquet file: {error}", uri=part.uri) from error
        self.types = {str(column[0]): str(column[1]) for column in columns}
        self.names = tuple(self.types)

    def read(self, use: Callable[[str], int]) -> None:
        import duckdb

        raw = "".join(f", {self._value(name)} AS r{number}" for number, name in enumerate(self.names))
        line = "file_row_number + 1 AS line, NULL::VARCHAR AS why, NULL::VARCHAR AS text"
        try:
            use(f"SELECT {line}{raw} FROM {self._source}")
        except (duckdb.InvalidInputException, duckdb.SerializationException) as error:
            raise fault("SOURCE_UNREADABLE", f"{self.part.uri} is damaged: {error}", uri=self.part.uri) from error

    def _value(self, name: str) -> str:
        kind, column = self.types[name], name_of(name)
        if kind == "BLOB":
            return self._dialect.binary_text(column)
        if kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION", "JSON", "VARIANT")):
            return f"CAST(to_json({column}) AS VARCHAR)"
        if kind.startswith(("ENUM", "INTERVAL", "BIT")):
            return f"CAST({column} AS VARCHAR)"
        return column

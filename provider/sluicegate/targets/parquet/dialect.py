"""Types as Parquet files have them. What Parquet has no word for (`varchar(10)`, `jsonb`) is noted beside a column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sluicegate.faults import fault
from sluicegate.records.exact import canonical
from sluicegate.records.types import ColumnType, parse_type

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ParquetDialect", "arrow_type", "as_field", "column_type", "schema_of"]

_NOTE = b"sluicegate.type"
_ROW = "file_row_number"
_BINARY = ColumnType("foreign", native="binary")


class ParquetDialect:
    """See `Dialect`."""

    binary = _BINARY

    def name(self, type_: ColumnType) -> str:
        return str(type_)

    def parse(self, text: str) -> ColumnType:
        try:
            return parse_type(text)
        except ValueError:
            return ColumnType("foreign", native=text)

    def identity(self, type_: ColumnType, value: str) -> str:
        return canonical(value) if type_.name == "numeric" and type_.is_text else value

    def refused(self, type_: ColumnType, value: str, *, nul: bool) -> list[str]:
        # Parquet has no infinity among its moments: other readers would see a year far away.
        return [f"isinf({value})"] if type_.is_moment else []

    def unusable_column(self, name: str) -> str | None:
        return "has the name that DuckDB gives to the number of a row in a file" if name.lower() == _ROW else None

    def unusable_type(self, type_: ColumnType) -> str | None:
        return None

    def binary_text(self, value: str) -> str:
        return f"'\\x' || lower(hex({value}))"

    @staticmethod
    def written(type_: ColumnType, value: str) -> str:
        """SQL of what Arrow has to hold for a staged `value`."""
        return f"unhex(substr({value}, 3))" if type_ == _BINARY else value


def arrow_type(type_: ColumnType) -> pa.DataType:
    """What a column of the type is in Arrow, and so in a file.

    :raises KeyError: for a type of somebody else's files.
    """
    import pyarrow as pa

    if type_ == _BINARY:
        return pa.binary()
    if type_.native is not None:
        raise KeyError(type_.native)
    if type_.name == "numeric" and not type_.is_text:
        return pa.decimal128(type_.precision or 0, type_.scale or 0)
    plain: dict[str, pa.DataType] = {
        "SMALLINT": pa.int16(), "INTEGER": pa.int32(), "BIGINT": pa.int64(), "FLOAT": pa.float32(),
        "DOUBLE": pa.float64(), "BOOLEAN": pa.bool_(), "DATE": pa.date32(), "TIME": pa.time64("us"),
        "TIMESTAMP": pa.timestamp("us"), "TIMESTAMPTZ": pa.timestamp("us", tz="UTC"),
    }  # fmt: skip
    return plain.get(type_.duck, pa.string())


def as_field(name: str, type_: ColumnType) -> pa.Field[Any]:
    import pyarrow as pa

    return pa.field(name, arrow_type(type_), metadata={_NOTE: str(type_).encode()})


def column_type(field: pa.Field[Any]) -> ColumnType:
    """The type of a file's column: what is noted beside it if that is what it is, else what Parquet says."""
    noted = (field.metadata or {}).get(_NOTE)
    if noted is not None:
        said = ParquetDialect().parse(noted.decode())
        if said == _BINARY or (said.native is None and arrow_type(said) == field.type):
            return said
    return _of_arrow(field.type)


def _of_arrow(type_: pa.DataType) -> ColumnType:
    """:returns: the narrowest type that has room for all values, and one that is not written for anything else."""
    import pyarrow as pa

    if pa.types.is_decimal(type_):
        return ColumnType("numeric", precision=type_.precision, scale=type_.scale)
    if pa.types.is_timestamp(type_) and type_.unit != "ns":
        return ColumnType("timestamp" if type_.tz is None else "timestamptz")
    if pa.types.is_time(type_) and type_.unit != "ns":
        return ColumnType("time")
    names = {
        "string": "text", "large_string": "text", "int8": "smallint", "int16": "smallint", "uint8": "smallint",
        "int32": "integer", "uint16": "integer", "int64": "bigint", "uint32": "bigint", "float": "real",
        "double": "double", "bool": "boolean", "date32[day]": "date",
    }  # fmt: skip
    if (name := names.get(str(type_))) is not None:
        return ColumnType(name)
    return _BINARY if pa.types.is_binary(type_) else ColumnType("foreign", native=str(type_))


def schema_of(columns: Mapping[str, ColumnType]) -> pa.Schema:
    """:raises FaultError: SCHEMA_MISMATCH when a column is of a type that is not written here."""
    import pyarrow as pa

    fields = []
    for name, type_ in columns.items():
        try:
            fields.append(as_field(name, type_))
        except KeyError as unknown:
            raise fault(
                "SCHEMA_MISMATCH", f"the column {name!r} is {type_}, which a load does not write into Parquet"
            ) from unknown
    return pa.schema(fields)

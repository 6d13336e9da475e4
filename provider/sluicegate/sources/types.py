"""The Arrow types of a query's columns, and values as these take them."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sluicegate.faults import fault

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["as_text", "batch_of", "inferred", "of_postgres"]

_DIGITS = 38


def of_postgres(name: str, precision: int | None, scale: int | None) -> pa.DataType:
    """The type for Postgres's `name`; text for what has no exact one: its own words are what a load reads back."""
    import pyarrow as pa

    if name == "numeric" and precision and precision <= _DIGITS and 0 <= (scale or 0) <= precision:
        return pa.decimal128(precision, scale or 0)
    types: dict[str, pa.DataType] = {
        "bool": pa.bool_(), "int2": pa.int16(), "int4": pa.int32(), "int8": pa.int64(), "oid": pa.int64(),
        "float4": pa.float32(), "float8": pa.float64(), "date": pa.date32(), "time": pa.time64("us"),
        "timestamp": pa.timestamp("us"), "timestamptz": pa.timestamp("us", tz="UTC"), "bytea": pa.binary(),
    }  # fmt: skip
    return types.get(name, pa.string())


def inferred(values: Sequence[Any]) -> pa.DataType:
    """The type that the first values of a column have; text where there is none, or they are of several kinds."""
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    simple: dict[type, Callable[[], pa.DataType]] = {
        bool: pa.bool_, int: pa.int64, float: pa.float64, dt.date: pa.date32, bytes: pa.binary,
        dt.time: lambda: pa.time64("us"),
    }  # fmt: skip
    if kinds == {dt.datetime}:
        zoned = {value.tzinfo is not None for value in values if value is not None}
        if len(zoned) > 1:
            return pa.string()
        return pa.timestamp("us", tz="UTC") if zoned.pop() else pa.timestamp("us")
    if kinds == {dt.time} and any(value.tzinfo is not None for value in values if value is not None):
        return pa.string()
    if kinds <= {int, float} and float in kinds:
        return pa.float64()
    return simple[kinds.pop()]() if len(kinds) == 1 and next(iter(kinds)) in simple else pa.string()


def batch_of(rows: Sequence[Sequence[Any]], schema: pa.Schema, uri: str) -> pa.RecordBatch:
    """`rows` as a batch.

    :raises FaultError: SOURCE_UNREADABLE when a value is not of its column's type.
    """
    import pyarrow as pa

    columns = []
    for number, column in enumerate(schema):
        values: list[Any] = [row[number] for row in rows]
        if pa.types.is_string(column.type):
            values = [as_text(value) for value in values]
        try:
            _require_exact(values, column.type)
            columns.append(pa.array(values, column.type))
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise fault(
                "SOURCE_UNREADABLE",
                f"{uri}: the column {column.name!r} began as {column.type}, and then: {error}; CAST it in the query",
                uri=uri,
            ) from error
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _require_exact(values: Iterable[Any], type_: pa.DataType) -> None:
    """Refuse what Arrow would cut to fit the type: 1.5 to 1, a moment to its day, a zone to none.

    :raises ValueError: with the first such value.
    """
    fits = _fitting(type_)
    if fits is not None and any(value is not None and not fits(value) for value in values):
        bad = next(value for value in values if value is not None and not fits(value))
        raise ValueError(f"{as_text(bad)} is of the type {type(bad).__name__}")


def _fitting(type_: pa.DataType) -> Callable[[Any], bool] | None:
    """Whether a value is one of the type as it is; None where Arrow itself refuses what is not."""
    import pyarrow as pa

    if pa.types.is_integer(type_):
        return lambda value: isinstance(value, int)
    if pa.types.is_date(type_):
        return lambda value: isinstance(value, dt.date) and not isinstance(value, dt.datetime)
    if pa.types.is_time(type_):
        return lambda value: isinstance(value, dt.time) and value.tzinfo is None
    if pa.types.is_timestamp(type_):
        is_naive = type_.tz is None
        return lambda value: isinstance(value, dt.datetime) and (value.tzinfo is None) == is_naive
    return None


def as_text(value: Any) -> str | None:
    """A value in words that a load reads back."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | Decimal | uuid.UUID):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    return str(value)

"""Types as Redshift has them, how Parquet files bring their values, and the values it cannot store. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sluicegate.records.types import MAX_PRECISION, ColumnType, parse_type
from sluicegate.targets.redshift.place import unusable_column

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["WIDEST", "RedshiftDialect", "converted", "staged_type", "stored_type", "takes", "text_of", "type_name"]

WIDEST = 65_535
"""Bytes of the longest varchar."""
_WIDEST_CHAR = 4_096
_TEXT = f"varchar({WIDEST})"
_NAMES = {
    "text": _TEXT,
    "varchar": _TEXT,
    "uuid": _TEXT,
    "json": "super",
    "jsonb": "super",
    "double": "double precision",
}
_TEXTS = {"text", "varchar", "char"}
_AS_TEXT = {"time", "timestamp", "timestamptz", "json", "jsonb", "uuid"}
_WIDTHS = {"smallint": 1, "integer": 2, "bigint": 3}


def type_name(type_: ColumnType) -> str:
    """What Redshift calls a type. It has no uuid, and JSON is a super."""
    if type_.native is not None:
        return type_.native
    if type_.length is not None:
        return f"{type_.name}({type_.length})"
    if type_.name in {"time", "timestamp", "timestamptz"}:
        return type_.name  # always with microseconds
    return _NAMES.get(type_.name, type_.name) + type_.digits


def staged_type(type_: ColumnType) -> ColumnType:
    """The type as which our own files bring values: text where readers of Parquet do not agree on what a number means,
    or COPY has no word for it.
    """
    return ColumnType("text") if type_.name in _AS_TEXT else type_


def stored_type(type_: ColumnType) -> ColumnType:
    """The type that values have in files which Spark wrote: moments are of UTC there."""
    return ColumnType("timestamp") if type_.name in {"timestamp", "timestamptz"} else staged_type(type_)


def converted(type_: ColumnType, copied: ColumnType, value: str) -> str:
    """SQL of a `value` that was copied as another type."""
    if type_.name == "timestamptz" and copied.name == "timestamp":
        return f"({value} AT TIME ZONE 'UTC')"
    if type_.name in {"time", "timestamp", "timestamptz"} and copied.name == "text":
        return f"CAST({value} AS {type_name(type_)})"
    return f"json_parse({value})" if type_.name in {"json", "jsonb"} else value


def takes(type_: ColumnType, other: ColumnType) -> bool:
    """Whether a column takes all values of a file's column of the type `other`, unchanged, or fails loudly."""
    if type_.name == "numeric" == other.name:
        scales = (type_.scale or 0, other.scale or 0)
        whole = ((type_.precision or 0) - scales[0], (other.precision or 0) - scales[1])
        return not (type_.is_text or other.is_text) and scales[0] >= scales[1] and whole[0] >= whole[1]
    if type_.name in _WIDTHS and other.name in _WIDTHS:
        return _WIDTHS[other.name] <= _WIDTHS[type_.name]
    if type_.name in _TEXTS:
        return other.name in {*_TEXTS, "uuid", "json", "jsonb"}
    return type_.name == other.name or {type_.name, other.name} == {"json", "jsonb"}


def text_of(type_: ColumnType, value: str) -> str:
    """SQL of the text of a `value`, the same for the same value."""
    if type_.name in {"json", "jsonb"}:
        return f"json_serialize({value})"
    if type_.name == "boolean":
        return f"CASE WHEN {value} THEN 'true' WHEN NOT {value} THEN 'false' END"
    return f"CAST({value} AS {_TEXT})"


class RedshiftDialect:
    """See `Dialect`."""

    binary = ColumnType("foreign", native="varbyte")

    def name(self, type_: ColumnType) -> str:
        return type_name(type_)

    def parse(self, text: str) -> ColumnType:
        """`text` as `format_type` gives it."""
        if text == "super":
            return ColumnType("jsonb")
        try:
            type_ = parse_type(text)
        except ValueError:
            return ColumnType("foreign", native=text)
        return ColumnType("text") if type_.name == "varchar" and type_.length == WIDEST else type_

    def identity(self, type_: ColumnType, value: str) -> str:
        """Blanks at the end of texts do not count when Redshift compares them."""
        return f"rtrim({value}, ' ')" if type_.name in _TEXTS else value

    def refused(self, type_: ColumnType, value: str, *, nul: bool) -> list[str]:
        found = [f"contains({value}, chr(0))"] if nul and type_.is_text else []
        if type_.is_moment:
            found.append(f"isinf({value})")
        if type_.is_text and type_.name != "numeric":
            # Lengths are of bytes, and a char has one for each character.
            found.append(f"strlen({value}) > {type_.length or WIDEST}")
        if type_.name == "char":
            found.append(f"strlen({value}) > length({value})")
        if type_.name in {"json", "jsonb"}:
            found.append(f"contains({value}, '\\u0000')")
        return found

    def unusable_column(self, name: str) -> str | None:
        return unusable_column(name)

    def unusable_type(self, type_: ColumnType) -> str | None:
        if type_.native is not None:
            return f"is {type_}: it is not loaded"
        if type_.name == "numeric" and type_.is_text:
            return f"is {type_}: say numeric(precision,scale), with {MAX_PRECISION} digits at most"
        most = {"varchar": WIDEST, "char": _WIDEST_CHAR}.get(type_.name, WIDEST)
        if (type_.length or 0) > most:
            return f"is {type_}, and a {type_.name} of Redshift has {most:,} bytes at most"
        return None

    def binary_text(self, value: str) -> str:
        return f"lower(hex({value}))"

    @staticmethod
    def written(type_: ColumnType, value: str) -> str:
        """DuckDB's SQL of what a Parquet file has for a staged `value`."""
        if type_.name == "timestamptz":
            return f"CAST({value} AT TIME ZONE 'UTC' AS VARCHAR) || '+00'"
        return f"CAST({value} AS VARCHAR)" if type_.name in _AS_TEXT else value

    @staticmethod
    def arrow(type_: ColumnType) -> pa.DataType:
        from sluicegate.targets.parquet.dialect import arrow_type

        return arrow_type(staged_type(type_))

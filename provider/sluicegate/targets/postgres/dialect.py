"""Types as Postgres has them: their names, its equality, and the values it cannot store. Pure: no connection."""

from __future__ import annotations

from sluicegate.records.exact import canonical
from sluicegate.records.types import ColumnType, parse_type
from sluicegate.targets.postgres.names import unusable_column

__all__ = ["PostgresDialect"]

_NAMES = {"double": "double precision"}
# What COPY's binary format has for a value, where that is what Arrow has for it or follows from it.
_BINARY = {
    "smallint", "integer", "bigint", "real", "double", "boolean", "date", "time", "timestamp", "timestamptz", "uuid",
    "text", "varchar", "char", "json", "jsonb",
}  # fmt: skip
_EPOCH = 946_684_800_000_000
"""Microseconds from 1970 to 2000, from where Postgres counts."""
# jsonb takes neither U+0000 nor half of a surrogate pair: what is left of these without whole pairs and `\\\\`.
_WHOLE_ESCAPES = r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_BAD_ESCAPES = r"\\u(0000|[dD][89a-fA-F])"


class PostgresDialect:
    """See `Dialect`."""

    binary = ColumnType("foreign", native="bytea")

    def name(self, type_: ColumnType) -> str:
        if type_.native is not None:
            return type_.native
        name = _NAMES.get(type_.name, type_.name)
        if type_.length is not None:
            return f"{name}({type_.length})"
        return name + type_.digits

    def parse(self, text: str) -> ColumnType:
        """`text` as `format_type` gives it."""
        try:
            return parse_type(text)
        except ValueError:
            return ColumnType("foreign", native=text)

    def identity(self, type_: ColumnType, value: str) -> str:
        if type_.name == "numeric" and type_.is_text:
            return canonical(value)
        if type_.name == "char":
            return f"rtrim({value}, ' ')"
        return value

    def refused(self, type_: ColumnType, value: str, *, nul: bool) -> list[str]:
        found = [f"contains({value}, chr(0))"] if nul and type_.is_text else []
        if type_.name in {"json", "jsonb"}:
            whole = f"regexp_replace({value}, '{_WHOLE_ESCAPES}', '', 'g')"
            found.append(f"contains({value}, '\\u') AND regexp_matches({whole}, '{_BAD_ESCAPES}')")
        return found

    @staticmethod
    def has_binary(type_: ColumnType) -> bool:
        """Whether `binary_form` knows the type."""
        return type_.name in _BINARY or (type_.name == "numeric" and not type_.is_text)

    @staticmethod
    def binary_form(type_: ColumnType, value: str) -> str:
        """SQL of what Arrow has to hold for COPY's binary format of a cast `value`.

        Moments are numbers there, whose ends mean infinity: of that, an encoder of Arrow's moments knows nothing.
        """
        if type_.name == "date":
            return _or_infinite(value, f"CAST({value} - DATE '2000-01-01' AS INTEGER)", "INTEGER", 31)
        if type_.name in {"timestamp", "timestamptz"}:
            return _or_infinite(value, f"epoch_us({value}) - {_EPOCH}", "BIGINT", 63)
        if type_.name == "uuid":
            return f"unhex(replace(CAST({value} AS VARCHAR), '-', ''))"
        if type_.name == "jsonb":
            return f"'\\x01'::BLOB || encode({value})"
        return value

    @staticmethod
    def text_form(type_: ColumnType, value: str) -> str:
        """SQL of the text of a cast `value`."""
        return f"CAST({value} AS VARCHAR)"

    def unusable_column(self, name: str) -> str | None:
        return unusable_column(name)

    def unusable_type(self, type_: ColumnType) -> str | None:
        return None

    def binary_text(self, value: str) -> str:
        return f"'\\x' || lower(hex({value}))"


def _or_infinite(value: str, finite: str, type_: str, bits: int) -> str:
    """SQL of `finite` as `type_`, a number of `bits` and a sign, whose ends are the infinities of `value`."""
    ends = f"CASE WHEN {value} > DATE '2000-01-01' THEN {2**bits - 1} ELSE {-(2**bits)} END"
    return f"CAST(CASE WHEN isinf({value}) THEN {ends} ELSE {finite} END AS {type_})"

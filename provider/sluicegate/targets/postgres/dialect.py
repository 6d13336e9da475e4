"""Types as Postgres has them: their names, its equality, and the values it cannot store. Pure: no connection."""

from __future__ import annotations

from sluicegate.records.exact import canonical
from sluicegate.records.types import ColumnType, parse_type
from sluicegate.targets.postgres.names import unusable_column

__all__ = ["PostgresDialect"]

_NAMES = {"double": "double precision"}
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

    def unusable_column(self, name: str) -> str | None:
        return unusable_column(name)

    def binary_text(self, value: str) -> str:
        return f"'\\x' || lower(hex({value}))"

"""The types of a load: what a column may be called, and how DuckDB casts to it strictly.

A cast never loses anything silently: a fraction in an integer, a number out of range, a year of two digits
or a text that is too long is a failed cast, which sets the record aside. What a database calls a type, and what it
cannot store, is its `Dialect`. Pure: text in, SQL text out.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["ColumnType", "UnknownTypeError", "parse_type"]

_ALIASES = {
    "string": "text", "str": "text", "int2": "smallint", "int": "integer", "int4": "integer", "int8": "bigint",
    "long": "bigint", "float4": "real", "float": "double", "float8": "double", "double precision": "double",
    "decimal": "numeric", "bool": "boolean", "timestamp without time zone": "timestamp", "datetime": "timestamp",
    "timestamp with time zone": "timestamptz", "time without time zone": "time", "character varying": "varchar",
    "character": "char", "bpchar": "char",
}  # fmt: skip
_DUCK = {
    "text": "VARCHAR", "varchar": "VARCHAR", "char": "VARCHAR", "smallint": "SMALLINT", "integer": "INTEGER",
    "bigint": "BIGINT", "real": "FLOAT", "double": "DOUBLE", "boolean": "BOOLEAN", "date": "DATE", "time": "TIME",
    "timestamp": "TIMESTAMP", "timestamptz": "TIMESTAMPTZ", "uuid": "UUID", "json": "VARCHAR", "jsonb": "VARCHAR",
}  # fmt: skip
_SIZED = re.compile(r"(?P<name>[a-z][a-z0-9 ]*?)\s*(?:\(\s*(?P<a>\d+)\s*(?:,\s*(?P<b>\d+)\s*)?\))?(?P<rest>[a-z ]*)")
_NUMBER = r"\s*([+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?|NaN)\s*"
_LENGTHS = {"numeric": 2, "varchar": 1, "char": 1, "time": 1, "timestamp": 1, "timestamptz": 1}
"""How many numbers may stand in brackets behind a name; none behind the others."""
MAX_PRECISION = 38
"""DuckDB's widest decimal. A wider or an unbounded `numeric` travels as checked text."""


class UnknownTypeError(ValueError):
    """A text that names no type. `suggestion` is what was probably meant, its numbers included."""

    def __init__(self, text: str, suggestion: str | None) -> None:
        self.message = f"unknown type {text!r} (known: {', '.join(sorted([*_DUCK, 'numeric']))})"
        self.suggestion = suggestion
        super().__init__(f"{self.message}; did you mean {suggestion}?" if suggestion else self.message)


@dataclass(frozen=True)
class ColumnType:
    """One type of the vocabulary: `text`, `varchar(10)`, `numeric(12,2)`, `timestamptz`, ..."""

    name: str
    length: int | None = None
    precision: int | None = None
    scale: int | None = None
    native: str | None = None
    """The target's own name of a type outside the vocabulary; such values travel as text."""

    @property
    def is_text(self) -> bool:
        """Whether DuckDB holds it as text that the target takes as it is."""
        return self.duck == "VARCHAR"

    @property
    def is_number(self) -> bool:
        return self.name in {"smallint", "integer", "bigint", "real", "double", "numeric"}

    @property
    def is_moment(self) -> bool:
        return self.name in {"date", "timestamp", "timestamptz"}

    @property
    def kind(self) -> Literal["number", "text", "moment", "boolean", "other"]:
        """What a check may compare its values with."""
        if self.is_number:
            return "number"
        if self.name in {"text", "varchar", "char"}:
            return "text"
        if self.is_moment:
            return "moment"
        return "boolean" if self.name == "boolean" else "other"

    @property
    def duck(self) -> str:
        """DuckDB's type that holds a cast value."""
        if self.name == "numeric":
            return f"DECIMAL({self.precision},{self.scale})" if self._fits() else "VARCHAR"
        return _DUCK.get(self.name, "VARCHAR")

    def __str__(self) -> str:
        if self.native is not None:
            return self.native
        if self.length is not None:
            return f"{self.name}({self.length})"
        return f"{self.name}({self.precision},{self.scale})" if self.precision is not None else self.name

    def comparable(self, value: str) -> str:
        """SQL that orders `value`, a cast value, by what it says."""
        if self.name == "numeric" and not self._fits():
            return f"TRY_CAST({value} AS DOUBLE)"
        return value

    def cast(self, raw: str) -> str:
        """SQL of the value, NULL where `raw`, SQL of a text or of a typed value, is not one."""
        if not self.is_text:
            return f"TRY_CAST({raw} AS {self.duck})"
        return f"TRY_CAST({raw} AS VARCHAR)"

    def lost(self, raw: str, value: str, *, text: bool, refused: Sequence[str] = ()) -> str | None:
        """SQL that is true where `raw` has a value that the cast loses or changes, never NULL; None if no cast can.

        :param text: whether `raw` is text (a CSV or JSON value) and not already typed.
        :param refused: conditions under which the target cannot store the value.
        """
        faults = self._lossy(raw, value, text=text)
        if not self.is_text:
            faults.insert(0, f"{value} IS NULL")
        faults += refused
        return f"({raw} IS NOT NULL AND coalesce({' OR '.join(faults)}, false))" if faults else None

    def _lossy(self, raw: str, value: str, *, text: bool) -> list[str]:
        name = self.name
        if name in {"varchar", "char"} and self.length is not None:
            return [f"length({value}) > {self.length}"]
        if name in {"smallint", "integer", "bigint"}:
            return [f"{value} <> TRY_CAST({raw} AS DECIMAL(38,9))"]
        if name in {"real", "double"}:
            infinite = f" AND NOT contains(lower({raw}), 'inf')" if text else f" AND NOT isinf(CAST({raw} AS DOUBLE))"
            return [f"(isinf({value}){infinite})"]
        if name == "numeric" and not self._fits():
            return [f"NOT regexp_full_match({value}, '{_NUMBER}')"]
        if self.is_moment:
            # 13-02-11 is the year 13 to DuckDB: nobody means that. Postgres has infinity as well.
            return [f"(isfinite({value}) AND year({value}) NOT BETWEEN 100 AND 9999)"]
        if name in {"json", "jsonb"}:
            return [f"NOT json_valid({value})"]
        return []

    def _fits(self) -> bool:
        return self.precision is not None and self.precision <= MAX_PRECISION


def parse_type(text: str) -> ColumnType:
    """The type that `text` names, in the words of a pipeline file or of SQL.

    :raises UnknownTypeError: a ValueError, which suggests a known name.
    :raises ValueError: for a scale that is larger than the precision.
    """
    words = " ".join(text.strip().lower().split())
    match = _SIZED.fullmatch(words)
    base = (match["name"] + match["rest"]).strip() if match else words
    name = _ALIASES.get(base, base)
    first, second = (int(match[g]) if match and match[g] else None for g in ("a", "b"))
    if name == "numeric":
        precision = first
        if precision is not None and not 0 <= (second or 0) <= precision:
            raise ValueError(f"the scale of {text!r} is larger than its precision")
        return ColumnType("numeric", precision=precision, scale=None if precision is None else second or 0)
    if name in {"varchar", "char"}:
        return ColumnType(name, length=first if name == "varchar" else first or 1)
    if name in _DUCK and (first is None or name in {"time", "timestamp", "timestamptz"}):
        return ColumnType(name)
    raise UnknownTypeError(text, _near(name, [number for number in (first, second) if number is not None]))


def _near(name: str, numbers: list[int]) -> str | None:
    close = difflib.get_close_matches(name, [*_DUCK, *_ALIASES, "numeric"], n=1)
    if not close:
        return None
    fitting = numbers[: _LENGTHS.get(_ALIASES.get(close[0], close[0]), 0)]
    return f"{close[0]}({','.join(map(str, fitting))})" if fitting else close[0]

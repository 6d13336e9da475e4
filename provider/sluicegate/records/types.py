"""The types of a load: what a column may be called, and what DuckDB holds its values as.

How values become of a type is said in `casts`; what a database calls a type, and what it cannot store, is its
`Dialect`. Pure: text in, SQL text out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from sluicegate.pipeline.diagnostics import did_you_mean

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
_LENGTHS = {"numeric": 2, "varchar": 1, "char": 1, "time": 1, "timestamp": 1, "timestamptz": 1}
"""How many numbers may be in brackets after a name; none behind the others."""
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
    """Of a number, its digits; of a time or a timestamp, those behind the seconds' point (6 where it is not said)."""
    scale: int | None = None
    native: str | None = None
    """The target's own name of a type outside the vocabulary; such values travel as text."""

    @property
    def is_text(self) -> bool:
        """Whether DuckDB holds it as text that the target takes as it is."""
        return self.duck == "VARCHAR"

    @property
    def is_array(self) -> bool:
        return self.native is not None and self.native.endswith("[]")

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
        return self.name + self.digits

    @property
    def digits(self) -> str:
        """Precision and scale in brackets, as SQL has them."""
        if self.precision is None:
            return ""
        return f"({self.precision})" if self.scale is None else f"({self.precision},{self.scale})"

    def comparable(self, value: str) -> str:
        """SQL that orders `value`, a cast value, by what it says."""
        if self.name == "numeric" and not self._fits():
            return f"TRY_CAST({value} AS DOUBLE)"
        return value

    def _fits(self) -> bool:
        return self.precision is not None and self.precision <= MAX_PRECISION


@lru_cache(maxsize=1024)
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
    if name in {"time", "timestamp", "timestamptz"}:
        return ColumnType(name, precision=first)
    if name in _DUCK and first is None:
        return ColumnType(name)
    raise UnknownTypeError(text, _near(name, [number for number in (first, second) if number is not None]))


def _near(name: str, numbers: list[int]) -> str | None:
    meant = did_you_mean(name, [*_DUCK, *_ALIASES, "numeric"])
    if meant is None:
        return None
    fitting = numbers[: _LENGTHS.get(_ALIASES.get(meant, meant), 0)]
    return f"{meant}({','.join(map(str, fitting))})" if fitting else meant

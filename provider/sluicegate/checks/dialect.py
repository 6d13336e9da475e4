"""The SQL of the two engines that carry out compiled rules: DuckDB in a worker, Spark on a cluster.

Types are said in DuckDB's words everywhere in this room. Two functions have to be registered with the engine:
`SEARCH` and `PARSES`, of `functions`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from sluicegate.checks.sql import literal, name_of

__all__ = ["DUCKDB", "PARSES", "SEARCH", "SPARK", "SqlDialect"]

SEARCH = "sluicegate_search"
"""The SQL function that `functions.search` has to be registered as."""
PARSES = "sluicegate_parses"
"""The SQL function that `functions.parses` has to be registered as."""


_TIME = re.compile(r"\s*([0-9]{1,2}):([0-9]{1,2})(?::([0-9]{1,2})(?:\.([0-9]*))?)?\s*")


def clock(text: str) -> str:
    """A time of the day as DuckDB writes it; what is none stays as it is."""
    if (found := _TIME.fullmatch(text)) is None:
        return text
    hour, minute, second, digits = found.groups("")
    fraction = digits[:6].rstrip("0")
    return f"{hour:0>2}:{minute:0>2}:{second:0>2}{'.' if fraction else ''}{fraction}"


@dataclass(frozen=True)
class SqlDialect:
    """How an engine says what it does not say as DuckDB does.

    :param types: DuckDB's name of a type -> the engine's
    :param quote: the mark around a name
    :param escapes: whether a backslash in a literal is an escape
    :param matching: whether a pattern is found in a text, with the engine's own regular expressions
    :param printable: whether a text is of printable ASCII characters alone
    :param whole: the type in which whole numbers are added without overflow
    :param writes_floats: whether the text of a floating-point number is that of a worker
    """

    name: str
    quote: str
    escapes: bool
    matching: str
    printable: str
    whole: str
    writes_floats: bool = True
    types: Mapping[str, str] = field(default_factory=dict)

    def literal(self, text: str) -> str:
        """A string literal."""
        if not self.escapes:
            return literal(text)
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

    def name_of(self, name: str) -> str:
        """A quoted identifier."""
        if self.quote == '"':
            return name_of(name)
        return self.quote + name.replace(self.quote, self.quote * 2) + self.quote

    def type(self, type_: str) -> str:
        """The engine's name of a type of DuckDB's."""
        return self.types.get(type_, type_)

    def constant(self, text: str, type_: str) -> str:
        """The value of a type that `text` says."""
        if self.type(type_) != type_:  # perhaps a text there, of one form
            text = text.lower() if type_ == "UUID" else clock(text) if type_ == "TIME" else text
        return f"CAST({self.literal(text)} AS {self.type(type_)})"

    def text(self, value: str) -> str:
        """`value` as a text."""
        return f"CAST({value} AS {self.type('VARCHAR')})"

    def matches(self, text: str, pattern: str) -> str:
        """Whether the engine itself finds `pattern` in `text`."""
        return self.matching.format(text=text, pattern=self.literal(pattern))

    def is_printable(self, text: str) -> str:
        """Whether `text` has nothing but printable ASCII characters."""
        return self.printable.format(text=text)


DUCKDB = SqlDialect(
    "duckdb",
    quote='"',
    escapes=False,
    matching="regexp_matches({text}, {pattern})",
    printable="regexp_full_match({text}, '[ -~]*')",
    whole="HUGEINT",
)
SPARK = SqlDialect(
    "spark",
    quote="`",
    escapes=True,
    matching="({text} RLIKE {pattern})",
    printable=r"({text} RLIKE '\\A[ -~]*\\z')",
    whole="DECIMAL(38,0)",
    writes_floats=False,
    types={
        "VARCHAR": "STRING",
        "INTEGER": "INT",
        "TIMESTAMP": "TIMESTAMP_NTZ",
        "TIMESTAMPTZ": "TIMESTAMP",
        "TIME": "STRING",
        "UUID": "STRING",
    },
)

"""A query with templates in it, whose values are bound and never become a part of its text. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sluicegate.graph.template import evaluate
from sluicegate.graph.window import Window

__all__ = ["Statement", "statement_of", "why_unbindable"]

_VALUE = re.compile(r"\{\{-?(.*?)-?\}\}", re.DOTALL)
_TOKENS = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True)
class Statement:
    """The pieces of a query's text, and the values that are between them."""

    pieces: tuple[str, ...]
    values: tuple[Any, ...] = ()

    def text(self, placeholder: str) -> str:
        """The query for a driver that marks values by `placeholder`."""
        doubled = "%" in placeholder
        return placeholder.join(piece.replace("%", "%%") if doubled else piece for piece in self.pieces)

    def narrowed(self, column: str, low: Any, high: Any) -> Statement:
        """The rows whose `column` (quoted, where it has to be) is above `low` and at most `high`, where these are not
        None.
        """
        bounds = [(f"{column} {sign} ", end) for sign, end in ((">", low), ("<=", high)) if end is not None]
        if not bounds:
            return self
        first, *rest = self.pieces
        *pieces, last = (f"SELECT * FROM ({first}", *rest)
        for number, (condition, _) in enumerate(bounds):
            pieces.append(f"{last} AND {condition}" if number else f"{last}\n) q WHERE {condition}")
            last = ""
        return Statement((*pieces, last), (*self.values, *(end for _, end in bounds)))

    def newest(self, column: str) -> Statement:
        """The largest value of `column`."""
        return self._around(f"SELECT max({column}) FROM", "")

    def without_rows(self) -> Statement:
        """The columns alone."""
        return self._around("SELECT * FROM", " WHERE 1 = 0")

    def _around(self, before: str, behind: str) -> Statement:
        first, *rest = self.pieces
        *middle, last = (f"{before} ({first}", *rest)
        return Statement((*middle, f"{last}\n) q{behind}"), self.values)


def statement_of(sql: str, window: Window, params: Mapping[str, Any], **names: Any) -> Statement:
    """The query that `sql` is in one run.

    :param names: what a template knows besides: the `item` of a mapped step
    :raises ValueError: when a template is wrong, or is where no value can be bound.
    """
    if (why := why_unbindable(sql)) is not None:
        raise ValueError(why)
    pieces = _VALUE.split(sql.strip().rstrip(";").rstrip())
    values = [evaluate(words.strip(), window=window, params=params, **names) for words in pieces[1::2]]
    return Statement(tuple(pieces[::2]), tuple(values))


def why_unbindable(sql: str) -> str | None:
    """Why no values can be bound where the templates of `sql` are; None if they can."""
    if "{%" in sql or "{#" in sql:
        return "a query has values in `{{ }}`, and no `{% %}`: what it reads is always the same, but for values"
    for token in _TOKENS.findall(sql):
        if "{{" in token:
            return f"{_shortened(token)}: values are bound, so leave the quotes or the comment around `{{{{ }}}}` away"
    return None


def _shortened(words: str) -> str:
    return words if len(words) <= 60 else words[:57] + "..."

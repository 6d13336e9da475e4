"""Records of dead letters as values: JSON with all digits of its numbers, and texts as a file would have them. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sluicegate.ledger.letters import Letter
from sluicegate.records.reader import MALFORMED

__all__ = ["Exact", "Record", "columns_of", "is_malformed", "parsed", "record_of", "text_of", "written"]

Record = str | Mapping[str, Any]
"""A line that could not be split, or values by column."""


class Exact(float):
    """A number of a JSON text with the digits that it is written with."""

    def __new__(cls, text: str) -> Exact:
        made = super().__new__(cls, text)
        made.text = text
        return made

    text: str


def parsed(text: str) -> Any:
    """The value of a JSON text.

    :raises ValueError: when it is not one; NaN and Infinity are none.
    """
    return json.loads(text, parse_float=Exact, parse_constant=_refuse)


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is not JSON")


def written(value: object) -> str:
    """JSON of `value`; of what `parsed` read, with the digits it had. Other numbers, dates and such are texts."""
    if isinstance(value, Exact):
        return value.text
    if isinstance(value, Mapping):
        items = (f"{json.dumps(str(name), ensure_ascii=False)}: {written(each)}" for name, each in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(written, value)) + "]"
    if value is None or isinstance(value, (bool, int, float)):
        return json.dumps(value)
    return json.dumps(str(value), ensure_ascii=False)


def text_of(value: object) -> str | None:
    """`value` as the text that a file of texts would have for it."""
    if value is None or isinstance(value, str):
        return value
    return str(value) if not isinstance(value, (bool, int, float, Mapping, list, tuple)) else written(value)


def is_malformed(letter: Letter) -> bool:
    return any(failure["rule"] == MALFORMED for failure in letter.failures)


def record_of(letter: Letter) -> Record:
    """What the letter says of its record."""
    if is_malformed(letter):
        return letter.record
    values: Mapping[str, Any] = parsed(letter.record)
    return values


def columns_of(letter: Letter) -> tuple[str, ...]:
    """The columns that the letter's load brought, as far as is known, those first that its record has."""
    own = letter.header or () if is_malformed(letter) else tuple(parsed(letter.record))
    return tuple(dict.fromkeys([*own, *letter.absent]))

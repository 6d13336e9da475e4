"""How numbers and moments are written in a text file, as SQL that writes them the one way that casts read. Pure.

What is not in the notation that the pipeline says is not guessed at: `1.5` in a file with decimal commas is not a
number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

from sluicegate.checks.sql import literal
from sluicegate.pipeline.keys.model import Format
from sluicegate.records.types import ColumnType

__all__ = ["PLAIN", "Epoch", "Notation", "epoch_moment", "from_epoch", "notation_of", "suggest"]

Epoch = Literal["seconds", "milliseconds", "microseconds"]

_FRACTION = {"seconds": 6, "milliseconds": 3, "microseconds": 0}
"""Digits behind the point that a timestamp has room for."""
_PLAIN = r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*"
_WORDS = r"\s*[+-]?(?i:nan|inf|infinity)\s*"
_DAY = r"(?s)\s*([0-9]{1,2})[./-]([0-9]{1,2})[./-]([0-9]{4})($|[ T,].*)"
_START = datetime(1970, 1, 1, tzinfo=UTC)
_SPACES = " \u00a0\u202f"
_SEPARATORS = {" ": f"[{_SPACES}]", "'": "['\u2019]"}


@dataclass(frozen=True)
class Notation:
    """`thousands` None is none, `dates` None is the year first."""

    decimal: str = "."
    thousands: str | None = None
    dates: Literal["day_first", "month_first"] | None = None

    def of_type(self, text: str, type_: ColumnType) -> str:
        """SQL of `text`, SQL of a text, as the casts to `type_` read it; never NULL where it is not."""
        if type_.is_number:
            return self._number(text)
        return self._moment(text) if type_.is_moment else text

    def of_any(self, text: str) -> str:
        """The same for a column whose type is not known yet."""
        if self == PLAIN:
            return text
        number = ""
        if self._is_foreign:
            other = f"WHEN regexp_full_match({text}, {literal(_PLAIN)}) THEN '?' || {text} "
            number = f"{self._number_case(text)}{other}"
        moment = self._moment_case(text) if self.dates else ""
        return f"CASE {number}{moment}ELSE {text} END"

    def plain_number(self, text: str) -> str | None:
        """`text`, which is a number in this notation, as casts read it; None where it is none."""
        if not self._is_foreign:
            return text
        if re.fullmatch(self._numbers, text) is None:
            return text if re.fullmatch(_WORDS, text) else None
        bare = text if self.thousands is None else re.sub(self._separator, "", text)
        return bare.replace(self.decimal, ".")

    def plain_moment(self, text: str) -> str:
        """`text` with the year first where its date has it last."""
        match = re.fullmatch(_DAY, text)
        if self.dates is None or match is None:
            return text
        day, month = (1, 2) if self.dates == "day_first" else (2, 1)
        return f"{match[3]}-{match[month]:0>2}-{match[day]:0>2}{re.sub('^, *', ' ', match[4])}"

    def is_needed_for(self, number: str) -> bool:
        """Whether `number` is one in this notation, and uses its separator of thousands, if it has one."""
        uses = self.thousands is None or re.search(self._separator, number) is not None
        return uses and re.fullmatch(self._numbers, number) is not None

    def __str__(self) -> str:
        thousands = "" if self.thousands is None else f', thousands: "{self.thousands}"'
        return f'decimal: "{self.decimal}"{thousands}'

    @property
    def _is_foreign(self) -> bool:
        return self.decimal != "." or self.thousands is not None

    @property
    def _separator(self) -> str:
        assert self.thousands is not None
        return _SEPARATORS.get(self.thousands, f"[{self.thousands}]")

    @property
    def _numbers(self) -> str:
        point = f"[{self.decimal}]"
        whole = "[0-9]+" if self.thousands is None else f"([0-9]+|[0-9]{{1,3}}({self._separator}[0-9]{{3}})+)"
        return rf"\s*[+-]?({whole}({point}[0-9]*)?|{point}[0-9]+)([eE][+-]?[0-9]+)?\s*"

    def _number(self, text: str) -> str:
        if not self._is_foreign:
            return text
        words = f"WHEN regexp_full_match({text}, {literal(_WORDS)}) THEN {text} "
        return f"CASE {self._number_case(text)}{words}ELSE '?' || {text} END"

    def _number_case(self, text: str) -> str:
        bare = text
        if self.thousands is not None:
            bare = f"regexp_replace({text}, {literal(self._separator)}, '', 'g')"
        number = f"replace({bare}, {literal(self.decimal)}, '.')"
        return f"WHEN regexp_full_match({text}, {literal(self._numbers)}) THEN {number} "

    def _moment(self, text: str) -> str:
        return f"CASE {self._moment_case(text)}ELSE {text} END" if self.dates else text

    def _moment_case(self, text: str) -> str:
        day, month = (1, 2) if self.dates == "day_first" else (2, 1)
        part = {number: f"regexp_extract({text}, {literal(_DAY)}, {number})" for number in (1, 2, 3, 4)}
        iso = f"{part[3]} || '-' || lpad({part[month]}, 2, '0') || '-' || lpad({part[day]}, 2, '0')"
        rest = f"regexp_replace({part[4]}, '^, *', ' ')"
        return f"WHEN regexp_full_match({text}, {literal(_DAY)}) THEN {iso} || {rest} "


PLAIN = Notation()
"""As casts read: a decimal point, and the year first."""


def notation_of(form: Format, *, numbers: bool = True) -> Notation:
    """The notation of a text file. JSON has its own way to write `numbers`."""
    return Notation(form.decimal, form.thousands, form.dates) if numbers else Notation(dates=form.dates)


def from_epoch(text: str, unit: Epoch, *, zoned: bool) -> str:
    """SQL of the moment in UTC that `text` counts from 1970 to, as casts read it: with a zone if `zoned`."""
    places = _FRACTION[unit]
    micros = f"CAST(CAST(trim({text}) AS DECIMAL(38,6)) * {10**places} AS BIGINT)"
    zone = " || '+00'" if zoned else ""
    return (
        f"CASE WHEN regexp_full_match({text}, {literal(_epoch(unit))}) "
        f"THEN CAST(make_timestamp({micros}) AS VARCHAR){zone} ELSE '?' || {text} END"
    )


def epoch_moment(text: str, unit: Epoch) -> str | None:
    """The same of a text; None where it is not a number of `unit`."""
    if re.fullmatch(_epoch(unit), text) is None:
        return None
    micros = int(Decimal(text) * 10 ** _FRACTION[unit])
    return (_START + timedelta(microseconds=micros)).replace(tzinfo=None).isoformat(" ")


def _epoch(unit: Epoch) -> str:
    """Up to the year 5138; digits that a timestamp has no room for are zeros."""
    places = _FRACTION[unit]
    return rf"\s*-?[0-9]{{1,{17 - places}}}(\.[0-9]{{0,{places}}}0*)?\s*"


def suggest(text: str, type_: ColumnType) -> str | None:
    """The option by which `text` would be a value of `type_`, as the pipeline file says it."""
    if type_.is_number:
        return _suggest_number(text)
    return _suggest_moment(text) if type_.is_moment else None


def _suggest_number(text: str) -> str | None:
    options = [
        Notation(decimal, thousands)
        for decimal, thousands in ((",", None), (".", ","), (",", "."), (",", " "), (".", " "), (".", "'"), (",", "'"))
    ]
    fitting = [f"`format: {{{option}}}`" for option in options if option.is_needed_for(text)]
    return " or ".join(fitting) or None


def _suggest_moment(text: str) -> str | None:
    for length, unit in ((10, "seconds"), (13, "milliseconds"), (16, "microseconds")):
        if re.fullmatch(rf"[0-9]{{{length}}}([.][0-9]*)?", text):
            return f"`epoch: {unit}` in the column"
    if match := re.fullmatch(_DAY, text):
        first, second = int(match[1]), int(match[2])
        orders = [
            name for name, month, day in (("day_first", second, first), ("month_first", first, second))
            if 1 <= month <= 12 and 1 <= day <= 31
        ]  # fmt: skip
        return " or ".join(f"`format: {{dates: {order}}}`" for order in orders) or None
    return None

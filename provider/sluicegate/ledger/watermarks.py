"""How far a source was read: for each window of a step a range of its watermark. Values, and the protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any, Protocol

from sluicegate.faults import fault
from sluicegate.graph.window import Window

__all__ = ["Decide", "Known", "Mark", "Range", "Reader", "Watermarks"]


@dataclass(frozen=True)
class Mark:
    """A value of a watermark column, as a text that reads back the same."""

    kind: str
    text: str

    @classmethod
    def of(cls, value: Any) -> Mark:
        """:raises FaultError: WRONG_USE when values of that type have no order that is known here."""
        match value:
            case bool():
                pass
            case int():
                return cls("integer", str(value))
            case Decimal() | float() if not isfinite(value):
                # Nothing is above it: all that comes later would be left out.
                raise fault("WRONG_USE", f"the largest value of the watermark is {value}: leave it out in the query")
            case Decimal():
                return cls("numeric", str(value))
            case float():
                return cls("double", repr(value))
            case datetime():
                return cls("timestamp" if value.tzinfo is None else "timestamptz", value.isoformat())
            case date():
                return cls("date", value.isoformat())
            case str():
                return cls("text", value)
        raise fault("WRONG_USE", f"a watermark is a number, a moment or a text, not a {type(value).__name__}")

    @classmethod
    def like(cls, text: str, other: Mark) -> Mark:
        """What a person wrote, as a value of the kind of `other`.

        :raises FaultError: WRONG_USE when it is not one.
        """
        try:
            mark = cls.of(cls(other.kind, text).value)
            if mark.kind == "timestamptz" and other.kind == "timestamp":
                raise ValueError("the watermark has no zone")
            if mark.kind == "timestamp" and other.kind == "timestamptz":
                mark = cls.of(mark.value.replace(tzinfo=other.value.tzinfo))
        except (ValueError, ArithmeticError) as error:
            raise fault("WRONG_USE", f"since: {text!r} is not a value of the watermark, a {other.kind}") from error
        return mark

    @property
    def value(self) -> Any:
        match self.kind:
            case "integer":
                return int(self.text)
            case "numeric":
                return Decimal(self.text)
            case "double":
                return float(self.text)
            case "timestamp" | "timestamptz":
                return datetime.fromisoformat(self.text)
            case "date":
                return date.fromisoformat(self.text)
        return self.text

    def minus(self, lookback: timedelta | None) -> Any:
        """The value so much earlier.

        :raises FaultError: WRONG_USE when the watermark is not a moment.
        """
        if lookback is None:
            return self.value
        if self.kind not in {"timestamp", "timestamptz", "date"}:
            raise fault("WRONG_USE", f"lookback: is for moments, and the watermark is a {self.kind}")
        days = -(-lookback // timedelta(days=1)) if self.kind == "date" else 0
        return self.value - (timedelta(days=days) if days else lookback)


@dataclass(frozen=True)
class Range:
    """What a window reads: above `low`, or everything, and at most `high`; without a `high`, nothing."""

    low: Mark | None
    high: Mark | None

    @property
    def is_empty(self) -> bool:
        return self.high is None or self.low == self.high

    def __str__(self) -> str:
        return f"({'' if self.low is None else self.low.text}, {'' if self.high is None else self.high.text}]"


@dataclass(frozen=True)
class Reader:
    """Who reads: a step, and what of it is counted by itself (`scope`: the params that its query uses, its item)."""

    pipeline: str
    step: str
    scope: str = ""


@dataclass(frozen=True)
class Known:
    """What the ledger knows: the window's own range, and those of the windows before and after it."""

    own: Range | None
    before: Range | None
    after: Range | None


Decide = Callable[[Known], Range]


class Watermarks(Protocol):
    """The ranges of all readers."""

    def agree(self, reader: Reader, window: Window, run_id: str | None, decide: Decide) -> Range:
        """What `decide` says of what is known, kept. One decision of a reader at a time."""

    def known(self, reader: Reader, window: Window) -> Known: ...

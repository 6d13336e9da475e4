"""The runs that a waiting task waits for, as its rendered field says them: Airflow lists that with every instance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

__all__ = ["AwaitedRuns"]

_MOST = 100
"""Airflow cuts off rendered fields of more than 4096 characters."""


@dataclass(frozen=True)
class AwaitedRuns:
    """The runs of a DAG at `dates`, or all those from `dates[0]` to `dates[1]` where it is a `span`.

    `dates` are logical dates, aware; None means that any run will do.
    """

    dates: tuple[datetime, ...] | None
    span: bool = False

    @classmethod
    def of(cls, value: object) -> AwaitedRuns:
        """The runs in the `awaited_dates` of a task instance's rendered fields.

        :raises ValueError: when that is not what `value` gives.
        """
        if value is None or value == "None":
            return cls(None)
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise ValueError(f"not the dates of runs: {value!r}")
        first, _, last = value[0].partition("/") if len(value) == 1 else ("", "", "")
        if last:
            return cls((datetime.fromisoformat(first), datetime.fromisoformat(last)), span=True)
        return cls(tuple(map(datetime.fromisoformat, value)))

    @classmethod
    def at(cls, dates: Sequence[datetime] | None) -> AwaitedRuns:
        """The runs at `dates`, oldest first, between which the DAG has no others: many of them are a span."""
        if dates is None or len(dates) <= _MOST:
            return cls(None if dates is None else tuple(dates))
        return cls((dates[0], dates[-1]), span=True)

    @property
    def value(self) -> list[str] | None:
        """The runs as the value of a field: ISO 8601 in UTC, a span as `first/last`."""
        if self.dates is None:
            return None
        shown = [date.astimezone(UTC).isoformat() for date in self.dates]
        return ["/".join(shown)] if self.span else shown

    def __contains__(self, date: datetime) -> bool:
        """Whether the run at this logical date is one of them."""
        if self.dates is None:
            return True
        return self.dates[0] <= date <= self.dates[1] if self.span else date in self.dates

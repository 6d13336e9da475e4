"""Cron expressions in a time zone, with the same ticks as Airflow's `CronDataIntervalTimetable`.

Airflow reckons in naive local time and makes the result aware afterwards: a tick in the hour that the
clock skips moves forward by that hour, one in the hour that comes twice is the second of the two, and a
cron for every hour goes by elapsed time instead. `tests/graph/test_cron.py` holds the two together.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from threading import Lock
from zoneinfo import ZoneInfo

from croniter import CroniterBadCronError, CroniterBadDateError, croniter  # type: ignore[import-untyped]

__all__ = ["Cron", "cron_of", "expand_cron", "zone"]

PRESETS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 */3 *",
    "@yearly": "0 0 1 1 *",
}
_DAY = 24 * 60
_MINUTE = timedelta(minutes=1)
_stepping = Lock()
_RANDOM = re.compile(r"(?i)(?<![a-z])[rh](?![a-z])")


@lru_cache(maxsize=256)
def zone(name: str) -> ZoneInfo:
    """The time zone of that IANA name.

    :raises ValueError: when there is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError; a folder's name an OSError
        raise ValueError(f"unknown time zone {name!r}: expected an IANA name such as Europe/Berlin") from None


@lru_cache(maxsize=1024)
def expand_cron(text: str) -> str:
    """The five fields of a cron or of a preset such as `@daily`.

    :raises ValueError: for anything but five fields, for random times, and for times that never come.
    """
    if text.startswith("@") and text not in PRESETS:
        raise ValueError(f"unknown preset {text!r}: expected one of {', '.join(PRESETS)}")
    expression = " ".join(PRESETS.get(text, text).split())
    fields = expression.split(" ")
    if len(fields) != 5:
        raise ValueError(f"invalid cron {text!r}: expected five fields (minute hour day month weekday)")
    if _RANDOM.search(expression):
        raise ValueError(f"invalid cron {text!r}: `R` and `H` mean times chosen at random; give the times themselves")
    try:
        croniter(expression, start_time=datetime(2024, 1, 1, tzinfo=UTC)).get_next(datetime)
    except CroniterBadDateError:
        raise ValueError(f"the cron {text!r} never comes") from None
    except (CroniterBadCronError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise ValueError(f"invalid cron {text!r}: {error}") from None
    return expression


@lru_cache(maxsize=1024)
def cron_of(expression: str, timezone: str) -> Cron:
    """The cron, made once: reading an expression costs more than using it."""
    return Cron(expand_cron(expression), timezone)


@dataclass(frozen=True)
class Cron:
    """A cron of five fields in a time zone. All instants that come out are in UTC."""

    expression: str
    timezone: str

    @cached_property
    def _zone(self) -> ZoneInfo:
        return zone(self.timezone)

    @cached_property
    def _croniter(self) -> croniter:
        """Made once, since that costs more than a step. It keeps where it is, so one thread at a time."""
        return croniter(self.expression, start_time=datetime(2024, 1, 1, tzinfo=UTC))

    @cached_property
    def _fields(self) -> list[list[int | str]]:
        fields: list[list[int | str]] = self._croniter.expanded
        return fields

    @property
    def every_hour(self) -> bool:
        """Whether it ticks in every hour of its days; Airflow then goes by elapsed time."""
        return self._fields[1] == ["*"]

    @property
    def every_day(self) -> bool:
        """Whether day, month and weekday are all free."""
        return all(field == ["*"] for field in self._fields[2:])

    @property
    def by_weekday_only(self) -> bool:
        """Whether day and month are free, so that a week shows everything."""
        return all(field == ["*"] for field in self._fields[2:4])

    def next(self, instant: datetime) -> datetime:
        """The first tick after `instant`."""
        return self._step(instant, forward=True)

    def previous(self, instant: datetime) -> datetime:
        """The last tick before `instant`."""
        return self._step(instant, forward=False)

    def intervals(self, instant: datetime) -> Iterator[tuple[datetime, datetime]]:
        """The data intervals as Airflow links them, from one or two before `instant` on, without end."""
        # Looking back from inside a skipped or repeated hour can miss: start well before it.
        margin = timedelta() if self.timezone == "UTC" else timedelta(hours=3)
        start = self.previous(instant - margin)
        while True:
            end = self.next(start)
            yield start, end
            following = end if self.timezone == "UTC" else self._aligned(end, start)
            if following <= start:
                following = self.next(following)
            start = following if following > start else end

    def first(self, start: datetime) -> datetime:
        """Where the first interval of a schedule with that `start` begins."""
        following = self.next(start)
        return following if self.previous(following) != start else start

    def _aligned(self, tick: datetime, start: datetime) -> datetime:
        """Where Airflow starts the interval after one from `start` to `tick`, the tick that follows.

        Next to a skipped hour that is not always `tick`: times that fall into the hour come after it.
        """
        before = self.previous(tick)
        return tick if before == start or self.next(before) == tick else before

    @cached_property
    def _of_day(self) -> list[int]:
        """The minutes of a day at which it ticks, in order."""
        minutes, hours = (
            list(range(size)) if field == ["*"] else [int(value) for value in field]
            for field, size in zip(self._fields[:2], (60, 24), strict=True)
        )
        return sorted(hour * 60 + minute for hour in hours for minute in minutes)

    def minutes_between(self) -> tuple[int, int]:
        """The shortest and the longest distance between ticks, in wall-clock minutes."""
        ticks = self._of_day
        distances = [after - before for before, after in zip(ticks, [*ticks[1:], ticks[0] + _DAY], strict=True)]
        return min(distances), max(distances)

    def _step(self, instant: datetime, *, forward: bool) -> datetime:
        local = instant.astimezone(self._zone).replace(tzinfo=None, fold=0)
        found = self._in_days(local, forward=forward) if self.every_day else self._by_croniter(local, forward=forward)
        if self.every_hour:
            return instant.astimezone(UTC) + (found - local)
        return self._aware(found)

    def _by_croniter(self, local: datetime, *, forward: bool) -> datetime:
        with _stepping:
            step = self._croniter.get_next if forward else self._croniter.get_prev
            found: datetime = step(datetime, start_time=local)
        return found

    def _in_days(self, local: datetime, *, forward: bool) -> datetime:
        """The same for one that ticks alike on every day, in a tenth of the time."""
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        minutes = (local - midnight) / _MINUTE
        place = bisect_right(self._of_day, minutes) if forward else bisect_left(self._of_day, minutes) - 1
        days, number = divmod(place, len(self._of_day))
        return midnight + timedelta(days=days, minutes=self._of_day[number])

    def _aware(self, local: datetime) -> datetime:
        before = local.replace(tzinfo=self._zone, fold=0)
        after = local.replace(tzinfo=self._zone, fold=1)
        skipped = (after.utcoffset() or timedelta()) - (before.utcoffset() or timedelta())
        if skipped > timedelta():
            return (local + skipped).replace(tzinfo=self._zone).astimezone(UTC)
        return after.astimezone(UTC)

"""The window of a run, and the windows of another pipeline's runs that end inside it.

The rule: a run waits for every upstream run whose window *ends* in `(start, end]` of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice, pairwise
from typing import TYPE_CHECKING

from sluicegate.graph.cron import Cron, cron_of, zone

if TYPE_CHECKING:
    from sluicegate.pipeline.keys.model import Schedule

__all__ = ["Window", "awaited_dates", "endless", "unmatched", "upstream_windows", "windows"]

_YEAR = 366
_LOOK = timedelta(days=9)  # a whole week and the days around it
_TO_LEAP = timedelta(days=366 * 8)  # every month, every length of month, a leap day
_MOST = 3000  # windows to try in one stretch: eight years of days
_SHIFT = 60  # minutes that daylight saving may take from one distance or add to it
_AGES = timedelta(days=36525)
_BASE = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, order=True)
class Window:
    """The data interval of a run: `start` inclusive, `end` exclusive, both aware."""

    start: datetime
    end: datetime

    @property
    def ds(self) -> str:
        """The day of `start`, as `YYYY-MM-DD`, in the time zone that `start` is given in."""
        return self.start.strftime("%Y-%m-%d")

    def in_zone(self, timezone: str) -> Window:
        """The same window in the time zone of that IANA name: its `ds` is the day there."""
        place = zone(timezone)
        return Window(self.start.astimezone(place), self.end.astimezone(place))

    def __str__(self) -> str:
        return f"{self.start.isoformat()}/{self.end.isoformat()}"


def windows(schedule: Schedule, after: datetime) -> Iterator[Window]:
    """The windows of a cron schedule that end after `after`, in order, in UTC, none before `start`."""
    if schedule.cron is None:
        return
    cron = cron_of(schedule.cron, schedule.timezone)
    first = _first(cron, schedule.start) if schedule.start is not None else after - _AGES
    for start, end in cron.intervals(max(after, first)):
        if schedule.end is not None and start >= schedule.end:
            return
        if end > after and start >= first:
            yield Window(start, end)


@lru_cache(maxsize=1024)
def _first(cron: Cron, start: datetime) -> datetime:
    return cron.first(start)


def upstream_windows(schedule: Schedule, window: Window) -> tuple[Window, ...]:
    """The windows of an upstream with that schedule that end in `(window.start, window.end]`.

    Oldest first, in UTC; empty where the upstream has no cron, or no run that ends there.
    """
    found = []
    for upstream in windows(schedule, window.start):
        if upstream.end > window.end:
            break
        found.append(upstream)
    return tuple(found)


def awaited_dates(schedule: Schedule | None, window: Window, *, latest: bool = False) -> tuple[datetime, ...] | None:
    """The logical dates of the upstream's runs that a run with `window` waits for, in UTC, oldest first.

    None means any run; none at all, that no run of the upstream ends in `window`.

    :param schedule: the upstream's; None (a DAG that is not a pipeline): its run at the start of `window`
    """
    if latest:
        return None
    if schedule is None:
        return (window.start.astimezone(UTC),)
    return tuple(upstream.start for upstream in upstream_windows(schedule, window))


def endless(schedule: Schedule) -> Schedule:
    """The same without `start` and `end`."""
    return schedule.model_copy(update={"start": None, "end": None})


@lru_cache(maxsize=4096)
def unmatched(reader: Schedule, upstream: Schedule) -> Window | None:
    """A window of `reader` in which no window of `upstream` ends, or None when there is no such window.

    Both have a cron. Where the distances between ticks do not decide it, the windows of a week and those
    around each change of the clocks are tried, and those of eight years where days of the month count.
    """
    if reader.cron is None or upstream.cron is None:
        raise ValueError("only schedules with a cron have windows to match")
    bounded = _unmatched_at_the_ends(reader, upstream)
    if bounded is not None:
        return bounded
    ours, theirs = cron_of(reader.cron, reader.timezone), cron_of(upstream.cron, upstream.timezone)
    if ours == theirs or _distances_decide(ours, theirs):
        return None
    every, unbounded = endless(upstream), endless(reader)
    for first, last in _spans(ours, theirs, reader.start or _BASE):
        for window in islice(windows(unbounded, first), _MOST):
            if window.start > last:
                break
            if not _finds_one(every, window):
                return window
    return None


def _unmatched_at_the_ends(reader: Schedule, upstream: Schedule) -> Window | None:
    """The first or the last run of `reader`, when `upstream` has not begun or has already ended by then."""
    begin = reader.start or _BASE
    first = next(windows(reader, begin - timedelta(days=1)), None)
    if first is not None and not _finds_one(upstream, first):
        return first
    if upstream.end is None:
        return None
    after = max(begin, upstream.end) if reader.end is None else max(begin, reader.end - timedelta(days=1))
    for window in windows(reader, after):
        if not _finds_one(upstream, window):
            return window
    return None


def _finds_one(upstream: Schedule, window: Window) -> bool:
    """Whether a window of the upstream ends in `window`; only the first one is looked for."""
    first = next(windows(upstream, window.start), None)
    return first is not None and first.end <= window.end


def _distances_decide(ours: Cron, theirs: Cron) -> bool:
    """Whether `theirs` ticks so often that no distance between two of our ticks can miss it.

    Wall-clock distances; in a time zone with daylight saving one may be longer or shorter by an hour.
    """
    if not theirs.every_day:
        return False
    slack = sum(_SHIFT for cron in (ours, theirs) if cron.timezone != "UTC" and not cron.every_hour)
    return theirs.minutes_between()[1] + slack <= ours.minutes_between()[0]


def _spans(ours: Cron, theirs: Cron, begin: datetime) -> list[tuple[datetime, datetime]]:
    """The stretches of time in which to try the reader's windows."""
    if not (ours.by_weekday_only and theirs.by_weekday_only):
        return [(begin, begin + _TO_LEAP)]
    spans = [(begin, begin + _LOOK)]
    days = [begin + timedelta(days=day) for day in range(_YEAR)]
    for name in {ours.timezone, theirs.timezone} - {"UTC"}:
        offsets = [day.astimezone(zone(name)).utcoffset() for day in days]
        for day, (before, after) in zip(days, pairwise(offsets), strict=False):
            if before != after:
                spans.append((day - timedelta(days=2), day + timedelta(days=3)))
    return spans

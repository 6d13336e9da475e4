"""The window rule over all pairs of grains and both changes of the clocks, held against Airflow's own timetable.

The oracle knows nothing of ours: it lists the data intervals that Airflow would run, and compares moments.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import product, takewhile

import pytest
from airflow.timetables.base import TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable
from pendulum import instance

from sluicegate.graph.window import Window, unmatched, upstream_windows, windows
from sluicegate.pipeline.keys.model import Schedule

GRAINS = {"15 min": "*/15 * * * *", "hour": "0 * * * *", "day": "0 0 * * *", "week": "0 0 * * 1", "month": "0 0 1 * *"}
ORDER = list(GRAINS)
# In every zone of a whole number of hours these come at the same moments: Airflow's timetable is slow to say so.
EVEN = {"15 min": timedelta(minutes=15), "hour": timedelta(hours=1)}
ZONES = ("UTC", "Europe/Berlin")
CHANGES = (datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC))
DAY = timedelta(days=1)
NEAR = {"15 min": timedelta(hours=3), "hour": timedelta(hours=6), "day": 2 * DAY, "week": 7 * DAY}
"""The windows around the change tell most, and cost time."""
PAIRS = [
    (reader, upstream)
    for reader in product(GRAINS, ZONES)
    for upstream in product(GRAINS, ZONES)
    # Quarters of an hour are the same in both zones: once is enough.
    if upstream[0] != "15 min" or upstream[1] == reader[1]
]
Kind = tuple[str, str]


def schedule(kind: Kind, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> Schedule:
    return Schedule(kind="cron", cron=GRAINS[kind[0]], timezone=kind[1], start=start)


@cache
def airflows(grain: str, timezone: str, first: datetime, last: datetime) -> tuple[Window, ...]:
    """Airflow's data intervals from the first one that starts at `first` or later to the one that ends by `last`."""
    timetable = CronDataIntervalTimetable(GRAINS[grain], timezone)
    restriction = TimeRestriction(earliest=instance(first), latest=None, catchup=True)
    found: list[Window] = []
    interval = None
    while True:
        info = timetable.next_dagrun_info(last_automated_data_interval=interval, restriction=restriction)
        assert info is not None
        interval = info.data_interval
        if interval.end > last:
            return tuple(found)
        found.append(Window(plain(interval.start), plain(interval.end)))


@cache
def intervals(kind: Kind, first: datetime, last: datetime) -> tuple[Window, ...]:
    """The same, by counting where that is all there is to it; `first` is a whole hour."""
    step = EVEN.get(kind[0])
    if step is None:
        return airflows(*kind, first, last)
    return tuple(Window(first + step * n, first + step * (n + 1)) for n in range((last - first) // step))


def plain(moment: datetime) -> datetime:
    return datetime.fromtimestamp(moment.timestamp(), UTC)


def span(change: datetime) -> tuple[datetime, datetime]:
    """A whole month lies inside, and the change of the clocks in it."""
    return change - DAY * 32, change + DAY * 10


def awaited(upstream: Kind, window: Window, change: datetime) -> list[Window]:
    """What a run with `window` waits for: the upstream's intervals that end after its start and by its end."""
    first, last = span(change)
    every = intervals(upstream, first - DAY * 32, last + DAY * 32)
    ends = [each.end for each in every]
    return list(every[bisect_right(ends, window.start) : bisect_right(ends, window.end)])


def name(pair: tuple[Kind, Kind]) -> str:
    return " of ".join(" in ".join(each) for each in pair)


@pytest.mark.parametrize(("grain", "zone", "change"), list(product(GRAINS, ZONES, CHANGES)))
def test_our_windows_are_airflow_s(grain: str, zone: str, change: datetime) -> None:
    first, last = (change - DAY, change + DAY) if grain in EVEN else span(change)
    ours = takewhile(lambda window: window.end <= last, windows(schedule((grain, zone)), first))
    theirs = airflows(grain, zone, first, last)
    assert tuple(window for window in ours if window.start >= first) == theirs == intervals((grain, zone), first, last)


@pytest.mark.parametrize("pair", PAIRS, ids=name)
def test_a_run_waits_for_exactly_the_windows_that_end_in_its_own(pair: tuple[Kind, Kind]) -> None:
    reader, upstream = pair
    for change in CHANGES:
        own = [
            window
            for window in intervals(reader, *span(change))
            if abs(window.start - change) < NEAR.get(reader[0], DAY * 40)
        ]
        assert own
        for window in own:
            assert list(upstream_windows(schedule(upstream), window)) == awaited(upstream, window, change), window


@pytest.mark.parametrize("pair", PAIRS, ids=name)
def test_lint_refuses_exactly_what_cannot_map(pair: tuple[Kind, Kind]) -> None:
    reader, upstream = schedule(pair[0]), schedule(pair[1], datetime(2025, 10, 1, tzinfo=UTC))
    fits = ORDER.index(pair[1][0]) <= ORDER.index(pair[0][0])
    window = unmatched(reader, upstream)
    assert (window is None) == fits
    if window is not None:
        around = window.start.replace(minute=0)
        ended = airflows(*pair[1], around - (DAY if pair[1][0] in EVEN else DAY * 32), window.end)
        assert not [each for each in ended if each.end > window.start], "a window is named that has an upstream"

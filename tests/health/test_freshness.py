from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from sluicegate.graph.window import Window, windows
from sluicegate.health.freshness import is_historic, late_from
from sluicegate.pipeline.keys.model import Schedule

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
START = datetime(2026, 3, 2, tzinfo=UTC)


def newest(cron: str, number: int, timezone: str = "UTC", start: datetime = START) -> Window:
    """The window of that number, from 0."""
    schedule = Schedule(kind="cron", cron=cron, timezone=timezone, start=start)
    return next(islice(windows(schedule, start), number, None))


@pytest.mark.parametrize(
    ("cron", "timezone", "fresh_within", "late"),
    [
        ("0 0 * * *", "UTC", 30 * HOUR, "2026-03-04T06:00"),
        ("0 * * * *", "UTC", 3 * HOUR, "2026-03-02T04:00"),
        ("0 0 * * 1", "UTC", 8 * DAY, "2026-03-17T00:00"),
        ("0 0 1 * *", "UTC", 33 * DAY, "2026-06-03T00:00"),
        ("0 7 * * *", "Europe/Berlin", 30 * HOUR, "2026-03-04T12:00"),
    ],
)
def test_the_window_after_the_newest_one_has_to_succeed_by_its_start_and_the_promise(
    cron: str, timezone: str, fresh_within: timedelta, late: str
) -> None:
    found = late_from(fresh_within, newest(cron, 0, timezone), None)
    assert found == datetime.fromisoformat(f"{late}+00:00")


def test_the_day_on_which_the_clocks_change_is_an_hour_shorter() -> None:
    sunday = newest("0 0 * * *", 0, "Europe/Berlin", datetime(2026, 3, 28, 23, tzinfo=UTC))
    assert sunday.end - sunday.start == 23 * HOUR
    assert late_from(30 * HOUR, sunday, None) == sunday.end + 30 * HOUR


def test_a_pipeline_that_has_never_succeeded_is_late_by_its_first_window() -> None:
    assert late_from(30 * HOUR, None, START) == START + 30 * HOUR
    assert late_from(30 * HOUR, None, None) is None


def test_after_the_last_window_nothing_is_due() -> None:
    last = Window(START, START + DAY)
    assert late_from(30 * HOUR, last, None, end=START + DAY) is None
    assert late_from(30 * HOUR, last, None, end=START + 2 * DAY) is not None
    assert late_from(30 * HOUR, None, START + DAY, end=START + DAY) is None


def test_a_window_is_historic_once_the_next_one_is_late_too() -> None:
    day = Window(START, START + DAY)
    assert not is_historic(day, 30 * HOUR, START + 30 * HOUR)
    assert not is_historic(day, 30 * HOUR, START + DAY + 30 * HOUR - timedelta(seconds=1))
    assert is_historic(day, 30 * HOUR, START + DAY + 30 * HOUR)


def test_the_last_window_of_all_never_becomes_historic() -> None:
    assert not is_historic(Window(START, START + DAY), 30 * HOUR, START + 900 * DAY, end=START + DAY)


def test_a_run_without_an_interval_is_historic_after_twice_the_time() -> None:
    moment = Window(START, START)
    assert not is_historic(moment, 30 * HOUR, START + 59 * HOUR)
    assert is_historic(moment, 30 * HOUR, START + 60 * HOUR)

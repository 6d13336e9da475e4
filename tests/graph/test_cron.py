"""The ticks are Airflow's: both sides are asked for the same windows, over zones and changes of the clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest
from airflow.timetables.base import DataInterval, TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable
from croniter import croniter  # type: ignore[import-untyped]
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pendulum import instance

from sluicegate.graph.cron import PRESETS, cron_of, expand_cron
from sluicegate.graph.window import Window, upstream_windows, windows
from sluicegate.pipeline.keys.model import Schedule

CRONS = (
    "0 0 * * *", "30 2 * * *", "0 7 * * *", "0 * * * *", "*/15 * * * *", "15,45 * * * *", "0 */2 * * *",
    "30 1-3 * * *", "0 9 * * 1-5", "0 0 * * 0", "0 0 1 * *", "30 2 1 */3 *", "59 23 L * *",
    "0 12 13 * 5", "5 4 29 2 *", "15,45 2,3 * * *",
)  # fmt: skip
ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Adelaide", "Africa/Casablanca",
)  # fmt: skip
YEARS = (datetime.fromisoformat("2020-01-01"), datetime.fromisoformat("2030-01-01"))
# Not here, because Airflow's own answer depends on where it began: every hour of some days across a change of
# the clocks (`0 * 1 * *`), and changes by half an hour (Australia/Lord_Howe), where its scheduler fails.


def airflows_windows(cron: str, timezone: str, start: datetime, count: int) -> list[Window]:
    timetable = CronDataIntervalTimetable(cron, timezone=timezone)
    restriction = TimeRestriction(earliest=instance(start), latest=None, catchup=True)
    found: list[Window] = []
    last: DataInterval | None = None
    for _ in range(count):
        info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        assert info is not None
        last = info.data_interval
        found.append(Window(last.start.astimezone(UTC), last.end.astimezone(UTC)))
    return found


@settings(max_examples=60, deadline=None)
@example("30 2 * * *", "Europe/Berlin", 88 * 24)
@example("0 * * * *", "Europe/Berlin", 302 * 24)
@given(st.sampled_from(CRONS), st.sampled_from(ZONES), st.integers(0, 366 * 24))
def test_windows_are_the_data_intervals_of_airflow(cron: str, timezone: str, hours: int) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hours)
    schedule = Schedule(kind="cron", cron=cron, timezone=timezone, start=start)
    ours = list(islice(windows(schedule, start - timedelta(days=1)), 12))
    assert ours == airflows_windows(cron, timezone, start, 12)


@pytest.mark.parametrize("cron", ["30 2 * * *", "0 * * * *", "30 * * * *", "*/30 1-3 * * *", "0 */2 * * *"])
@pytest.mark.parametrize(
    ("timezone", "days"),
    [
        ("Europe/Berlin", ("2026-03-29", "2026-10-25")),
        ("America/New_York", ("2026-03-08", "2026-11-01")),
        ("Australia/Adelaide", ("2026-04-05", "2026-10-04")),
    ],
)
def test_a_year_of_changing_clocks_is_airflows(cron: str, timezone: str, days: tuple[str, ...]) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    schedule = Schedule(kind="cron", cron=cron, timezone=timezone, start=start)
    for day in days:
        begin = datetime.fromisoformat(f"{day}T00:00+00:00") - timedelta(hours=20)
        from_there = schedule.model_copy(update={"start": begin})
        ours = list(islice(windows(from_there, begin - timedelta(days=1)), 60))
        assert ours == airflows_windows(cron, timezone, begin, 60)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(CRONS), st.sampled_from(ZONES), st.integers(0, 8000), st.integers(0, 96))
def test_upstream_windows_are_those_that_end_inside(cron: str, timezone: str, hours: int, length: int) -> None:
    first = datetime(2026, 1, 1, tzinfo=UTC)
    start = first + timedelta(hours=hours)
    window = Window(start, start + timedelta(hours=length))
    schedule = Schedule(kind="cron", cron=cron, timezone=timezone, start=start - timedelta(days=35))
    known = []
    for each in windows(schedule, start - timedelta(days=35)):
        if each.end > window.end:
            break
        known.append(each)
    expected = tuple(each for each in known if window.start < each.end <= window.end)
    assert upstream_windows(schedule, window) == expected


@pytest.mark.parametrize("cron", ["0 * 1 * *", "0 * * * *", "*/20 * * * 1", "0 2,3 * * *"])
@pytest.mark.parametrize("timezone", ["Australia/Lord_Howe", "America/New_York", "Africa/Casablanca", "Europe/Berlin"])
def test_windows_always_go_forward(cron: str, timezone: str) -> None:
    schedule = Schedule(kind="cron", cron=cron, timezone=timezone, start=datetime(2026, 1, 1, tzinfo=UTC))
    starts = [window.start for window in islice(windows(schedule, datetime(2026, 2, 1, tzinfo=UTC)), 400)]
    assert all(before < after for before, after in pairwise(starts))


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([cron for cron in CRONS if cron.endswith(" * * *")]),
    st.datetimes(*YEARS, timezones=st.just(UTC)),
    st.booleans(),
)
def test_ticks_of_every_day_are_croniters(cron: str, moment: datetime, on_a_tick: bool) -> None:
    ours = cron_of(cron, "UTC")
    assert ours.every_day
    if on_a_tick:
        moment = moment.replace(minute=moment.minute // 15 * 15, second=0, microsecond=0)
    assert ours.next(moment) == croniter(cron, moment).get_next(datetime)
    assert ours.previous(moment) == croniter(cron, moment).get_prev(datetime)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_airflows(preset: str) -> None:
    from airflow.utils.dates import cron_presets

    assert expand_cron(preset) == cron_presets[preset]
    assert cron_presets.keys() == PRESETS.keys()


@pytest.mark.parametrize("timezone", ZONES)
def test_a_tick_is_the_same_from_before_and_from_behind(timezone: str) -> None:
    cron = cron_of("0 7 * * *", timezone)
    tick = cron.next(datetime(2026, 3, 28, 12, tzinfo=UTC))
    assert cron.previous(tick + timedelta(hours=1)) == tick


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 0 * *", "five fields"),
        ("0 0 0 * * *", "five fields"),
        ("", "five fields"),
        ("60 * * * *", "invalid cron"),
        ("0 24 * * *", "invalid cron"),
        ("0 0 * * funday", "invalid cron"),
        ("R R * * *", "random"),
        ("H 3 * * *", "random"),
        ("0 0 30 2 *", "never comes"),
        ("@dayly", "unknown preset"),
        ("@once", "unknown preset"),
        ("@continuous", "unknown preset"),
    ],
)
def test_what_is_not_a_cron_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        expand_cron(text)


@pytest.mark.parametrize("text", ["0 0 * * thu,fri", "0 0 1 mar *", "0 0 * * 5#2", "0 0 L * *", " 0  0 * * 7"])
def test_crons_with_names_and_ordinals(text: str) -> None:
    assert expand_cron(text) == " ".join(text.split())

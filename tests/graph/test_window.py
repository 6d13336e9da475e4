from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluicegate.graph.window import Window, unmatched, upstream_windows, windows
from sluicegate.pipeline.keys.model import Schedule


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def cron(expression: str, timezone: str = "UTC", start: str | None = "2026-01-01", end: str | None = None) -> Schedule:
    return Schedule(
        kind="cron",
        cron=expression,
        timezone=timezone,
        start=at(start) if start else None,
        end=at(end) if end else None,
    )


def test_ds_is_the_day_in_the_zone_of_the_start() -> None:
    window = Window(at("2026-03-01T23:00"), at("2026-03-02T23:00"))
    assert window.ds == "2026-03-01"
    assert window.in_zone("Europe/Berlin").ds == "2026-03-02"
    assert window.in_zone("Europe/Berlin") == window


def test_the_same_day_at_another_hour() -> None:
    seven = Window(at("2026-02-11T07:00"), at("2026-02-12T07:00"))
    assert upstream_windows(cron("0 0 * * *"), seven) == (Window(at("2026-02-11"), at("2026-02-12")),)


def test_twenty_four_hours_into_a_day() -> None:
    day = Window(at("2026-02-11"), at("2026-02-12"))
    hours = upstream_windows(cron("0 * * * *"), day)
    assert [window.start.hour for window in hours] == list(range(24))


def test_days_into_a_month() -> None:
    february = Window(at("2026-02-01"), at("2026-03-01"))
    assert len(upstream_windows(cron("0 0 * * *"), february)) == 28


def test_the_day_that_the_clocks_change_has_23_or_25_hours() -> None:
    days = cron("0 0 * * *", "Europe/Berlin")
    hours = cron("0 * * * *", "Europe/Berlin")
    counts = {}
    for day in islice(windows(days, at("2026-01-02")), 360):
        counts[day.in_zone("Europe/Berlin").ds] = len(upstream_windows(hours, day))
    assert counts["2026-03-29"] == 23
    assert counts["2026-10-25"] == 25
    assert set(counts.values()) == {23, 24, 25}


def test_an_empty_window_has_no_upstream() -> None:
    noon = at("2026-02-11T00:00")
    assert upstream_windows(cron("0 0 * * *"), Window(noon, noon)) == ()


def test_runs_before_the_start_and_from_the_end_on_do_not_exist() -> None:
    bounded = cron("0 * * * *", start="2026-02-11T12:00", end="2026-02-11T20:00")
    found = upstream_windows(bounded, Window(at("2026-02-11"), at("2026-02-12")))
    assert found[0].start == at("2026-02-11T12:00")
    assert found[-1].start == at("2026-02-11T19:00")


def test_what_has_no_cron_has_no_windows() -> None:
    assert upstream_windows(Schedule(), Window(at("2026-02-11"), at("2026-02-12"))) == ()


@pytest.mark.parametrize(
    ("reader", "upstream"),
    [
        (cron("0 7 * * *"), cron("0 0 * * *")),
        (cron("0 0 * * *"), cron("0 * * * *")),
        (cron("0 0 1 * *"), cron("0 0 * * *")),
        (cron("0 0 * * 1"), cron("0 0 * * *")),
        (cron("0 0 1 * *"), cron("0 0 * * 0")),
        (cron("@daily"), cron("@daily")),
        (cron("0 0 1 */3 *"), cron("0 0 1 * *")),
        (cron("*/15 * * * *"), cron("*/5 * * * *")),
        (cron("0 7 * * *", "Europe/Berlin"), cron("0 1 * * *", "Europe/Berlin")),
        (cron("0 0 * * *", "Europe/Berlin"), cron("0 * * * *")),
        (cron("0 0 29 2 *"), cron("0 0 1 1 *")),
        (cron("0 9 * * 1-5"), cron("0 6 * * 1-5")),
    ],
)
def test_grains_that_match(reader: Schedule, upstream: Schedule) -> None:
    assert unmatched(reader, upstream) is None


@pytest.mark.parametrize(
    ("reader", "upstream"),
    [
        (cron("0 * * * *"), cron("0 0 * * *")),
        (cron("0 0 * * *"), cron("0 0 * * 0")),
        (cron("0 0 * * *"), cron("0 0 1 * *")),
        (cron("*/5 * * * *"), cron("*/15 * * * *")),
        (cron("0 0 * * *"), cron("0 9 * * 1-5")),
        (cron("0 0 * * 0"), cron("0 0 1 * *")),
        (cron("0 9 * * *"), cron("0 9 1-28 * *")),
        # Twelve hours apart, and once a year the clocks take one of them.
        (cron("0 1,4 * * *"), cron("0 3 * * *", "Europe/Berlin")),
        (cron("0 0 1 1 *"), cron("0 0 29 2 *")),
    ],
)
def test_grains_that_do_not_match(reader: Schedule, upstream: Schedule) -> None:
    window = unmatched(reader, upstream)
    assert window is not None
    assert upstream_windows(upstream, window) == ()


def test_a_reader_that_begins_before_its_upstream_waits_for_ever() -> None:
    window = unmatched(cron("0 0 * * *", start="2025-01-01"), cron("0 0 * * *"))
    assert window == Window(at("2025-01-01"), at("2025-01-02"))
    assert unmatched(cron("0 7 * * *"), cron("0 0 * * *")) is None


def test_a_reader_that_goes_on_after_its_upstream_waits_for_ever() -> None:
    ended = cron("0 0 * * *", end="2026-02-01")
    assert unmatched(cron("0 7 * * *"), ended) is not None
    assert unmatched(cron("0 7 * * *", end="2026-02-02"), ended) is not None
    assert unmatched(cron("0 7 * * *", end="2026-02-01"), ended) is None


FIELDS = st.builds(
    "{} {} {} * {}".format,
    st.sampled_from(["0", "30", "*/20", "5,50"]),
    st.sampled_from(["*", "0", "7", "*/6", "1-3"]),
    st.sampled_from(["*", "*", "1", "15,28"]),
    st.sampled_from(["*", "*", "1-5", "0"]),
)


@settings(max_examples=25, deadline=None)
@given(FIELDS, FIELDS, st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]), st.integers(0, 20000))
def test_where_lint_says_always_every_window_finds_one(ours: str, theirs: str, timezone: str, hours: int) -> None:
    reader, upstream = cron(ours, timezone), cron(theirs)
    if unmatched(reader, upstream) is None:
        for window in islice(windows(reader, at("2026-01-01") + timedelta(hours=hours)), 20):
            assert upstream_windows(upstream, window), window

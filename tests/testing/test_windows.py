"""The window that a test means."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sluicegate.graph.window import Window
from sluicegate.pipeline.keys.model import Schedule
from sluicegate.testing.windows import window_of


def cron(text: str, timezone: str = "UTC") -> Schedule:
    return Schedule(kind="cron", cron=text, timezone=timezone, start=datetime(2020, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("schedule", "said", "start", "end"),
    [
        (cron("0 0 * * *"), "2013-02-11", "2013-02-11T00:00", "2013-02-12T00:00"),
        (cron("0 7 * * *"), "2013-02-11", "2013-02-11T07:00", "2013-02-12T07:00"),
        (cron("0 * * * *"), "2013-02-11", "2013-02-11T00:00", "2013-02-11T01:00"),
        (cron("0 * * * *"), "2013-02-11T05:00", "2013-02-11T05:00", "2013-02-11T06:00"),
        (cron("0 0 * * 1"), "2013-02-11", "2013-02-11T00:00", "2013-02-18T00:00"),
        (cron("0 0 * * *", "Europe/Berlin"), "2013-02-11", "2013-02-10T23:00", "2013-02-11T23:00"),
    ],
)
def test_a_day_or_a_time_at_which_a_window_starts(schedule: Schedule, said: str, start: str, end: str) -> None:
    found = window_of(schedule, said)
    assert found == Window(datetime.fromisoformat(f"{start}+00:00"), datetime.fromisoformat(f"{end}+00:00"))
    assert window_of(schedule, found) == found


def test_a_day_on_which_no_window_starts_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"no window of 0 0 .* starts at 2013-02-12; the next one is 2013-02-18"):
        window_of(cron("0 0 * * 1"), "2013-02-12")
    with pytest.raises(ValueError, match="give window"):
        window_of(cron("0 0 * * *"), None)


def test_without_a_cron_a_run_has_a_moment() -> None:
    moment = datetime(2013, 2, 11, tzinfo=UTC)
    assert window_of(Schedule(), "2013-02-11") == Window(moment, moment)
    now = window_of(Schedule(), None)
    assert now.start == now.end

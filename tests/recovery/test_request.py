"""What a plan is asked for: times, windows and runs as people write them, and words that do not exist."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sluicegate.recovery.definition import RunKey
from sluicegate.recovery.errors import WrongRequest
from sluicegate.recovery.request import Request, moment, run_key, window_of

NOW = datetime(2026, 1, 10, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90m", NOW - timedelta(minutes=90)),
        ("12h", NOW - timedelta(hours=12)),
        ("3d", NOW - timedelta(days=3)),
        ("2026-01-05", datetime(2026, 1, 5, tzinfo=UTC)),
        ("2026-01-05T02:00", datetime(2026, 1, 5, 2, tzinfo=UTC)),
        ("2026-01-05T02:00+02:00", datetime(2026, 1, 5, 0, tzinfo=UTC)),
    ],
)
def test_a_time_is_a_moment_or_how_long_ago(text: str, expected: datetime) -> None:
    assert moment(text, NOW) == expected


@pytest.mark.parametrize(
    ("text", "days"),
    [("2026-01-01..2026-01-07", (1, 8)), ("2026-01-01", (1, 2)), ("2026-01-01T00:00..2026-01-02T00:00", (1, 2))],
)
def test_days_of_a_window_are_included(text: str, days: tuple[int, int]) -> None:
    assert window_of(text) == tuple(datetime(2026, 1, day, tzinfo=UTC) for day in days)


@pytest.mark.parametrize(
    "text", ["2026-01-07..2026-01-01", "yesterday", "2026-01-01..", "2026-01-01T05:00..2026-01-01T04:00"]
)
def test_a_window_that_cannot_be_meant_is_an_error(text: str) -> None:
    with pytest.raises(WrongRequest):
        window_of(text)


def test_times_of_a_window_are_not_taken_for_days() -> None:
    start, end = window_of("2026-01-01 05:00..2026-01-01 06:00")
    assert (start.hour, end.hour, end.day) == (5, 6, 1)


def test_the_farthest_times_are_no_crash() -> None:
    assert window_of("2026-01-01..9999-12-31")[1].year == 9999
    with pytest.raises(WrongRequest, match="Not a time"):
        moment("99999999999d", NOW)


def test_a_time_that_is_none_is_an_error_with_the_ways_to_write_one() -> None:
    with pytest.raises(WrongRequest, match="Not a time: 'soon'") as error:
        moment("soon", NOW)
    assert "12h" in error.value.remedy


def test_a_run_is_a_dag_and_a_run_id() -> None:
    assert run_key("flights/scheduled__2026-01-05T00:00:00+00:00") == RunKey(
        "flights", "scheduled__2026-01-05T00:00:00+00:00"
    )
    with pytest.raises(WrongRequest, match="Not a run: 'flights'"):
        run_key("flights")


def test_a_fault_of_a_pipelines_own_may_be_asked_for() -> None:
    assert Request(faults=("PARTNER_CLOSED", "fatal")).faults == ("PARTNER_CLOSED", "fatal")
    with pytest.raises(WrongRequest, match="no fault closed"):
        Request(faults=("closed",))


def test_a_fault_or_kind_that_there_is_not_is_an_error_and_not_an_empty_plan() -> None:
    with pytest.raises(WrongRequest, match="no fault SOURCE_MISING") as error:
        Request(faults=("SOURCE_MISING",))
    assert error.value.remedy == "Did you mean SOURCE_MISSING?"
    with pytest.raises(WrongRequest, match="no kind of step emr"):
        Request(kinds=("emr",))


def test_the_words_of_a_request_are_what_differs_from_everything() -> None:
    assert Request().words() == {}
    assert Request(pipelines=("a*",), window=window_of("2026-01-01"), force=True, runs=(RunKey("a", "r"),)).words() == {
        "pipelines": ["a*"],
        "window": ["2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00"],
        "runs": ["a r"],
        "force": True,
    }

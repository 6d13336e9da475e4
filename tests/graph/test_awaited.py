from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from sluicegate.graph.awaited import AwaitedRuns

FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def hours(count: int) -> list[datetime]:
    return [FIRST + timedelta(hours=number) for number in range(count)]


@pytest.mark.parametrize("dates", [None, [], hours(1), hours(24)])
def test_dates_come_back_from_a_rendered_field(dates: list[datetime] | None) -> None:
    runs = AwaitedRuns.at(dates)
    assert AwaitedRuns.of(json.loads(json.dumps(runs.value))) == runs
    assert runs.dates == (None if dates is None else tuple(dates))


def test_dates_are_written_in_utc() -> None:
    assert AwaitedRuns.at([FIRST.astimezone(timezone(timedelta(hours=2)))]).value == ["2026-01-01T00:00:00+00:00"]


def test_many_dates_are_a_span_that_airflow_does_not_cut_off() -> None:
    runs = AwaitedRuns.at(hours(31 * 24))
    assert runs.value == ["2026-01-01T00:00:00+00:00/2026-01-31T23:00:00+00:00"]
    assert AwaitedRuns.of(runs.value) == runs
    assert max(len(str(AwaitedRuns.at(hours(count)).value)) for count in range(200)) < 4096


def test_which_runs_are_awaited() -> None:
    few, many, any_ = AwaitedRuns.at(hours(2)), AwaitedRuns.at(hours(200)), AwaitedRuns.at(None)
    later = FIRST + timedelta(days=300)
    assert [FIRST in few, FIRST in many, FIRST in any_] == [True, True, True]
    assert [later in few, later in many, later in any_] == [False, False, True]
    assert FIRST + timedelta(minutes=1) not in few


@pytest.mark.parametrize("value", ["Truncated. You can change this", {"a": 1}, [1], 7, ["yesterday"]])
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"not the dates|Invalid isoformat"):
        AwaitedRuns.of(value)

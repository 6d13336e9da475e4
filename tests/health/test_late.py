from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from sluicegate.graph.window import Window
from sluicegate.health.late import Deadline, late, successors, verdict

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
START = datetime(2026, 3, 2, tzinfo=UTC)


def deadline(**changes: Any) -> Deadline:
    usual: dict[str, Any] = {
        "pipeline": "orders", "run_id": "r", "run_type": "scheduled", "window": Window(START, START + DAY),
        "fresh_within": 30 * HOUR, "end": None, "is_dry": False,
    }  # fmt: skip
    return Deadline(**usual | changes)


def test_a_run_that_misses_its_deadline_is_a_reason() -> None:
    assert verdict(deadline(), START + 30 * HOUR) is None
    assert verdict(deadline(run_type="backfill"), START + 30 * HOUR) is None


def test_runs_by_hand_dry_runs_and_windows_of_long_ago_are_none() -> None:
    now = START + 30 * HOUR
    assert verdict(deadline(run_type="manual"), now) == "a run that a person started"
    assert verdict(deadline(is_dry=True), now) == "a dry run"
    assert verdict(deadline(), START + 900 * DAY) is not None


def test_the_windows_after_one_are_those_that_are_over() -> None:
    now = START + 3 * DAY + HOUR
    assert successors(Window(START, START + DAY), "0 0 * * *", "UTC", now) == (START + 2 * DAY, START + DAY)
    assert successors(Window(START, START + DAY), None, "UTC", now) == ()


class FakeAirflow:
    def __init__(self, state: str, later: int) -> None:
        self.state, self.later, self.asked = state, later, []  # type: ignore[var-annotated]

    def get_dagrun_state(self, dag_id: str, run_id: str) -> str:
        return self.state

    def get_dr_count(self, dag_id: str, logical_dates: list[datetime], states: list[str]) -> int:
        self.asked += logical_dates
        return self.later


@pytest.fixture
def context() -> dict[str, Any]:
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 6 * HOUR
    run = {
        "dag_run_id": "scheduled__x", "run_type": "scheduled", "logical_date": start.isoformat(), "conf": {},
        "data_interval_start": start.isoformat().replace("+00:00", "Z"),
        "data_interval_end": (start + HOUR).isoformat(),
    }  # fmt: skip
    return {"dag_run": run, "deadline": {"id": "x"}}


SAID = {"pipeline": "orders", "fresh_within": 6 * 3600, "cron": "0 * * * *", "timezone": "UTC"}


@pytest.mark.parametrize(
    ("state", "later", "said"),
    [
        ("running", 0, "late"),
        ("failed", 0, "late"),
        ("success", 0, "its run has succeeded meanwhile"),
        ("failed", 1, "the run of a later window has succeeded"),
    ],
)
def test_it_is_late_only_while_no_run_has_brought_newer_data(
    context: dict[str, Any], monkeypatch: pytest.MonkeyPatch, state: str, later: int, said: str
) -> None:
    fake = FakeAirflow(state, later)
    for name in ("get_dagrun_state", "get_dr_count"):
        monkeypatch.setattr(RuntimeTaskInstance, name, staticmethod(getattr(fake, name)))
    assert asyncio.run(late(context=context, **SAID)) == said


@pytest.mark.parametrize(("made_ago", "seconds"), [(timedelta(), 3600), (timedelta(hours=2, minutes=1), None)])
def test_a_run_that_was_made_after_its_deadline_has_an_hour(
    monkeypatch: pytest.MonkeyPatch, made_ago: timedelta, seconds: int | None
) -> None:
    now, pauses = datetime.now(UTC), list[float]()

    async def sleep(pause: float) -> None:
        pauses.append(pause)

    run = {
        "dag_run_id": "scheduled__x", "run_type": "scheduled", "queued_at": (now - made_ago).isoformat(),
        "data_interval_start": (now - 8 * HOUR).isoformat(), "data_interval_end": (now - 4 * HOUR).isoformat(),
    }  # fmt: skip
    fake = FakeAirflow("running", 0)
    for name in ("get_dagrun_state", "get_dr_count"):
        monkeypatch.setattr(RuntimeTaskInstance, name, staticmethod(getattr(fake, name)))
    monkeypatch.setattr("sluicegate.health.late.asyncio.sleep", sleep)
    assert asyncio.run(late(context={"dag_run": run}, **SAID | {"cron": None})) == "late"
    assert pauses == ([] if seconds is None else [pytest.approx(seconds, abs=60)])


def test_channels_that_hang_hold_up_nothing_else_in_the_triggerer(
    context: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    hang = threading.Event()
    monkeypatch.setattr("sluicegate.health.late._late", lambda *_: str(hang.wait(120)))

    async def others() -> bool:
        late_ones = [asyncio.create_task(late(context=context, **SAID)) for _ in range(50)]
        await asyncio.sleep(0)
        done = await asyncio.wait_for(asyncio.to_thread(lambda: True), 60)
        hang.set()
        assert set(await asyncio.gather(*late_ones)) == {"True"}
        return done

    assert asyncio.run(others())


def test_it_never_raises_into_the_triggerer() -> None:
    assert asyncio.run(late(context={}, **SAID)) == "failed"

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sluicegate.health.alerts import alert_of, late_alert
from sluicegate.health.overdue import Kind, Overdue, overdue
from sluicegate.health.own_airflow import LastRun
from sluicegate.pipeline import read_together
from sluicegate.pipeline.keys.model import Pipeline

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
NOW = datetime(2026, 3, 10, 8, tzinfo=UTC)
TODAY = NOW.replace(hour=0)
PATIENCE = 15 * MINUTE


@dataclass
class FakeAirflow:
    """`runs`: logical date to state."""

    runs: dict[datetime, str] = field(default_factory=dict)
    paused: bool | None = False
    calls: int = 0
    ended: datetime | None = None
    began: datetime | None = None

    def is_paused(self, dag_id: str) -> bool | None:
        self.calls += 1
        return self.paused

    def count(self, dag_id: str, dates: Sequence[datetime] | None, states: Sequence[str] | None = None) -> int:
        self.calls += 1
        return sum(
            (dates is None or date in dates) and (states is None or state in states)
            for date, state in self.runs.items()
        )

    def last(self, dag_id: str, before: datetime, state: str | None = None) -> LastRun | None:
        found = [date for date, each in self.runs.items() if date < before and state in (None, each)]
        return LastRun(f"scheduled__{max(found):%Y-%m-%d}", max(found), self.ended, self.began) if found else None


def pipeline(tmp_path: Path, text: str) -> Pipeline:
    file = tmp_path / "orders.yaml"
    step = "steps: {tick: {operator: airflow.providers.standard.operators.empty.EmptyOperator}}\n"
    file.write_text("sluicegate: 1\n" + text + step)
    return read_together(file, tmp_path).pipeline


DAILY = "schedule: {cron: '@daily', start: 2026-01-01}\n"
PROMISED = DAILY + "fresh_within: 30h\n"
DUE = TODAY - DAY  # its 30 hours were over today at six


@pytest.mark.parametrize(
    ("text", "airflow", "kind"),
    [
        (PROMISED, FakeAirflow({DUE: "success"}), None),
        (DAILY + "fresh_within: 54h\n", FakeAirflow({DUE - DAY: "failed", DUE: "success"}), None),
        (PROMISED, FakeAirflow({DUE - DAY: "success", DUE: "failed"}), Kind.LATE),
        (PROMISED, FakeAirflow({DUE - DAY: "success", DUE: "running"}), Kind.LATE),
        (PROMISED, FakeAirflow({DUE: "running"}), None),
        (PROMISED, FakeAirflow({DUE - DAY: "success"}), Kind.STALLED),
        (PROMISED, FakeAirflow({DUE - DAY: "running"}), None),
        (PROMISED, FakeAirflow({DUE - DAY: "success"}, paused=True), Kind.PAUSED),
        (PROMISED, FakeAirflow(paused=None), Kind.GONE),
        (PROMISED + "paused: true\n", FakeAirflow(paused=True), None),
        (DAILY, FakeAirflow({TODAY - DAY: "failed"}), None),
        (DAILY, FakeAirflow({TODAY - 2 * DAY: "success"}), Kind.STALLED),
        (DAILY, FakeAirflow({TODAY - 2 * DAY: "success"}, paused=True), None),
        ("schedule: {cron: '@daily', start: 2026-01-01, end: 2026-02-01}\n", FakeAirflow(), None),
        ("schedule: {cron: '@daily', start: 2026-03-10}\n", FakeAirflow(), None),
        ("schedule: once\n", FakeAirflow(), None),
        ("fresh_within: 30h\n", FakeAirflow(), None),
        ("schedule: {cron: '0 0 1 * *', start: 2026-01-01}\nfresh_within: 33d\n", FakeAirflow(), Kind.STALLED),
        ("schedule: {cron: '0 0 * * 1-5', start: 2026-01-01}\nfresh_within: 5d\n",
         FakeAirflow({datetime(2026, 3, 6, tzinfo=UTC): "success"}), None),
    ],
)  # fmt: skip
def test_what_is_overdue(tmp_path: Path, text: str, airflow: FakeAirflow, kind: Kind | None) -> None:
    found = overdue(pipeline(tmp_path, text), airflow, NOW, PATIENCE)
    assert (found.kind if found else None) == kind


@pytest.mark.parametrize(
    ("began", "is_late"), [(NOW - 50 * MINUTE, False), (NOW - 70 * MINUTE, True), (DUE + DAY, True), (None, True)]
)
def test_a_run_that_has_begun_when_its_data_was_late_has_an_hour(
    tmp_path: Path, began: datetime | None, is_late: bool
) -> None:
    for state in ("running", "failed"):
        airflow = FakeAirflow({DUE - 9 * DAY: "success", DUE: state, NOW - MINUTE: "running"}, began=began)
        assert (overdue(pipeline(tmp_path, PROMISED), airflow, NOW, PATIENCE) is not None) == is_late


def test_a_run_that_a_person_has_started_gives_no_further_hour(tmp_path: Path) -> None:
    airflow = FakeAirflow({DUE - DAY: "success", DUE: "failed", NOW - MINUTE: "running"}, began=DUE + DAY)
    last = airflow.last
    airflow.last = lambda dag_id, before, state=None: (  # type: ignore[method-assign]
        last(dag_id, before, state) if before < NOW - HOUR else LastRun("manual__x", NOW - MINUTE, None, NOW - MINUTE)
    )
    assert overdue(pipeline(tmp_path, PROMISED), airflow, NOW, PATIENCE) is not None


def test_one_that_is_well_costs_one_call(tmp_path: Path) -> None:
    airflow = FakeAirflow({DUE: "success"})
    overdue(pipeline(tmp_path, PROMISED), airflow, NOW, PATIENCE)
    assert airflow.calls == 1


def test_a_window_that_has_just_ended_is_given_time(tmp_path: Path) -> None:
    every_hour = pipeline(tmp_path, "schedule: {cron: '@hourly', start: 2026-01-01}\n")
    airflow = FakeAirflow({NOW - 2 * HOUR: "success"})
    assert overdue(every_hour, airflow, NOW + 5 * MINUTE, PATIENCE) is None
    found = overdue(every_hour, airflow, NOW + 20 * MINUTE, PATIENCE)
    assert found is not None
    assert (found.kind, found.window.start) == (Kind.STALLED, NOW - HOUR)


def test_between_two_runs_of_a_catchup_none_is_missing(tmp_path: Path) -> None:
    daily = pipeline(tmp_path, DAILY)
    between = FakeAirflow({TODAY - 40 * DAY: "success"}, ended=NOW - MINUTE)
    assert overdue(daily, between, NOW, PATIENCE) is None
    found = overdue(daily, between, NOW + HOUR, PATIENCE)
    assert found is not None
    assert found.kind is Kind.STALLED


def test_the_watch_and_the_deadline_have_one_key_for_a_window(tmp_path: Path) -> None:
    berlin = pipeline(
        tmp_path, "schedule: {cron: '@daily', start: 2026-01-01, timezone: Europe/Berlin}\nfresh_within: 30h\n"
    )
    found = overdue(berlin, FakeAirflow({DUE - DAY - HOUR: "success", DUE - HOUR: "failed"}), NOW, PATIENCE)
    assert found is not None
    by_deadline = late_alert("orders", found.window, timedelta(hours=30), run_id="scheduled__x")
    assert alert_of(found).dedupe_key == by_deadline.dedupe_key == "orders/2026-03-08T23:00:00+00:00/PIPELINE_LATE"


def test_what_stays_as_it_is_is_one_alert_however_many_windows_pass(tmp_path: Path) -> None:
    daily = pipeline(tmp_path, PROMISED)
    airflow = FakeAirflow({DUE - DAY: "success"})
    keys = set()
    for day in range(3):
        found = overdue(daily, airflow, NOW + day * DAY, PATIENCE)
        assert found is not None
        keys.add(alert_of(found).dedupe_key)
    assert keys == {"orders/since scheduled__2026-03-08/PIPELINE_STALLED"}


def test_an_alert_says_what_to_do_for_each_kind(tmp_path: Path) -> None:
    daily = pipeline(tmp_path, PROMISED)
    found = overdue(daily, FakeAirflow({DUE - DAY: "success"}, paused=True), NOW, PATIENCE)
    assert isinstance(found, Overdue)
    assert "paused: true" in alert_of(found).detail
    gone = overdue(daily, FakeAirflow(paused=None), NOW, PATIENCE)
    assert isinstance(gone, Overdue)
    assert "Airflow has no DAG of the file" in alert_of(gone).text()

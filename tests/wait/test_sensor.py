from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.bases.operator import TriggerFailureReason
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred

from sluicegate.faults import FaultError
from sluicegate.graph.window import Window
from sluicegate.pipeline.keys.model import Schedule
from sluicegate.testing.step import StepInstance
from sluicegate.testing.supervisor import Supervisor
from sluicegate.wait.sensor import SourceSensor, UpstreamSensor, WaitSensor
from tests.wait.runs import a_run

DAILY = Schedule(kind="cron", cron="@daily", start=datetime(2013, 1, 1, tzinfo=UTC))
ELEVENTH = datetime(2013, 2, 11, tzinfo=UTC)
OURS = Window(ELEVENTH + timedelta(hours=7), ELEVENTH + timedelta(hours=31))


def context(**params: Any) -> Any:
    """A run at 07:00 on the 12th, whose window is the day before it."""
    return {
        "ti": SimpleNamespace(try_number=1, map_index=-1, xcom_push=lambda **_: None),
        "run_id": "run",
        "params": params,
        "data_interval_start": ELEVENTH + timedelta(hours=7),
        "data_interval_end": ELEVENTH + timedelta(hours=31),
    }


def upstream_sensor(**kwargs: Any) -> UpstreamSensor:
    arguments: dict[str, Any] = {"upstream": "flights", "upstream_step": "fetch", "schedule": DAILY} | kwargs
    return UpstreamSensor(task_id="wait_for__flights__fetch", pipeline="delays", **arguments)


def execute(sensor: WaitSensor, run: Any) -> None:
    sensor.run(run, sensor.step_context(run))


def test_what_is_there_already_is_not_waited_for(supervisor: Supervisor) -> None:
    supervisor.runs = [a_run("r1", ELEVENTH, {"fetch": "success"})]
    execute(upstream_sensor(), context())


def test_the_runs_are_those_whose_windows_end_inside_ours(supervisor: Supervisor) -> None:
    with pytest.raises(TaskDeferred) as deferred:
        execute(upstream_sensor(), context())
    _, kwargs = deferred.value.trigger.serialize()
    assert kwargs["dates"] == [ELEVENTH.isoformat()]
    assert (kwargs["awaited_dag"], kwargs["awaited_task"]) == ("flights", "fetch")
    assert kwargs["deadline"] is None
    assert deferred.value.timeout is None


def test_a_day_waits_for_24_hours(supervisor: Supervisor) -> None:
    hourly = DAILY.model_copy(update={"cron": "@hourly"})
    with pytest.raises(TaskDeferred) as deferred:
        execute(upstream_sensor(schedule=hourly), context())
    dates = deferred.value.trigger.serialize()[1]["dates"]
    assert len(dates) == 24
    assert dates[0] == (ELEVENTH + timedelta(hours=7)).isoformat()


def test_a_limit_becomes_a_deadline(supervisor: Supervisor) -> None:
    with pytest.raises(TaskDeferred) as deferred:
        execute(upstream_sensor(wait=timedelta(hours=6)), context())
    deadline = datetime.fromisoformat(deferred.value.trigger.serialize()[1]["deadline"])
    assert timedelta(hours=5, minutes=59) < deadline - datetime.now(UTC) <= timedelta(hours=6)
    assert deferred.value.timeout is not None
    assert deferred.value.timeout > timedelta(hours=6), "ours comes first: it knows what was missing"


def test_a_run_that_can_find_no_window_says_so(supervisor: Supervisor) -> None:
    later = DAILY.model_copy(update={"start": datetime(2020, 1, 1, tzinfo=UTC)})
    with pytest.raises(FaultError, match="no window of flights") as error:
        execute(upstream_sensor(schedule=later), context())
    assert error.value.code == "WRONG_USE"


def test_latest_does_not_ask_for_a_window(supervisor: Supervisor) -> None:
    with pytest.raises(TaskDeferred) as deferred:
        execute(upstream_sensor(schedule=Schedule(kind="once"), latest=True), context())
    assert deferred.value.trigger.serialize()[1]["dates"] is None


def test_a_dag_that_is_not_ours_is_asked_at_our_windows_start(supervisor: Supervisor) -> None:
    with pytest.raises(TaskDeferred) as deferred:
        execute(upstream_sensor(schedule=None), context())
    kwargs = deferred.value.trigger.serialize()[1]
    assert kwargs["dates"] == [(ELEVENTH + timedelta(hours=7)).isoformat()]
    assert kwargs["marked"] is False


def test_a_dry_run_does_not_wait(supervisor: Supervisor) -> None:
    with pytest.raises(AirflowSkipException, match="no run yet"):
        execute(upstream_sensor(), context(dry_run=True))


def test_a_failed_upstream_fails_at_once_where_the_file_says_so(supervisor: Supervisor) -> None:
    supervisor.runs = [a_run("r1", ELEVENTH, {"fetch": "failed"})]
    with pytest.raises(TaskDeferred):
        execute(upstream_sensor(), context())
    with pytest.raises(FaultError) as error:
        execute(upstream_sensor(fail_fast=True), context())
    assert error.value.code == "UPSTREAM_FAILED"
    assert "r1" in error.value.detail


def test_a_wait_for_what_was_skipped_is_skipped_and_says_what_a_person_does_then(supervisor: Supervisor) -> None:
    supervisor.runs = [a_run("r1", ELEVENTH, {"fetch": "skipped"})]
    with pytest.raises(AirflowSkipException, match=r"flights\.fetch at .*: skipped \(run r1\).*clear this task"):
        execute(upstream_sensor(), context())
    with pytest.raises(AirflowSkipException, match="r1"):
        upstream_sensor().resume(context(), {"outcome": "skipped", "seen": "flights.fetch: skipped (run r1)"})


def test_the_file_says_what_a_skip_means(supervisor: Supervisor, caplog: pytest.LogCaptureFixture) -> None:
    supervisor.runs = [a_run("r1", ELEVENTH, {"fetch": "skipped"})]
    sensor = upstream_sensor(on_skipped="run")
    result = sensor.run(context(), sensor.step_context(context()))
    assert result.line.startswith("there already: nothing to wait for, though flights.fetch at ")
    with pytest.raises(TaskDeferred) as deferred:
        execute(upstream_sensor(on_skipped="wait"), context())
    assert deferred.value.trigger.serialize()[1]["on_skipped"] == "wait"


def test_a_skip_says_nothing_of_whether_it_was_ever_written(supervisor: Supervisor) -> None:
    supervisor.runs = [a_run("r1", ELEVENTH, {"fetch": "skipped"})]
    with pytest.raises(TaskDeferred):
        execute(upstream_sensor(latest=True), context())
    execute(upstream_sensor(latest=True, on_skipped="run"), context())


def test_too_late_says_which_upstream_which_window_and_its_state() -> None:
    event = {"outcome": "late", "seen": "flights.fetch at 2013-02-11T00:00:00+00:00: failed (run r1)"}
    with pytest.raises(FaultError) as error:
        upstream_sensor(wait=timedelta(hours=6)).resume(context(), event)
    assert error.value.code == "UPSTREAM_LATE"
    assert error.value.detail == f"after 6h of waiting still open: {event['seen']}"


def test_the_fault_of_the_trigger_becomes_the_tasks() -> None:
    event = {"outcome": "broken", "seen": "", "code": "AWS_DENIED", "detail": "no entry"}
    with pytest.raises(FaultError, match="no entry") as error:
        upstream_sensor().resume(context(), event)
    assert error.value.code == "AWS_DENIED"


def test_a_silent_triggerer_is_a_late_upstream_and_not_a_retry() -> None:
    kwargs = {"error": TriggerFailureReason.TRIGGER_TIMEOUT}
    with pytest.raises(FaultError) as error:
        upstream_sensor(wait=timedelta(hours=1)).resume_execution("__fail__", kwargs, context())
    assert error.value.code == "UPSTREAM_LATE"
    assert "triggerer" in error.value.detail


def test_ready_ends_well() -> None:
    upstream_sensor().resume_execution("resume", {"event": {"outcome": "ready", "seen": ""}}, context())


def test_a_source_that_is_there_is_not_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    sensor = SourceSensor(task_id="wait_for__orders", pipeline="it", source=str(file), wait=timedelta(hours=1))
    with pytest.raises(TaskDeferred) as deferred:
        execute(sensor, context())
    assert deferred.value.trigger.serialize()[1]["uris"] == [str(file)]
    file.write_text("id\n")
    execute(sensor, context())


def test_a_source_that_does_not_come_is_missing() -> None:
    sensor = SourceSensor(task_id="w", pipeline="it", source="s3://b/k.csv", wait=timedelta(hours=1))
    with pytest.raises(FaultError) as error:
        sensor.resume(context(), {"outcome": "late", "seen": "s3://b/k.csv: not there"})
    assert error.value.code == "SOURCE_MISSING"
    assert "after 1h of waiting" in error.value.detail
    assert "s3://b/k.csv" in error.value.detail


def rendered(sensor: UpstreamSensor, supervisor: Supervisor, window: Window = OURS) -> Any:
    with DAG("delays", schedule=None) as dag:
        dag.add_task(sensor)
    instance = StepInstance(sensor, window, supervisor=supervisor)
    with pytest.raises(TaskDeferred):
        instance.execute()
    return {name: getattr(instance.executed, name) for name in sensor.template_fields}


def test_what_is_waited_for_stands_in_the_fields_that_airflow_stores(supervisor: Supervisor) -> None:
    assert rendered(upstream_sensor(), supervisor) == {
        "awaited_dag": "flights",
        "awaited_task": "fetch",
        "awaited_dates": ["2013-02-11T00:00:00+00:00"],
    }


def test_a_dag_that_is_not_ours_is_named_at_our_windows_start(supervisor: Supervisor) -> None:
    assert rendered(upstream_sensor(upstream_step=None, schedule=None), supervisor) == {
        "awaited_dag": "flights",
        "awaited_task": None,
        "awaited_dates": ["2013-02-11T07:00:00+00:00"],
    }


def test_the_latest_run_has_no_date(supervisor: Supervisor) -> None:
    once = upstream_sensor(schedule=Schedule(kind="once"), latest=True)
    assert rendered(once, supervisor)["awaited_dates"] is None


def test_a_month_of_hours_is_a_span(supervisor: Supervisor) -> None:
    hourly = upstream_sensor(schedule=DAILY.model_copy(update={"cron": "@hourly"}))
    month = Window(datetime(2013, 3, 1, tzinfo=UTC), datetime(2013, 4, 1, tzinfo=UTC))
    [span] = rendered(hourly, supervisor, month)["awaited_dates"]
    assert span == "2013-03-01T00:00:00+00:00/2013-03-31T23:00:00+00:00"

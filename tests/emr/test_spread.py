from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sluicegate.emr.spread import spread_start
from sluicegate.graph.window import Window
from sluicegate.testing.supervisor import Run

DUE = datetime(2026, 1, 1, 7, tzinfo=UTC)
TEN = timedelta(minutes=10)


def test_200_pipelines_start_all_over_the_window_and_each_at_its_own_moment() -> None:
    starts = [spread_start(f"pipeline_{n}", DUE, TEN) for n in range(200)]
    assert all(DUE <= start < DUE + TEN for start in starts)
    by_minute = [sum(start.minute == minute for start in starts) for minute in range(10)]
    assert max(by_minute) <= 35
    assert min(by_minute) >= 8
    assert starts == [spread_start(f"pipeline_{n}", DUE, TEN) for n in range(200)]


def of_run(make_task: Any, run_id: str, due: datetime) -> Any:
    cluster = {"release": "emr-7.13.0", "instances": {"primary": "m7g.xlarge"}, "spread": "1d"}
    task = make_task(cluster=cluster)
    task.instance.run = Run("delays", run_id, due)
    task.instance.supervisor.runs.append(task.instance.run)
    task.instance.window = Window(due - timedelta(days=1), due)
    return task


def test_a_scheduled_run_waits_for_its_turn_without_a_worker(aws: Any, make_task: Any) -> None:
    now = datetime.now(UTC)
    task = of_run(make_task, "scheduled__1", now)
    deferred = task.execute()
    assert deferred.trigger.moment == spread_start("delays", now, timedelta(days=1))
    assert aws.calls == []
    kwargs = {**(deferred.kwargs or {}), "event": "moment"}
    assert task._returned(lambda: task.instance.resume(deferred.method_name, kwargs)).trigger.cluster_id == "j-0001"


def test_a_turn_that_has_passed_and_a_run_that_a_person_starts_do_not_wait(aws: Any, make_task: Any) -> None:
    now = datetime.now(UTC)
    assert of_run(make_task, "scheduled__1", now - timedelta(days=1)).execute().trigger.cluster_id == "j-0001"
    assert of_run(make_task, "manual__1", now).execute().trigger.cluster_id == "j-0002"

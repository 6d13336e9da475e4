"""What a spark step ends on its way: clusters that earlier runs of its pipeline have left."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sluicegate.emr.client import EmrClient
from sluicegate.emr.connection import Aws
from sluicegate.emr.sweep import Sweep
from sluicegate.emr.task_states import OwnAirflow
from sluicegate.faults import FaultError
from sluicegate.testing.emr import AwsError, ScriptedEmr
from sluicegate.testing.supervisor import Run
from tests.emr.conftest import WINDOW, Task, fire


@pytest.fixture
def of_run(make_task: Callable[..., Task]) -> Callable[[str], Task]:
    """The task in another run of the same pipeline, and the same Airflow."""
    tasks: list[Task] = []

    def make(run_id: str) -> Task:
        task = make_task()
        instance = task.instance
        instance.run = Run("delays", run_id, WINDOW.start, states={("join", -1): "running"})
        instance.supervisor = tasks[0].instance.supervisor if tasks else instance.supervisor
        instance.supervisor.runs.append(instance.run)
        tasks.append(task)
        return task

    return make


def leave(aws: ScriptedEmr, task: Task, state: str, *, age: int = 10) -> str:
    """The cluster of a deferred task, which then comes to `state` without anything that ends the cluster; its id."""
    before = set(aws.clusters)
    task.execute()
    task.instance.run.states[("join", -1)] = state
    [cluster_id] = set(aws.clusters) - before
    aws.clusters[cluster_id]["Created"] = datetime.now(UTC) - timedelta(minutes=age)
    return cluster_id


def wait_for(aws: ScriptedEmr, task: Task) -> str:
    """Start the task's cluster, and wait for it in a triggerer; what the wait says."""
    deferred = task.execute()
    aws.finish(deferred.trigger.cluster_id)
    with task.instance.supervisor.attached():
        return str(fire(deferred)["outcome"])


def test_the_next_run_ends_what_a_task_that_was_marked_failed_has_left(aws: Any, of_run: Any) -> None:
    left, waiting = leave(aws, of_run("1"), "failed"), leave(aws, of_run("2"), "deferred")
    wait_for(aws, of_run("3"))
    assert aws.live() == [waiting]
    assert aws.clusters[left]["Tags"]["sluicegate:ended-by"] == "orphan"


def test_a_cluster_that_has_just_been_made_is_not_even_asked_about(aws: Any, of_run: Any) -> None:
    leave(aws, of_run("1"), "failed", age=1)
    aws.calls.clear()
    wait_for(aws, of_run("2"))
    assert len(aws.live()) == 1
    assert aws.calls.count("DescribeCluster") == 1  # its own


def test_a_step_goes_on_when_it_cannot_end_what_is_left(aws: Any, of_run: Any) -> None:
    left = leave(aws, of_run("1"), "failed")
    aws.before["TerminateJobFlows"] = [AwsError("AccessDeniedException")]
    assert wait_for(aws, of_run("2")) == "ended"
    aws.before["DescribeCluster"] = [None, AwsError("AccessDeniedException")]
    assert wait_for(aws, of_run("3")) == "ended"
    assert left in aws.live()


def test_a_task_whose_cluster_is_swept_past_its_deadline_does_not_start_another(
    aws: Any, of_run: Any, fired: Any
) -> None:
    task = of_run("1")
    deferred = task.execute()
    task.instance.run.states[("join", -1)] = "deferred"
    late = datetime.now(UTC) + timedelta(days=1)
    sweep = Sweep(EmrClient(Aws("aws_default")), OwnAirflow(), "sluicegate-testing", clock=lambda: late)
    with task.instance.supervisor.attached():
        assert [each.done for each in sweep.end(sweep.look())] == [True]
    with pytest.raises(FaultError, match="CLUSTER_DEADLINE"):
        task.resume(deferred, fired(deferred))
    assert aws.calls.count("RunJobFlow") == 1


def test_a_task_that_was_cleared_while_nothing_could_end_its_cluster_ends_it_itself(aws: Any, of_run: Any) -> None:
    task = of_run("1")
    first = leave(aws, task, "deferred")
    second = task.clear().trigger.cluster_id
    assert (aws.live(), second != first) == ([second], True)

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import DAG

from sluicegate.emr import JanitorOperator
from sluicegate.faults import FaultError
from sluicegate.testing.emr import AwsError, ScriptedEmr
from sluicegate.testing.step import StepInstance
from tests.emr.conftest import WINDOW, Task


@pytest.fixture
def janitor(task: Task) -> Callable[..., StepInstance]:
    """A task of the janitor in the Airflow of `task`, which looks at clusters of any age."""

    def make(**arguments: Any) -> StepInstance:
        with DAG("janitor", schedule=None):
            operator = JanitorOperator(task_id="sweep", grace=timedelta(), **arguments)
        return StepInstance(operator, WINDOW, supervisor=task.instance.supervisor)

    return make


@pytest.fixture
def orphan(aws: ScriptedEmr, task: Task) -> str:
    """The cluster of a deferred task that a person has marked as failed while no triggerer ran."""
    task.execute()
    task.instance.run.states[("join", -1)] = "deferred"
    [cluster_id] = aws.live()
    return cluster_id


def fail(task: Task) -> None:
    task.instance.run.states[("join", -1)] = "failed"


def test_the_cluster_of_a_task_that_goes_on_is_left_alone(aws: ScriptedEmr, orphan: str, janitor: Any) -> None:
    result = janitor(dry_run=False).execute()
    assert (result["live"], result["orphans"], aws.live()) == (1, [], [orphan])


def test_a_task_that_was_marked_failed_while_the_triggerer_was_down_loses_its_cluster(
    aws: ScriptedEmr, task: Task, orphan: str, janitor: Any
) -> None:
    fail(task)
    result = janitor(dry_run=False).execute()
    [ended] = result["orphans"]
    assert ended == {
        "cluster_id": orphan,
        "name": aws.clusters[orphan]["Name"],
        "reason": "its task is over: failed",
        "pipeline": "delays",
        "step": "join",
        "run_id": task.instance.run.run_id,
        "ended": True,
    }
    assert aws.live() == []


def test_the_cluster_of_a_run_that_was_deleted_is_ended(
    aws: ScriptedEmr, task: Task, orphan: str, janitor: Any
) -> None:
    del orphan
    instance = janitor(dry_run=False)
    task.instance.supervisor.runs.remove(task.instance.run)
    task.instance.supervisor.dags.add("delays")
    assert [each["reason"] for each in instance.execute()["orphans"]] == ["Airflow has no such run any more"]
    assert aws.live() == []


def test_of_another_deployment_only_what_is_past_its_deadline_is_ended(
    aws: ScriptedEmr, task: Task, orphan: str, janitor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(task)  # here, where there is a task of the same name
    monkeypatch.setenv("AIRFLOW__SLUICEGATE__DEPLOYMENT", "test")
    other = janitor(dry_run=False, deployment="sluicegate-testing")
    assert [each["cluster_id"] for each in other.execute()["unknown"]] == [orphan]
    assert aws.live() == [orphan]
    tags = aws.clusters[orphan]["Tags"]
    aws.clusters[orphan]["Created"] -= timedelta(days=1)
    tags["sluicegate:not-after"] = (aws.clusters[orphan]["Created"] + timedelta(hours=1)).isoformat()
    other.execute()
    assert aws.live() == []


def test_a_janitor_only_says_what_it_would_end_until_it_is_allowed_to(
    aws: ScriptedEmr, task: Task, orphan: str, janitor: Any
) -> None:
    fail(task)
    result = janitor().execute()
    assert result["dry_run"]
    assert [(each["cluster_id"], each["ended"]) for each in result["orphans"]] == [(orphan, False)]
    assert aws.live() == [orphan]


def test_a_janitor_fails_when_an_orphan_is_left(aws: ScriptedEmr, task: Task, orphan: str, janitor: Any) -> None:
    fail(task)
    aws.before["TerminateJobFlows"] = [AwsError("AccessDeniedException")]
    with pytest.raises(FaultError, match=f"AWS_DENIED.*1 orphans could not be ended .{orphan}"):
        janitor(dry_run=False).execute()


def test_a_janitor_sees_no_cluster_of_another_deployment(
    aws: ScriptedEmr, task: Task, orphan: str, janitor: Any
) -> None:
    fail(task)
    assert janitor(dry_run=False, deployment="test").execute()["live"] == 0
    assert aws.live() == [orphan]

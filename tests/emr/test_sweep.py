"""Sweeps over an EMR that a test plays: orphans end, whatever else runs is left alone."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sluicegate.emr.client import EmrClient
from sluicegate.emr.connection import Aws
from sluicegate.emr.names import RunKey
from sluicegate.emr.orphans import Gone, Kind, TaskState
from sluicegate.emr.sweep import Sweep
from sluicegate.emr.tags import own_tags
from sluicegate.emr.task_states import OwnAirflow
from sluicegate.testing.emr import AwsError, ScriptedEmr
from sluicegate.testing.supervisor import Run, Supervisor

NOW = datetime.now(UTC)


class Known:
    """What Airflow says; changes of it as a test makes them."""

    def __init__(self, **states: str | None) -> None:
        self.found: dict[str, TaskState] = {run: TaskState(state) for run, state in states.items()}

    def states(self, keys: Collection[RunKey]) -> Mapping[RunKey, TaskState]:
        return {key: self.found[key.run_id] for key in keys if key.run_id in self.found}


def start(
    aws: ScriptedEmr, run_id: str, *, deployment: str = "prod", left: float = 60, age: float = 30, **changed: str
) -> str:
    """A cluster that works for a task of the run `run_id` since `age` minutes; its id."""
    key = RunKey(deployment, "delays", run_id, "join")
    tags = own_tags(key, attempt=1, pipeline="delays", cluster="small", not_after=NOW + timedelta(minutes=left)) | {
        f"sluicegate:{name}": value for name, value in changed.items()
    }
    body = {
        "Name": key.name(1),
        "Instances": {"TerminationProtected": False},
        "Steps": [],
        "Tags": [{"Key": name, "Value": value} for name, value in tags.items()],
    }
    cluster_id = str(aws.call("RunJobFlow", body)["JobFlowId"])
    aws.clusters[cluster_id] |= {"State": "RUNNING", "Created": NOW - timedelta(minutes=age)}
    return cluster_id


@pytest.fixture
def sweep(aws: ScriptedEmr) -> Callable[[Any], Sweep]:
    client = EmrClient(Aws("aws_default"), attempts=1)
    return lambda tasks: Sweep(client, tasks, "prod")


def orphans(sweep: Sweep) -> list[Any]:
    return [each for each in sweep.look() if each.kind is Kind.ORPHAN]


def test_a_sweep_ends_what_no_task_needs_and_nothing_else(aws: ScriptedEmr, sweep: Any) -> None:
    needed, over, cleared = start(aws, "a"), start(aws, "b"), start(aws, "c")
    late, foreign, odd = start(aws, "d", left=-10), start(aws, "b", deployment="test"), start(aws, "b", run="0" * 16)
    one = sweep(Known(a="deferred", b="failed", c=None, d="running"))
    assert {each.cluster.cluster_id: each.kind for each in one.look()} == {
        needed: Kind.NEEDED,
        over: Kind.ORPHAN,
        cleared: Kind.NEEDED,
        late: Kind.ORPHAN,
        foreign: Kind.FOREIGN,
        odd: Kind.UNKNOWN,
    }
    assert [each.done for each in one.end(orphans(one))] == [True, True]
    assert aws.live() == [needed, cleared, foreign, odd]
    marks = [aws.clusters[each]["Tags"]["sluicegate:ended-by"] for each in (over, late)]
    assert marks == ["orphan", "deadline"]


def test_a_foreign_cluster_is_not_even_described(aws: ScriptedEmr, sweep: Any) -> None:
    start(aws, "b", deployment="test")
    sweep(Known()).look()
    assert "DescribeCluster" not in aws.calls


def test_a_task_that_is_cleared_meanwhile_keeps_its_cluster(aws: ScriptedEmr, sweep: Any) -> None:
    cluster = start(aws, "a")
    known = Known(a="failed")
    one = sweep(known)
    found = orphans(one)
    known.found["a"] = TaskState(None)
    [ending] = one.end(found)
    assert (ending.done, ending.fault, aws.live()) == (False, None, [cluster])


def test_a_twin_is_ended_only_while_its_elder_lives(aws: ScriptedEmr, sweep: Any) -> None:
    elder, younger = start(aws, "a", age=30), start(aws, "a", age=20)
    one = sweep(Known(a="deferred"))
    found = orphans(one)
    assert [each.cluster.cluster_id for each in found] == [younger]
    aws.end(elder, "TERMINATED_WITH_ERRORS", "INSTANCE_FAILURE")
    assert [each.done for each in one.end(found)] == [False]
    assert aws.live() == [younger]


def test_a_twin_that_is_ended_is_marked_so_that_a_wait_for_it_goes_on_with_its_elder(
    aws: ScriptedEmr, sweep: Any
) -> None:
    elder, younger = start(aws, "a", age=30), start(aws, "a", age=20)
    one = sweep(Known(a="deferred"))
    one.end(orphans(one))
    assert aws.live() == [elder]
    assert aws.clusters[younger]["Tags"]["sluicegate:ended-by"] == "duplicate"


def test_one_that_cannot_be_ended_keeps_no_other(aws: ScriptedEmr, sweep: Any) -> None:
    first, second = start(aws, "a"), start(aws, "b")
    one = sweep(Known(a="failed", b="failed"))
    found = orphans(one)
    aws.before["TerminateJobFlows"] = [AwsError("AccessDeniedException")]
    endings = one.end(found)
    assert [(each.done, each.fault is None) for each in endings] == [(False, False), (True, True)]
    assert "AccessDenied" in endings[0].reason
    assert aws.live() == [first]
    assert [each.done for each in one.end(orphans(one))] == [True]
    assert aws.clusters[second]["State"] == aws.clusters[first]["State"] == "TERMINATED"


def test_one_that_is_protected_by_hand_is_ended(aws: ScriptedEmr, sweep: Any) -> None:
    aws.clusters[start(aws, "a")]["Protected"] = True
    one = sweep(Known(a="failed"))
    one.end(orphans(one))
    assert aws.live() == []


def test_wherever_a_sweep_is_killed_the_next_one_ends_the_rest(aws: ScriptedEmr, sweep: Any) -> None:
    def sweep_in_a_process(kill_at: int = 0) -> list[str]:
        """Its calls, of which the last is the one at which it was killed: when that has had its effect."""
        aws.clusters.clear()
        start(aws, "a"), start(aws, "b")
        aws.calls.clear()
        born, pid = threading.Event(), [0]

        def tap(action: str) -> None:
            if len(aws.calls) == kill_at:
                assert born.wait(120)
                os.kill(pid[0], signal.SIGKILL)

        aws.tap = tap
        one = sweep(Known(a="failed", b="running"))
        pid[0] = os.fork()
        if not pid[0]:
            one.end(orphans(one))
            os._exit(0)
        born.set()
        os.waitpid(pid[0], 0)
        aws.tap = lambda action: None
        return list(aws.calls)

    calls = sweep_in_a_process()
    assert calls.count("TerminateJobFlows") == 1
    next_one = Sweep(EmrClient(Aws("aws_default"), attempts=1), Known(a="failed", b="running"), "prod")
    for point in range(1, len(calls) + 1):
        assert sweep_in_a_process(kill_at=point) == calls[:point]
        next_one.end(orphans(next_one))
        assert aws.live() == ["j-0002"], f"killed at {calls[point - 1]}"


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    runs = [
        Run("delays", "a", NOW, states={("join", -1): "failed", ("each", 0): "success", ("each", 1): "running"}),
        Run("delays", "b", NOW, states={("join", -1): None, ("each", -1): "queued"}),
    ]
    found = Supervisor(runs=runs)
    with found.attached():
        yield found


def test_a_task_asks_airflow_how_other_tasks_are(supervisor: Supervisor) -> None:
    def key(run: str, task: str = "join", index: int = -1, dag: str = "delays") -> RunKey:
        return RunKey("prod", dag, run, task, index)

    expected = {
        key("a"): TaskState("failed"),
        key("b"): TaskState(None),
        key("a", "each", 1): TaskState("running"),
        key("b", "each", 1): TaskState(gone=Gone.TASK),
        key("b", "lost"): TaskState(gone=Gone.TASK),
        key("deleted"): TaskState(gone=Gone.RUN),
        key("a", dag="other"): TaskState(gone=Gone.DAG),
    }
    assert OwnAirflow().states(expected.keys()) == expected
    supervisor.asked.clear()
    assert OwnAirflow(in_triggerer=True).states(expected.keys()) == expected
    assert not any(type(asked).__name__ == "GetDag" for asked in supervisor.asked)


def test_what_airflow_does_not_answer_is_not_known(supervisor: Supervisor) -> None:
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
    from airflow.sdk.execution_time.comms import ErrorResponse

    supervisor.error = AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 502}))
    assert OwnAirflow().states([RunKey("prod", "delays", "a", "join")]) == {}

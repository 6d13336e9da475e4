from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.emr import trigger as module
from sluicegate.emr.names import RunKey
from sluicegate.emr.trigger import ClusterTrigger, pause, progress
from sluicegate.emr.verdict import ClusterStatus, StepStatus
from sluicegate.testing.emr import AwsError


@given(st.floats(0, 1e7), st.integers(0, 1000))
def test_the_pause_is_never_a_busy_loop_and_never_a_nap_of_hours(waited: float, failures: int) -> None:
    assert 2 <= pause(waited, failures) <= 120


def waiting(seconds: float = 60) -> ClusterTrigger:
    now = datetime.now(UTC)
    return ClusterTrigger(
        aws_conn_id="aws_default",
        cluster_id="j-0001",
        since=now.isoformat(),
        deadline=(now + timedelta(seconds=seconds)).isoformat(),
    )


async def first(trigger: ClusterTrigger) -> Any:
    async for event in trigger.run():
        return event.payload
    raise AssertionError("no event")


@pytest.fixture
def running(aws: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(module, "SHORTEST", 0.01)
    key = RunKey("d", "p", "r", "t")
    aws.call(
        "RunJobFlow",
        {
            "Name": key.name(1),
            "Instances": {"TerminationProtected": False},
            "Steps": [{"Name": "a.py"}, {"Name": "b.py"}],
            "Tags": [{"Key": "sluicegate:run", "Value": key.digest}],
        },
    )
    aws.run_step("j-0001")
    return aws


def test_an_outage_is_waited_out_and_told_once(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    monkeypatch.setattr(module, "LONGEST", 0.01)
    told: list[str] = []
    log = SimpleNamespace(info=lambda *_: None, warning=lambda text, *_: told.append(text))
    monkeypatch.setattr(ClusterTrigger, "log", log)
    running.before["DescribeCluster"] = [AwsError("ThrottlingException")] * 5
    running.after["DescribeCluster"] = [lambda: running.finish("j-0001")]
    assert asyncio.run(first(waiting()))["outcome"] == "ended"
    assert len(told) == 1


def test_each_change_is_told_once_and_not_each_look(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    log = SimpleNamespace(info=lambda text, *args: told.append(args[2]), warning=told.append)
    monkeypatch.setattr(ClusterTrigger, "log", log)
    running.after["ListSteps"] = [lambda: None, lambda: None, lambda: running.finish("j-0001")]
    asyncio.run(first(waiting()))
    assert told == ["RUNNING, step 1 of 2 (a.py)", "TERMINATED (ALL_STEPS_COMPLETED)"]


def test_a_refusal_is_passed_on_as_a_fault(running: Any) -> None:
    running.before["DescribeCluster"] = [AwsError("AccessDeniedException")]
    event = asyncio.run(first(waiting()))
    assert event["outcome"] == "error"
    assert event["code"] == "AWS_DENIED"


def test_the_deadline_fires_while_the_cluster_runs(running: Any) -> None:
    assert asyncio.run(first(waiting(0.1)))["outcome"] == "deadline"
    assert running.live() == ["j-0001"]


def test_a_restarted_triggerer_goes_on_and_ends_nothing(running: Any) -> None:
    async def restart() -> Any:
        trigger = waiting()
        task = asyncio.create_task(first(trigger))
        await asyncio.sleep(0.3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await trigger.cleanup()
        assert running.live() == ["j-0001"]
        running.finish("j-0001")
        return await first(ClusterTrigger(**trigger.serialize()[1]))

    assert asyncio.run(restart())["outcome"] == "ended"


def test_the_event_loop_is_free_while_aws_is_slow(running: Any) -> None:
    asked, free = threading.Event(), threading.Event()

    def slow() -> None:
        asked.set()
        assert free.wait(30), "the event loop stood still"

    running.before["DescribeCluster"] = [slow]
    running.finish("j-0001")

    async def beside() -> None:
        while not asked.is_set():
            await asyncio.sleep(0.01)
        free.set()

    async def both() -> Any:
        event, _ = await asyncio.gather(first(waiting()), beside())
        return event

    assert asyncio.run(both())["outcome"] == "ended"


def test_progress_says_which_step_runs() -> None:
    cluster = ClusterStatus("j-1", "n", "RUNNING")
    steps = [StepStatus("s-1", "a.py", "COMPLETED"), StepStatus("s-2", "b.py", "RUNNING")]
    assert progress(cluster, steps) == "RUNNING, step 2 of 2 (b.py)"
    steps[1] = StepStatus("s-2", "b.py", "PENDING")
    assert progress(cluster, steps) == "RUNNING, 1 of 2 steps done"
    assert progress(ClusterStatus("j-1", "n", "STARTING"), []) == "STARTING"
    assert progress(ClusterStatus("j-1", "n", "TERMINATED", "STEP_FAILURE"), []) == "TERMINATED (STEP_FAILURE)"

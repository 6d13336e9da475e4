from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from sluicegate.emr import trigger as trigger_module
from sluicegate.emr import watch as module
from sluicegate.emr.connection import Aws
from sluicegate.emr.names import RunKey
from sluicegate.emr.tags import own_tags
from sluicegate.emr.trigger import ClusterTrigger
from sluicegate.testing.emr import AwsError
from sluicegate.testing.supervisor import Run, Supervisor

KEY = RunKey("d", "p", "r", "t")


def waiting(seconds: float = 60, cluster_id: str = "j-0001", ago: float = 0) -> ClusterTrigger:
    now = datetime.now(UTC)
    return ClusterTrigger(
        aws_conn_id="aws_default",
        cluster_id=cluster_id,
        key=asdict(KEY),
        steps=2,
        since=(now - timedelta(seconds=ago)).isoformat(),
        deadline=(now + timedelta(seconds=seconds)).isoformat(),
    )


async def first(trigger: ClusterTrigger) -> Any:
    async for event in trigger.run():
        return event.payload
    raise AssertionError("no event")


@pytest.fixture
def running(aws: Any) -> Any:
    aws.call(
        "RunJobFlow",
        {
            "Name": KEY.name(1),
            "Instances": {"TerminationProtected": False},
            "Steps": [{"Name": "a.py"}, {"Name": "b.py"}],
            "Tags": [{"Key": "sluicegate:run", "Value": KEY.digest}],
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


def test_keys_that_were_changed_while_the_cluster_ran_are_read_anew(
    running: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trigger_module, "_TRUSTED", timedelta())
    read: list[str | None] = []
    connect = Aws.__init__
    monkeypatch.setattr(Aws, "__init__", lambda self, id_: read.append(id_) or connect(self, id_))
    running.before["DescribeCluster"] = [AwsError("UnrecognizedClientException"), AwsError("ExpiredTokenException")]
    running.finish("j-0001")
    assert asyncio.run(first(waiting()))["outcome"] == "ended"
    assert read == ["aws_default"] * 3


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
        assert free.wait(120), "the event loop stood still"

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


def test_a_connection_that_does_not_exist_is_passed_on_as_a_fault() -> None:
    trigger = waiting()
    trigger.aws_conn_id = "nobody"
    event = asyncio.run(first(trigger))
    assert (event["outcome"], event["code"]) == ("error", "CONNECTION_MISSING")


def test_those_that_wait_at_once_share_one_list(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # In one triggerer: one connection is read, one list serves all, and each end is asked for once.
    monkeypatch.setattr(module, "SHORTEST", 20.0)
    running.page = 50
    request = running.clusters["j-0001"]["Request"]
    for n in range(19):
        running.call("RunJobFlow", request | {"Name": f"other-{n}"})
    running.clusters["j-0001"] |= {"Name": "of another task", "State": "STARTING"}
    for cluster_id in set(running.clusters) - {"j-0001"}:
        running.finish(cluster_id)
    running.calls.clear()

    async def all_of_them() -> list[Any]:
        going_on = asyncio.create_task(first(waiting(ago=60)))
        while not running.calls:
            await asyncio.sleep(0.01)
        events = await asyncio.gather(*(first(waiting(cluster_id=f"j-{n:04}", ago=60)) for n in range(2, 21)))
        going_on.cancel()
        return events

    assert {event["outcome"] for event in asyncio.run(all_of_them())} == {"ended"}
    assert sorted(running.calls) == ["DescribeCluster"] * 19 + ["ListClusters"]


@pytest.mark.parametrize("state", ["failed", None])
def test_a_wait_ends_an_orphan_that_it_sees_in_a_list(
    running: Any, state: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST", 0.01)
    other = RunKey("d", "other", "yesterday", "join")
    tags = own_tags(other, attempt=1, pipeline="other", cluster="x", not_after=datetime.now(UTC) + timedelta(hours=1))
    stray = {
        "Name": other.name(1),
        "Instances": {"TerminationProtected": False},
        "Steps": [],
        "Tags": [{"Key": name, "Value": value} for name, value in tags.items()],
    }
    running.call("RunJobFlow", stray)
    running.clusters["j-0002"]["Created"] -= timedelta(hours=1)
    running.after["ListClusters"] = [lambda: running.finish("j-0001")]
    run = Run("other", "yesterday", datetime.now(UTC), states={("join", -1): state})
    with Supervisor(runs=[run]).attached():
        asyncio.run(first(waiting(ago=600)))
    assert running.live() == ([] if state == "failed" else ["j-0002"])
    assert running.calls.count("ListClusters") == 1


@pytest.mark.parametrize("state", ["deferred", "failed", None])
def test_a_wait_that_another_triggerer_has_taken_over_keeps_its_cluster(running: Any, state: str | None) -> None:
    # Airflow cancels it in the triggerer that was silent, just as if a person had acted on the task.
    run = Run(KEY.dag_id, KEY.run_id, datetime.now(UTC), states={(KEY.task_id, -1): state})
    with Supervisor(runs=[run]).attached():
        asyncio.run(waiting().on_kill())
    assert running.live() == (["j-0001"] if state == "deferred" else [])


def test_a_kill_is_carried_out_though_aws_throttles_it(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    running.before["DescribeCluster"] = [AwsError("ThrottlingException")] * 3
    asyncio.run(waiting().on_kill())
    assert running.live() == []


def test_a_kill_goes_on_though_airflow_cancels_it_once_more(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    trigger, asked = waiting(), threading.Event()

    def slow() -> bool:
        asked.set()
        time.sleep(0.1)
        return False

    monkeypatch.setattr(trigger, "_is_deferred", slow)

    async def cancelled() -> None:
        kill = asyncio.create_task(trigger.on_kill())
        await asyncio.to_thread(asked.wait)
        kill.cancel()
        with pytest.raises(asyncio.CancelledError):
            await kill

    asyncio.run(cancelled())  # returns when all threads have ended
    assert running.live() == []

"""What becomes of a cluster when things die: a `spark` step and the stock operators, through the same accidents.

All in one process: a worker that is killed raises `KilledError`, which nothing catches, and is forgotten. Nobody
sleeps: the clusters grow older by as much instead.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import botocore.client
import pytest
from airflow._shared.module_loading import import_string
from airflow.providers.amazon.aws.operators.emr import (
    EmrAddStepsOperator,
    EmrCreateJobFlowOperator,
    EmrTerminateJobFlowOperator,
)
from airflow.providers.amazon.aws.utils.waiter import WaitPolicy
from airflow.sdk import DAG

from sluicegate.emr import engine, launch
from sluicegate.emr.engine import Engine
from sluicegate.faults import FatalFault
from sluicegate.graph.window import Window
from sluicegate.testing.emr import ScriptedEmr
from sluicegate.testing.step import StepInstance
from sluicegate.testing.supervisor import Run, Supervisor
from tests.emr.conftest import WINDOW, Task, fire

RETRIES = 2
START_SECONDS, STEP_SECONDS = 180.0, 300.0
"""How long a cluster takes to start, and a step to run."""


class KilledError(BaseException):
    """The process is gone: `kill -9`, a lost machine."""


class TerminatedError(BaseException):
    """Airflow has ended the task's process, which calls `on_kill`. `again`: the task runs anew."""

    def __init__(self, *, again: bool) -> None:
        super().__init__()
        self.again = again


class World:
    """EMR, time, and what is to happen at which of a client's calls."""

    def __init__(self, emr: ScriptedEmr) -> None:
        self.emr = emr
        self.slept = 0.0
        self.stuck = False
        """Whether steps that run never end."""
        self.on_call: dict[tuple[str, str], list[Callable[[], object] | None]] = {}
        """What happens `before` or `after` each call of an action; None lets one pass."""
        self.while_running: list[Callable[[], object]] = []
        """What happens, one after the other, as soon as a step is seen to run."""
        self.on_sleep: Callable[[], object] = lambda: None
        self.on_answer: Callable[[], object] = lambda: None
        """What happens after each call."""
        self.kill_at_call = self.kill_at_message = False
        """Whether the next call of EMR, or what a task tells Airflow next, is its last."""
        self._ages: dict[str, float] = {}

    def call(self, real: Callable[..., Any], client: Any, action: str, params: Any) -> Any:
        if client.meta.service_model.service_name != "emr":
            return real(client, action, params)
        if self.kill_at_call:
            self.kill_at_call = False
            raise KilledError
        self._happen("before", action)
        answer = real(client, action, params)
        self._happen("after", action)
        self.on_answer()
        return answer

    def message(self, real: Callable[..., Any], supervisor: Supervisor, msg: Any) -> Any:
        if self.kill_at_message:
            self.kill_at_message = False
            raise KilledError
        return real(supervisor, msg)

    def _happen(self, when: str, action: str) -> None:
        planned = self.on_call.get((when, action))
        event = planned.pop(0) if planned else None
        if event is not None:
            event()

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        for cluster_id in self.emr.live():
            self._ages[cluster_id] = self._ages.get(cluster_id, 0) + seconds
            self._go_on(cluster_id, self._ages[cluster_id])
        self.on_sleep()

    def sleep_of(self, others: Sequence[threading.Thread], really: Callable[[float], None]) -> Callable[[float], None]:
        """`time.sleep` in this world; `others` are threads of other tests (Spark's client), which have their own time.
        The one that asks is not one of them.
        """
        outside = {*others} - {threading.current_thread()}
        return lambda seconds: (really if threading.current_thread() in outside else self.sleep)(seconds)

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.slept)

    def _go_on(self, cluster_id: str, age: float) -> None:
        cluster = self.emr.clusters[cluster_id]
        for n, step in enumerate(cluster["Steps"]):
            if step["State"] == "RUNNING" and not self.stuck and age - step["Began"] >= STEP_SECONDS:
                step |= {"State": "COMPLETED", "End": datetime.now(UTC)}
            if step["State"] == "RUNNING":
                return
            if step["State"] == "PENDING" and age >= START_SECONDS:
                self.emr.run_step(cluster_id, n)
                step["Began"] = age
                return
        if age < START_SECONDS or not cluster["Steps"]:
            return
        if cluster["Request"]["Instances"]["KeepJobFlowAliveWhenNoSteps"]:
            cluster["State"] = "WAITING"
        else:
            self.emr.end(cluster_id, "TERMINATED", "ALL_STEPS_COMPLETED")

    def until(self, done: Callable[[], bool]) -> None:
        """Let time pass until something has happened, for an hour at most."""
        for _ in range(120):
            if done():
                return
            self.sleep(30)

    @property
    def running(self) -> bool:
        """Whether a step runs on a cluster that lives."""
        return any(step["State"] == "RUNNING" for one in self.emr.live() for step in self.emr.clusters[one]["Steps"])

    def happens_now(self) -> Callable[[], object] | None:
        """The next thing that is to happen, if a step runs."""
        return self.while_running.pop(0) if self.while_running and self.running else None

    @property
    def steps_run(self) -> int:
        return sum("Start" in step for cluster in self.emr.clusters.values() for step in cluster["Steps"])


@contextmanager
def accidents(emr: ScriptedEmr) -> Iterator[World]:
    """The world within the block, in which nobody sleeps."""
    world = World(emr)
    real = botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            botocore.client.BaseClient, "_make_api_call", lambda client, *args: world.call(real, client, *args)
        )
        send = Supervisor.send
        patch.setattr(Supervisor, "send", lambda supervisor, msg: world.message(send, supervisor, msg))
        patch.setattr("time.sleep", world.sleep_of(threading.enumerate(), time.sleep))
        for name, value in (("sleep", world.sleep), ("clock", world.now)):
            patch.setitem(Engine.__init__.__kwdefaults__, name, value)
        patch.setattr(engine, "DOUBT", launch.DOUBT)
        yield world


class Flow(Protocol):
    """Somebody's way to run a Spark job on a cluster of its own."""

    world: World

    def run(self) -> str:
        """The final state of the run, with Airflow's retries."""

    def kill_waiting(self) -> None:
        """Kill the process that waits for the job."""

    def mark_failed(self, *, triggerer: bool = True) -> None:
        """What a person does in the UI while the job runs. `triggerer`: whether one runs."""

    def clear(self, *, triggerer: bool = True) -> None:
        """The same, to have it run again."""

    def delete_run(self, *, triggerer: bool = True) -> None: ...

    def lose(self, error: Exception) -> None:
        """What waits fails with this error."""

    def kill_reporting(self) -> None:
        """Kill what has seen the job succeed, before Airflow hears of it."""

    def second_worker(self) -> None:
        """Another worker begins the same task."""

    def run_again(self) -> str:
        """A person clears the task that has succeeded, and what follows it."""

    def next_run(self) -> str:
        """The run of the next day, an hour later; its final state."""


@dataclass
class Spark:
    """Our step. It waits in the triggerer."""

    world: World
    root: Path
    arguments: dict[str, Any] = field(default_factory=dict)
    over: str = ""
    cleared: bool = False
    failure: str = ""
    dies_reporting: bool = False
    task: Task = field(init=False)
    deferred: Any = None

    def __post_init__(self) -> None:
        self.task = Task(self.root, **self.arguments)

    def run(self) -> str:
        return self._run(self.task.execute)

    def _run(self, call: Callable[[], Any]) -> str:
        while True:
            try:
                self.deferred = call()
                if self.world.kill_at_call:  # it made none: it is killed before Airflow hears of the deferral
                    self.world.kill_at_call = False
                    raise KilledError
            except (KilledError, Exception) as error:
                if isinstance(error, FatalFault) or self.task.try_number > self.task.max_tries:
                    return "failed"
                call = self.task.retry
                continue
            if isinstance(self.deferred, dict):
                return "success"
            call = self._wait()
            if self.over:
                return self.over

    def _wait(self) -> Callable[[], Any]:
        """What comes after the wait in the triggerer."""
        deferred = self.deferred
        cluster = self.world.emr.clusters[deferred.trigger.cluster_id]
        self.world.until(lambda: self.world.running or cluster["State"].startswith("TERMINATED"))
        while event := self.world.happens_now():
            event()
            if self.over:
                return lambda: None
            if self.cleared:
                self.cleared = False
                return self.task.clear
            if self.failure:
                message, self.failure = self.failure, ""
                return lambda: self.task.fail_trigger(message)
        self.world.until(lambda: cluster["State"].startswith("TERMINATED"))
        if cluster["State"].startswith("TERMINATED"):
            event_of_end = fire(deferred)
            self.world.kill_at_call, self.dies_reporting = self.dies_reporting, False
            return lambda: self.task.resume(deferred, event_of_end)
        late = {"outcome": "deadline", "cluster_id": deferred.trigger.cluster_id}
        return lambda: self.task.resume(deferred, late)

    def kill_reporting(self) -> None:
        self.dies_reporting = True

    def kill_waiting(self) -> None:
        """The triggerer; another one takes the trigger out of the database."""

    def mark_failed(self, *, triggerer: bool = True) -> None:
        self._trigger_ends(triggerer)
        self.over = "failed"

    def clear(self, *, triggerer: bool = True) -> None:
        self._trigger_ends(triggerer)
        self.cleared = True

    def delete_run(self, *, triggerer: bool = True) -> None:
        self._trigger_ends(triggerer)
        self.over = "gone"

    def lose(self, error: Exception) -> None:
        self.failure = str(error)

    def second_worker(self) -> None:
        other = Task(self.root, **self.arguments)
        other.shares_store_with(self.task)
        other.execute()

    def run_again(self) -> str:
        return self._run(self.task.clear)

    def next_run(self) -> str:
        for cluster in self.world.emr.clusters.values():
            cluster["Created"] -= timedelta(hours=1)
        before = self.task.instance
        before.run.states[("join", -1)] = self.over
        if self.over == "gone":
            before.supervisor.runs.remove(before.run)
        self.task, self.over = Task(self.root, **self.arguments), ""
        run = Run("delays", "scheduled__2013-02-12T00:00:00+00:00", WINDOW.end)
        window = Window(WINDOW.end, WINDOW.end + timedelta(days=1))
        self.task.instance = StepInstance(self.task.new(), window, run=run, supervisor=before.supervisor)
        return self.run()

    def _trigger_ends(self, triggerer: bool) -> None:
        if triggerer:
            path, kwargs = self.deferred.trigger.serialize()
            with suppress(KilledError):
                asyncio.run(import_string(path)(**json.loads(json.dumps(kwargs))).on_kill())


CLUSTER = {
    "Name": "delays",
    "ReleaseLabel": "emr-7.13.0",
    "LogUri": "s3://logs/emr/",
    "Instances": {"KeepJobFlowAliveWhenNoSteps": True, "TerminationProtected": False},
    "ServiceRole": "EMR_DefaultRole",
    "JobFlowRole": "EMR_EC2_DefaultRole",
}
STEPS = [
    {
        "Name": "delays.py",
        "ActionOnFailure": "TERMINATE_CLUSTER",
        "HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["spark-submit", "s3://code/delays.py"]},
    }
]


@dataclass
class Stock:
    """The operators of Airflow's Amazon provider. They wait in the worker."""

    world: World
    alone: bool
    """One operator that creates a cluster with its steps and waits for its end, or create, add steps, terminate."""
    arguments: dict[str, Any] = field(default_factory=dict)
    state: str = "running"

    def __post_init__(self) -> None:
        self.world.on_sleep = self.on_sleep

    _run: Run = field(default_factory=lambda: Run("delays", "scheduled__2013-02-11T00:00:00+00:00", WINDOW.start))

    def run(self) -> str:
        states = [self._task(task) for task in self._tasks() if not (self.state == "failed" and not _cleans_up(task))]
        return "gone" if "gone" in states else "failed" if "failed" in states else "success"

    def _tasks(self) -> list[Any]:
        ended = {"KeepJobFlowAliveWhenNoSteps": False, "TerminationProtected": False}
        with DAG("delays", schedule=None):
            if self.alone:
                request = {**CLUSTER, "Instances": ended, "Steps": STEPS}
                create = {
                    "emr_conn_id": None,
                    "job_flow_overrides": request,
                    "wait_policy": WaitPolicy.WAIT_FOR_STEPS_COMPLETION,
                }
                return [self._operator(EmrCreateJobFlowOperator, **create)]
            made = "{{ ti.xcom_pull('EmrCreateJobFlowOperator') }}"
            return [
                self._operator(EmrCreateJobFlowOperator, emr_conn_id=None, job_flow_overrides=CLUSTER),
                self._operator(EmrAddStepsOperator, job_flow_id=made, steps=STEPS, wait_for_completion=True),
                self._operator(EmrTerminateJobFlowOperator, job_flow_id=made, trigger_rule="all_done"),
            ]

    def _operator(self, kind: Any, **arguments: Any) -> Any:
        return kind(task_id=kind.__name__, retries=RETRIES, aws_conn_id="aws_default", **arguments, **self.arguments)

    def _task(self, operator: Any) -> str:
        instance = StepInstance(operator, WINDOW, run=self._run)
        tries = 0
        while tries <= RETRIES and self.state != "gone":
            tries += 1
            try:
                instance.execute()
            except KilledError:
                continue
            except TerminatedError as ended:
                with suppress(KilledError, Exception):
                    instance.executed.on_kill()
                if not ended.again:
                    break
                tries = 0
            except Exception:  # what Airflow does: the next try
                continue
            else:
                return "success"
        self.state = "gone" if self.state == "gone" else "failed"
        return self.state

    def kill_reporting(self) -> None:
        def die() -> None:
            if any(step["State"] == "COMPLETED" for one in self.world.emr.clusters.values() for step in one["Steps"]):
                self.world.on_answer = lambda: None
                raise KilledError

        self.world.on_answer = die

    def on_sleep(self) -> None:
        """While the operator waits."""
        if event := self.world.happens_now():
            event()

    def kill_waiting(self) -> None:
        raise KilledError

    def mark_failed(self, *, triggerer: bool = True) -> None:
        del triggerer
        raise TerminatedError(again=False)

    def clear(self, *, triggerer: bool = True) -> None:
        del triggerer
        raise TerminatedError(again=True)

    def delete_run(self, *, triggerer: bool = True) -> None:
        del triggerer
        self.state = "gone"
        raise TerminatedError(again=False)

    def lose(self, error: Exception) -> None:
        raise error

    def second_worker(self) -> None:
        StepInstance(self._tasks()[0], WINDOW, run=self._run).execute()

    def run_again(self) -> str:
        return self.run()

    def next_run(self) -> str:
        self.state = "running"
        self._run = Run("delays", "scheduled__2013-02-12T00:00:00+00:00", WINDOW.end)
        return self.run()


def _cleans_up(task: Any) -> bool:
    return bool(task.trigger_rule == "all_done")

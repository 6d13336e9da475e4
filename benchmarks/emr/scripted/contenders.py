"""A Spark job on a cluster of its own: by our operator, and by the three stock operators, deferred, as they come.

Operators, triggers and waiters are the real ones; below them are a scripted account and a virtual clock.
"""

from __future__ import annotations

import asyncio
import functools
import io
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import botocore.client
from airflow.providers.amazon.aws.hooks.emr import EmrHook
from airflow.providers.amazon.aws.operators.emr import (
    EmrAddStepsOperator,
    EmrCreateJobFlowOperator,
    EmrTerminateJobFlowOperator,
)
from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskDeferred
from botocore.loaders import JSONFileLoader

from scripted.account import Account, Times
from scripted.clock import EPOCH, VirtualLoop
from sluicegate.emr import SparkOperator
from sluicegate.emr import operator as spark
from sluicegate.emr.engine import Engine
from sluicegate.emr.lookout import Lookout
from sluicegate.emr.watch import Watch
from sluicegate.graph.window import Window
from sluicegate.testing.step import StepInstance
from sluicegate.testing.supervisor import Run

__all__ = ["BETWEEN_TASKS", "CONTENDERS", "run"]

BETWEEN_TASKS = 3.0
"""Seconds from the end of a task, or from an event, until Airflow has the next one at work."""

WINDOW = Window(EPOCH, EPOCH + timedelta(days=1))
_JOB = {"Name": "delays", "ActionOnFailure": "CONTINUE", "HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["x"]}}
_READ = JSONFileLoader._load_file
_LONG = 10_000
"""Instead of the stock operator's 60 looks, after which it gives up although the step goes on."""


async def ours(n: int) -> None:
    with DAG("delays", schedule=None):
        operator = SparkOperator(
            task_id="join",
            jobs=["s3://code/delays.py"],
            cluster={"release": "emr-7.13.0", "instances": {"primary": "m7g.xlarge"}, "watchdog": False},
            artifacts="s3://code/",
            root="/dags",
            max_runtime=timedelta(hours=4),
        )
    await _task(operator, Run("delays", f"run-{n}", WINDOW.start))


async def stock(n: int) -> None:
    made = "{{ ti.xcom_pull('create') }}"
    request = {"Name": f"delays-{n}", "Instances": {"KeepJobFlowAliveWhenNoSteps": True}}
    waits: dict[str, Any] = {"aws_conn_id": "aws_default", "deferrable": True}
    with DAG("delays", schedule=None):
        operators = (
            EmrCreateJobFlowOperator(task_id="create", emr_conn_id=None, job_flow_overrides=request, **waits),
            EmrAddStepsOperator(
                task_id="add", job_flow_id=made, steps=[_JOB], waiter_max_attempts=_LONG, **waits
            ),
            EmrTerminateJobFlowOperator(task_id="terminate", job_flow_id=made, **waits),
        )  # fmt: skip
    run = Run("delays", f"run-{n}", WINDOW.start)
    for operator in operators:
        await _task(operator, run)
        await asyncio.sleep(BETWEEN_TASKS)


CONTENDERS: dict[str, Callable[[int], Awaitable[None]]] = {"stock, deferred": stock, "Sluicegate": ours}


async def _task(operator: Any, run: Run) -> None:
    """One task from its start to its success, through all its deferrals."""
    instance = StepInstance(operator, WINDOW, run=run)
    call = instance.execute
    while True:
        try:
            call()
        except TaskDeferred as deferred:
            event = await anext(deferred.trigger.run())
            await asyncio.sleep(BETWEEN_TASKS)
            method, kwargs = deferred.method_name, {**(deferred.kwargs or {}), "event": event.payload}
            call = lambda method=method, kwargs=kwargs: instance.resume(method, kwargs)  # noqa: E731
        else:
            return


def run(contender: str, clusters: int, times: Times, *, latency: float = 0.0) -> Account:
    """So many jobs at once, and the account as it is when all have ended.

    :param latency: seconds that each call of AWS takes; for a single job, as all wait for it
    """
    loop = VirtualLoop()

    def pass_time(seconds: float) -> None:
        loop.elapsed += seconds if clusters == 1 else 0.0

    account = Account(times, loop.now, latency=lambda: pass_time(latency))

    async def all_of_them() -> None:
        await asyncio.gather(*(CONTENDERS[contender](n) for n in range(clusters)))

    with _scripted(account, loop, pass_time):
        try:
            loop.run_until_complete(all_of_them())
        finally:
            loop.close()
    return account


@contextmanager
def _scripted(account: Account, loop: VirtualLoop, sleep: Callable[[float], None]) -> Iterator[None]:
    def api(client: Any, action: str, body: Any) -> Any:
        return account.call(client.meta.service_model.service_name, action, body)

    read = functools.cache(lambda path, opener: _READ(JSONFileLoader(), path, opener))
    with ExitStack() as stack:
        # Not what is measured: 2 MB of JSON for each client, and what tasks and triggers log.
        stack.enter_context(patch.object(JSONFileLoader, "_load_file", lambda _, path, opener: read(path, opener)))
        stack.enter_context(redirect_stdout(io.StringIO()))
        stack.enter_context(patch.object(botocore.client.BaseClient, "_make_api_call", api))
        stack.enter_context(patch.object(EmrHook, "get_async_conn", _connected))
        real = EmrHook.get_waiter
        stack.enter_context(patch.object(EmrHook, "get_waiter", lambda *a, **kw: _Awaited(real(*a, **_threads(kw)))))
        stack.enter_context(patch.object(spark, "datetime", loop.datetime()))
        for kind in (Engine, Watch, Lookout):
            stack.enter_context(patch.dict(kind.__init__.__kwdefaults__, clock=loop.now))
        stack.enter_context(patch.dict(Engine.__init__.__kwdefaults__, sleep=sleep))
        yield


def _threads(arguments: dict[str, Any]) -> dict[str, Any]:
    """Aiobotocore is not installed: the same waiter, made for botocore."""
    return {**arguments, "deferrable": False}


class _Awaited:
    def __init__(self, waiter: Any) -> None:
        self._waiter = waiter

    async def wait(self, **arguments: Any) -> None:
        self._waiter.wait(**arguments)


async def _connected(hook: EmrHook) -> Any:
    class Connection:
        async def __aenter__(self) -> Any:
            return hook.conn

        async def __aexit__(self, *_: object) -> None: ...

    return Connection()

"""A `spark` step on an EMR that does what the test says: one task instance, and the trigger that waits for it."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskDeferred
from botocore.loaders import JSONFileLoader, Loader

from sluicegate.emr import SparkOperator, engine, watch
from sluicegate.graph.window import Window
from sluicegate.testing.aws import scratch_aws
from sluicegate.testing.emr import ScriptedEmr
from sluicegate.testing.step import StepInstance
from sluicegate.testing.supervisor import Run


@pytest.fixture(scope="session", autouse=True)
def quick_sessions() -> Iterator[None]:
    """botocore reads the same folders and 2 MB of JSON for every session; each task of a test makes one."""
    read = JSONFileLoader._load_file
    cached = functools.cache(lambda path, opener: read(JSONFileLoader(), path, opener))
    listed = Loader.list_available_services
    services = functools.cache(lambda kind: listed(Loader(), kind))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "_load_file", lambda _, path, opener: cached(path, opener))
        patch.setattr(Loader, "list_available_services", lambda _, type_name: services(type_name))
        yield


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedEmr]:
    """The EMR, with its S3, and the Airflow connection `aws_default` that leads to both."""
    with scratch_aws(tmp_path / "s3", create_buckets=False) as found:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", found.s3.connection)
        # Its list is behind only where a test says so, and then not for minutes.
        monkeypatch.setattr(engine, "DOUBT", timedelta())
        monkeypatch.setattr(engine, "CLAIM", 0.0)
        monkeypatch.setattr(watch, "SHORTEST", 0.01)
        for bucket in ("code", "logs", "lake"):
            found.s3.make_bucket(bucket)
        yield found.emr


WINDOW = Window(datetime(2013, 2, 11, tzinfo=UTC), datetime(2013, 2, 12, tzinfo=UTC))


class Task:
    """One task instance of a `spark` step; a deferral is returned, not raised."""

    def __init__(self, root: Path, **arguments: Any) -> None:
        self.arguments = {
            "jobs": ["jobs/delays.py"],
            "cluster": {
                "release": "emr-7.13.0",
                "instances": {"primary": "m7g.xlarge", "core": {"type": "m7g.xlarge", "count": 2}},
                "log_uri": "s3://logs/emr/",
            },
            "cluster_name": "small",
            "reads": {"flights": "s3://lake/flights/{{ ds }}.csv"},
            "writes": {"out": "s3://lake/delays/{{ ds }}/"},
            "artifacts": "s3://code/",
            "root": str(root),
            "retries": 2,
            "log_wait": timedelta(seconds=0),
        } | arguments
        self.try_number, self.max_tries = 1, self.arguments["retries"]
        self.params: dict[str, Any] = {}

    def new(self) -> SparkOperator:
        with DAG("delays", schedule=None):
            return SparkOperator(task_id="join", **self.arguments)

    @cached_property
    def instance(self) -> StepInstance:
        run = Run("delays", "scheduled__2013-02-11T00:00:00+00:00", WINDOW.start)
        return StepInstance(self.new(), WINDOW, run=run)

    @property
    def store(self) -> dict[str, Any]:
        return self.instance.store

    @property
    def operator(self) -> Any:
        """The one that is executed now, or was last."""
        return self.instance.executed

    def execute(self) -> Any:
        return self._returned(self.instance.execute)

    def resume(self, deferred: TaskDeferred, event: Any) -> Any:
        kwargs = (deferred.kwargs or {}) | {"event": event}
        return self._returned(lambda: self.instance.resume(deferred.method_name, kwargs))

    def fail_trigger(self, error: str) -> Any:
        return self._returned(lambda: self.instance.resume("__fail__", {"error": error}))

    def retry(self) -> Any:
        self.try_number += 1
        return self.execute()

    def clear(self) -> Any:
        """What a person does to a task, and then Airflow runs it again."""
        self.max_tries = self.try_number + self.arguments["retries"]
        self.try_number += 1
        return self.execute()

    def shares_store_with(self, other: Task) -> None:
        """Be another try of the same task instance."""
        self.instance.supervisor.stores = other.instance.supervisor.stores
        self.instance.id = other.instance.id

    def _returned(self, call: Callable[[], Any]) -> Any:
        self.instance.params = self.params
        self.instance.try_number, self.instance.max_tries = self.try_number, self.max_tries
        try:
            return call()
        except TaskDeferred as deferred:
            return deferred


def fire(deferred: TaskDeferred) -> dict[str, Any]:
    """The trigger, as the triggerer makes it out of the database, until it fires."""
    from airflow._shared.module_loading import import_string

    path, kwargs = deferred.trigger.serialize()
    trigger = import_string(path)(**json.loads(json.dumps(kwargs)))

    async def first() -> Any:
        async for event in trigger.run():
            return event.payload
        raise AssertionError("the trigger ended without an event")

    payload: dict[str, Any] = json.loads(json.dumps(asyncio.run(first())))
    return payload


@pytest.fixture
def root(tmp_path: Path) -> Path:
    jobs = tmp_path / "dags" / "jobs"
    jobs.mkdir(parents=True)
    (jobs / "delays.py").write_text("print('delays')\n")
    (jobs / "report.py").write_text("print('report')\n")
    return tmp_path / "dags"


@pytest.fixture
def make_task(aws: ScriptedEmr, root: Path) -> Callable[..., Task]:
    del aws
    return lambda **arguments: Task(root, **arguments)


@pytest.fixture
def task(make_task: Callable[..., Task]) -> Task:
    return make_task()


@pytest.fixture
def fired() -> Callable[[TaskDeferred], dict[str, Any]]:
    return fire

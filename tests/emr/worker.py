"""A process that runs one task instance per line it is given, each in a fork of its own that a test can kill.

Not a test: started by `test_crash`. A line is JSON: {"root", "store", "try_number", "max_tries", "event"}.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskDeferred
from botocore.loaders import JSONFileLoader

from sluicegate.emr import SparkOperator, client, connection, engine, outcome  # noqa: F401 - warm forks

engine.DOUBT, engine.CLAIM = timedelta(), 0.0  # a test's list is never behind, and one works at a time


class FileStore:
    """A store that outlives the process, as Airflow's does."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, key: str) -> Any:
        return json.loads(self.path.read_text()).get(key) if self.path.exists() else None

    def set(self, key: str, value: Any) -> None:
        kept = json.loads(self.path.read_text()) if self.path.exists() else {}
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(kept | {key: value}))
        new.replace(self.path)

    def delete(self, key: str) -> None:
        pass


def work(order: dict[str, Any]) -> dict[str, Any]:
    with DAG("delays", schedule=None):
        operator = SparkOperator(
            task_id="join",
            jobs=["jobs/delays.py"],
            cluster={"release": "emr-7.13.0", "instances": {"primary": "m7g.xlarge"}},
            artifacts="s3://code/",
            root=order["root"],
            retries=2,
        )
    start = datetime(2013, 2, 11, tzinfo=UTC)
    context: Any = {
        "ti": SimpleNamespace(
            try_number=order["try_number"], max_tries=order["max_tries"], map_index=-1, xcom_push=lambda **_: None
        ),
        "run_id": "scheduled__2013-02-11",
        "params": {},
        "data_interval_start": start,
        "data_interval_end": start + timedelta(days=1),
        "task_state_store": FileStore(Path(order["store"])),
    }
    try:
        if order.get("event"):
            done = operator.resume_execution("resume", {"event": order["event"]}, context)
        else:
            done = operator.execute(context)
    except TaskDeferred as deferred:
        return {"deferred": deferred.trigger.cluster_id}  # type: ignore[attr-defined]
    return {"done": done["cluster_id"]}


def warm() -> None:
    """Read botocore's JSON once, for all forks."""
    read = JSONFileLoader._load_file
    cached = functools.cache(lambda path, opener: read(JSONFileLoader(), path, opener))
    JSONFileLoader._load_file = lambda _, path, opener: cached(path, opener)
    aws = connection.Aws("aws_default")
    aws.client("emr", attempts=1)
    aws.client("s3", attempts=1)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # Airflow logs to stdout
    warm()
    print("ready", file=answers)
    for line in sys.stdin:
        if not (pid := os.fork()):
            print(json.dumps(work(json.loads(line))), file=answers)
            os._exit(0)
        print(json.dumps({"pid": pid}), file=answers)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"status": os.waitstatus_to_exitcode(status)}), file=answers)


if __name__ == "__main__":
    main()

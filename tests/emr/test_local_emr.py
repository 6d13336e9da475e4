"""A `spark` step on the local EMR while that goes wrong: one job run, no cluster left, however the seed falls."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from sluicegate.emr import engine, launch, watch
from sluicegate.faults import TransientFault
from sluicegate.local.aws import LocalAws, chaos
from sluicegate.local.aws.clusters import Cluster, Step
from sluicegate.local.aws.plan import Plan
from sluicegate.local.aws.spark import Command

from .conftest import Task

RATES = "throttling=0.05,lost-response=0.4,listing-lag=0.5,capacity=0.3,step-failure=0.2,server-error=0.03"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits are as short as the lag of lists."""
    monkeypatch.setattr(chaos, "_LAG", (0.1, 0.8))
    monkeypatch.setattr(engine, "DOUBT", timedelta(seconds=1))
    monkeypatch.setattr(engine, "CLAIM", 0.0)
    monkeypatch.setattr(launch, "LOOK_AGAIN", 0.2)
    monkeypatch.setattr(watch, "SHORTEST", 0.05)


def outcome(task: Task, fired: Callable[[TaskDeferred], Any]) -> str:
    """What becomes of the task in all its tries."""
    while True:
        try:
            found = task.execute()
            while isinstance(found, TaskDeferred):
                found = task.resume(found, fired(found))
            return "success"
        except TransientFault as fault:
            if task.try_number > task.max_tries:
                return fault.code
            task.try_number += 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_run_comes_through_chaos(
    seed: int, tmp_path: Path, root: Path, fired: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"

    def job(cluster: Cluster, step: Step, work: Path) -> Command:
        return Command(("/bin/sh", "-c", f"echo ran >> '{ran}'"), {"PATH": "/usr/bin:/bin"}, work)

    plan = Plan.parse(f"{RATES},seed={seed}")
    with LocalAws(tmp_path / "s3", builder=job, chaos=plan, buckets=["code", "logs"]) as aws:
        extra = {"endpoint_url": aws.endpoint_url, "region_name": "us-east-1"}
        known = {"conn_type": "aws", "login": "any", "password": "any", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(known))
        said = outcome(Task(root, retries=9), fired)
        records = [json.loads(path.read_text()) for path in aws.state.glob("j-*.json")]
    assert said == "success"
    assert [record["name"] for record in records if not record["state"].startswith("TERMINATED")] == []
    assert ran.read_text() == "ran\n"

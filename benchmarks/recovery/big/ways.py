"""Processes that plan and recover the night: ours, and the two ways that a person has today. Each counts its calls."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from big.airflow import BigAirflow

__all__ = ["apply_plan", "clear_by_command", "clear_by_script", "make_plan"]

_COUNTED = """
import json, resource, sys, time
from pathlib import Path
began = time.monotonic()
from sluicegate.api.client import Client
from sluicegate.local.stack.stack import running
calls = []
call = Client._call
def counted(self, method, where, **more):
    start = time.monotonic()
    try:
        return call(self, method, where, **more)
    finally:
        calls.append((method, where, time.monotonic() - start))
Client._call = counted
slept, sleep = [], time.sleep
def napping(seconds):
    slept.append(seconds)
    sleep(seconds)
time.sleep = napping
client = running(Path(sys.argv[1])).api()
def report(**more):
    used = resource.getrusage(resource.RUSAGE_SELF)
    clears = [each for method, where, each in calls if where.endswith("clearTaskInstances")]
    print(json.dumps({
        "seconds": time.monotonic() - began, "calls": len(calls), "in_calls": sum(each for *_, each in calls),
        "clears": len(clears), "in_clears": sum(clears), "MB": used.ru_maxrss / 1024,
        "slept": sum(slept), **more,
    }))
"""
_PLAN = """
from sluicegate.recovery.plan_file import write_plan
from sluicegate.recovery.planning import plan
found = plan(client)
write_plan(found, Path(sys.argv[2]))
report(instances=len(found.instances), runs=len(found.runs), waves=len(found.waves), edges=len(found.edges))
"""
_APPLY = """
from sluicegate.recovery.on_word import apply
from sluicegate.recovery.plan_file import read_plan
plan = read_plan(Path(sys.argv[2]))
outcome = apply(plan, client, yes=plan.id, reason="measured", file=Path(sys.argv[2]), parallel=1000)
report(done=len(outcome.done), good=outcome.is_good)
"""
# What people write: list what failed, clear run by run.
_SCRIPT = """
found = client.post("/dags/~/dagRuns/list", {"states": ["failed"], "page_limit": 100000}, repeatable=True)
for run in found["dag_runs"]:
    body = {"dry_run": False, "only_failed": True, "dag_run_id": run["dag_run_id"]}
    client.post(f"/dags/{run['dag_id']}/clearTaskInstances", body)
report(runs=len(found["dag_runs"]))
"""


def _counted(big: BigAirflow, code: str, file: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", _COUNTED + code, str(big.state), str(file)], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def make_plan(big: BigAirflow, file: Path) -> dict[str, Any]:
    """`sluicegate recover plan` for everything that failed, into `file`."""
    return _counted(big, _PLAN, file)


def apply_plan(big: BigAirflow, file: Path) -> dict[str, Any]:
    """`sluicegate recover apply` of that file."""
    return _counted(big, _APPLY, file)


def clear_by_script(big: BigAirflow) -> dict[str, Any]:
    """A loop over the failed runs that clears each over REST."""
    return _counted(big, _SCRIPT, Path())


def clear_by_command(big: BigAirflow, dags: list[str], day: str) -> dict[str, Any]:
    """`airflow tasks clear` of one DAG after the other; it knows DAGs and dates."""
    began = time.monotonic()
    for dag in dags:
        subprocess.run(
            [sys.executable, "-m", "airflow", "tasks", "clear", "-y", "-f", "-s", day, "-e", day, dag],
            check=True, capture_output=True, env=big.stack.env,
        )  # fmt: skip
    return {"seconds": time.monotonic() - began, "calls": len(dags), "runs": len(dags)}

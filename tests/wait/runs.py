"""Runs of an upstream pipeline, as a waiting step finds them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sluicegate.runtime.marks import RUN_XCOM_KEY
from sluicegate.testing.supervisor import InstanceKey, Run, XComKey


def a_run(
    run_id: str,
    date: datetime,
    states: dict[str, str | None],
    *,
    dag: str = "flights",
    dry_run: bool = False,
    window: str | None = None,
    marked: bool = True,
    state: str = "running",
) -> Run:
    """A run whose tasks have left the mark of a step of ours, unless it is not `marked`; mapped ones as `task_0`."""
    mark = {"window": window or f"{date.isoformat()}/{date.isoformat()}", "dry_run": dry_run}
    keys = {instance: instance_key(instance) for instance in states}
    xcoms: dict[XComKey, Any] = {(*keys[instance], RUN_XCOM_KEY): mark for instance in states if marked}
    return Run(dag, run_id, date, {keys[instance]: found for instance, found in states.items()}, xcoms, state)


def instance_key(name: str) -> InstanceKey:
    """Of `fetch`, or of `fetch_0` for an instance of a mapped task."""
    task, _, index = name.rpartition("_")
    return (task, int(index)) if index.isdigit() else (name, -1)

"""Starting a run and waiting for its end, with what its tasks reported."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from sluicegate.api.answers import DagRun, TaskInstance
from sluicegate.api.client import Client
from sluicegate.api.errors import ApiError, RunFailed
from sluicegate.api.params import given_params
from sluicegate.api.runs import Runs
from sluicegate.api.trigger import Trigger

__all__ = ["run_pipeline", "wait_until_finished"]


def wait_until_finished(
    runs: Runs,
    expected: Mapping[str, int],
    *,
    on_change: Callable[[list[DagRun], list[TaskInstance]], None],
    timeout: float,
    only: str | None = None,
    poll: float = 1.0,
) -> list[DagRun]:
    """Every run, once there are as many finished ones as `expected` (by DAG) and none is under way.

    With `only`, the run of that id is the one that counts.

    :raises TimeoutError: when that takes longer than `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        found = [run for run in runs.all() if only in (None, run.run_id)]
        on_change(found, runs.tasks())
        counts = {name: sum(run.dag_id == name for run in found) for name in expected}
        if all(counts[name] >= count for name, count in expected.items()) and all(r.finished for r in found):
            return found
        if time.monotonic() > deadline:
            open_runs = ", ".join(f"{r.dag_id} {r.start:%Y-%m-%d} ({r.state})" for r in found if not r.finished)
            raise TimeoutError(f"not finished after {timeout:.0f} s: {open_runs or 'no run was made'}")
        time.sleep(poll)


def run_pipeline(client: Client, pipeline: str, texts: Sequence[str], timeout: float = 600) -> Iterator[str]:
    """Start a run and wait for it; a line for every task that ended, with what a load reports.

    :raises WrongParam: when there is no such pipeline, it is paused, or its params are wrong.
    :raises RunFailed: when a task fails.
    :raises ApiError: when it takes longer than `timeout` seconds, and as `Client` does.
    """
    trigger = Trigger.of(client, pipeline)
    trigger.can_start()
    form = trigger.form
    runs = Runs(client, [pipeline])
    run_id = runs.trigger(pipeline, form.checked(given_params(texts, {}, form)))
    try:
        [run] = wait_until_finished(runs, {pipeline: 1}, on_change=lambda *_: None, timeout=timeout, only=run_id)
    except TimeoutError as error:
        raise ApiError(str(error), f"Look at it at {client.url}.") from error
    for task in runs.tasks():
        if task.run_id == run_id:
            yield f"{_name(task)}: {_outcome(runs, run, task)}"
    if run.state != "success":
        raise RunFailed(f"The run of {pipeline} failed.", f"Its log is at {client.url}.")


def _name(task: TaskInstance) -> str:
    return f"{task.dag_id}.{task.task_id}" + (f"[{task.map_index}]" if task.map_index >= 0 else "")


def _outcome(runs: Runs, run: DagRun, task: TaskInstance) -> str:
    if task.state == "failed":
        return "\n    ".join(["failed", *runs.log_tail(task)])
    result = runs.result(run, task.task_id, task.map_index) if task.state == "success" else None
    if not isinstance(result, dict) or "status" not in result:
        return str(task.state)
    counts = [f"{value:,} {name}" for name, value in result.items() if isinstance(value, int) and value]
    return ", ".join([str(result["status"]), *counts])

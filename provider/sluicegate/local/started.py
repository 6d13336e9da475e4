"""A run that a person starts on the embedded stack: its params from text, and what its tasks came to."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sluicegate.local.errors import StackError, WrongUse
from sluicegate.local.runs import Run, Runs, TaskState, wait_until_finished
from sluicegate.local.stack import Stack

__all__ = ["params_of", "run_pipeline"]


def params_of(texts: Sequence[str], schemas: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """`name=value` texts as a run's params. A value is text where the param may be a string, else JSON.

    Raises `WrongUse` for a text that is no such pair, an unknown name, or a value that is not JSON.
    """
    params: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise WrongUse(f"{text!r} is not name=value.", "Write for example -p file=people.csv")
        if name not in schemas:
            near = difflib.get_close_matches(name, schemas, n=1)
            known = f"Did you mean {near[0]}?" if near else f"It has {', '.join(sorted(schemas))}."
            raise WrongUse(f"The pipeline has no param {name}.", known)
        kinds = schemas[name].get("type", "string")
        try:
            params[name] = value if "string" in kinds else json.loads(value)
        except ValueError as error:
            raise WrongUse(f"{value!r} is no value for {name}, which is {kinds}.", "Write it as JSON.") from error
    return params


def run_pipeline(stack: Stack, pipeline: str, texts: Sequence[str], timeout: float = 600) -> Iterator[str]:
    """Start a run and wait for it; a line for every task that ended, with what a load reports.

    Raises `WrongUse` when there is no such pipeline or param, `StackError` when a task fails or it takes too long.
    """
    with stack.api() as api:
        runs = Runs(api, [pipeline])
        schemas = runs.params(pipeline)
        if schemas is None:
            raise WrongUse(
                f"Airflow knows no pipeline {pipeline}.", f"`sluicegate check {stack.run.dags}` may say why."
            )
        run_id = runs.trigger(pipeline, params_of(texts, schemas))
        try:
            wait_until_finished(runs, {}, on_change=lambda *_: None, timeout=timeout, only=run_id)
        except TimeoutError as error:
            raise StackError(str(error), f"Look at it at {stack.airflow_url}.") from error
        run = next(run for run in runs.all() if run.run_id == run_id)
        for task in runs.tasks():
            if task.run_id == run_id:
                yield f"{pipeline}.{task.task_id}: {_came_to(runs, run, task)}"
        if run.state != "success":
            raise StackError(f"The run of {pipeline} failed.", f"Its log is at {stack.airflow_url}.", 1)


def _came_to(runs: Runs, run: Run, task: TaskState) -> str:
    if task.state == "failed":
        return "\n    ".join(["failed", *runs.log_tail(task)])
    result = runs.result(run, task.task_id) if task.state == "success" else None
    if not isinstance(result, dict) or "status" not in result:
        return str(task.state)
    counts = [f"{value:,} {name}" for name, value in result.items() if isinstance(value, int) and value]
    return ", ".join([str(result["status"]), *counts])

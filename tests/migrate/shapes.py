"""A DAG as plain values, to hold two of them against each other. Run as a script it prints those of dag-factory."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from typing import Any

from airflow.sdk import DAG
from airflow.sdk.definitions.mappedoperator import MappedOperator

OURS = frozenset({
    "dag", "task_group", "task_id", "upstream_task_ids", "downstream_task_ids", "params", "start_date", "end_date",
    "retry_delay", "max_retry_delay", "retry_exponential_backoff", "retry_policy", "pre_execute", "doc", "inlets",
    "outlets", "returns_dag_result", "render_template_as_native_obj",
})  # fmt: skip
"""What a step has of its own, or of its pipeline."""


def shape_of(dag: DAG) -> dict[str, Any]:
    """Tasks with their operators and arguments, and the edges."""
    tasks = {task.task_id: task for task in dag.tasks}
    return {
        "tasks": {name: _task(task) for name, task in sorted(tasks.items())},
        "edges": sorted([before, name] for name, task in tasks.items() for before in task.upstream_task_ids),
        "dag": {name: _plain(getattr(dag, name)) for name in ("max_active_runs", "max_active_tasks", "dagrun_timeout")},
    }


def _task(task: Any) -> dict[str, Any]:
    mapped = isinstance(task, MappedOperator)
    # What is mapped gets its arguments in another way: by an item.
    given = {} if mapped else {key: value for key, value in vars(task).items() if not key.startswith("_")}
    return {
        "operator": task.task_type.removeprefix("_").replace("PythonDecoratedOperator", "PythonOperator"),
        "mapped": mapped,
        "arguments": {key: _plain(value) for key, value in sorted(given.items()) if key not in OURS},
    }


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return str([_plain(item) for item in value])
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def main(files: Iterable[str]) -> None:
    from dagfactory.dagfactory import _DagFactory  # type: ignore[import-not-found]

    for file in files:
        dags = _DagFactory(file, defaults_config_path=file.rpartition("/")[0]).build_dags()
        print("SHAPES", json.dumps({name: shape_of(dag) for name, dag in dags.items()}))


if __name__ == "__main__":
    main(sys.argv[1:])

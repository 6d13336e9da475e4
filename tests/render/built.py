"""What Airflow sees of a DAG, as JSON: its serialized form and the attributes of its tasks.

Run with the paths of Python files it prints them for the DAGs therein, in an interpreter that has neither the
factory nor what reads pipeline files.
"""

from __future__ import annotations

import json
import runpy
import sys
from importlib.abc import MetaPathFinder
from typing import Any

_MISSING = (
    "sluicegate.factory",
    "sluicegate.pipeline.file",
    "sluicegate.pipeline.text.yaml",
    "sluicegate.pipeline.tree",
)
_PLACES = {"fileloc", "relative_fileloc", "doc_md", "_processor_dags_folder", "last_loaded"}
_AIRFLOWS = {
    "dag",
    "_dag",
    "params",
    "_pre_execute_hook",
    "task_group",
    "upstream_task_ids",
    "downstream_task_ids",
    "start_date",
    "end_date",
    "_log",
}


class Absent(MetaPathFinder):
    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.startswith(_MISSING):
            raise ImportError(f"{name} is not there")


def seen(dag: Any, root: str) -> dict[str, Any]:
    from airflow.sdk.definitions.mappedoperator import MappedOperator
    from airflow.serialization.serialized_objects import DagSerialization

    from sluicegate.render.plain import plain
    from sluicegate.runtime.operator import before_operator_step

    serialized = json.loads(json.dumps(DagSerialization.to_dict(dag)))["dag"]
    told = {name: value for name, value in serialized.items() if name not in _PLACES}
    ours = [[name, {**param, "source": "dag"}] for name, param in told["params"]]
    for task in told["tasks"]:
        # In a `with` block Airflow gives each task the params of its DAG, which hold for it anyway.
        task["__var"]["params"] = [each for each in task["__var"].get("params", ()) if each not in ours]
        # What an instance gets of it is compared below: arguments that say a default may be there or not.
        task["__var"].pop("partial_kwargs", None)
        # A hook in the written file is a method of the operator in the factory: `left_out` below.
        task["__var"].pop("_pre_execute_hook", None)
    tasks = {}
    for task in dag.tasks:
        mapped = isinstance(task, MappedOperator)
        own = vars(task.unmap({"item": "item"}) if mapped else task)
        hook = own.get("_pre_execute_hook")
        kind = task.operator_class if mapped else type(task)
        tasks[task.task_id] = {
            name: plain(value, root)
            for name, value in own.items()
            if name not in ("params", "_pre_execute_hook")
            and name not in _AIRFLOWS
            and not name.startswith("_BaseOperator__")
        }
        tasks[task.task_id]["left_out"] = hook is before_operator_step or getattr(kind, "is_step", False)
        if mapped:
            tasks[task.task_id]["over"] = plain(task.expand_input.value, root)
    text = json.dumps({"dag": told, "tasks": tasks, "zone": dag.window_timezone}, default=str)
    again: dict[str, Any] = json.loads(text.replace(root, "ROOT"))
    return again


def main() -> None:
    root, *files = sys.argv[1:]
    sys.meta_path.insert(0, Absent())
    sys.path.append(root)
    from sluicegate.runtime.dag import PipelineDAG

    found = {}
    for file in files:
        for value in runpy.run_path(file).values():
            if isinstance(value, PipelineDAG):
                found[value.dag_id] = seen(value, root)
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    main()

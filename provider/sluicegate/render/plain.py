"""A rendered DAG as JSON: the same for the same files on every machine, so that two commits can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Set
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from airflow.sdk import XComArg
from airflow.sdk.definitions.xcom_arg import PlainXComArg

from sluicegate.pipeline.text.quantities import Limit
from sluicegate.render.parts import home_of, parts_of
from sluicegate.render.rendered import Rendered, RenderedTask

__all__ = ["plain", "plain_dag"]

_ROOT = "$DAGS_ROOT"


def plain_dag(dag: Rendered, root: str) -> dict[str, Any]:
    """What `json.dumps` takes.

    :param root: the dags root; paths below it are written as `$DAGS_ROOT/…`
    """
    arguments = {name: value for name, value in dag.arguments.items() if name != "source"}
    return {
        "file": str(dag.arguments.get("source", "")).removeprefix(f"{root}/"),
        "arguments": plain(arguments, root),
        "groups": {
            group.group_id: {"arguments": plain(group.arguments, root), "parent": group.parent} for group in dag.groups
        },
        "tasks": {task.task_id: _task(task, root) for task in sorted(dag.tasks, key=lambda task: task.task_id)},
        "edges": [list(edge) for edge in dag.edges],
    }


def _task(task: RenderedTask, root: str) -> dict[str, Any]:
    arguments = {name: value for name, value in task.arguments.items() if name != "task_id"}
    told: dict[str, Any] = {"operator": _path(task.operator), "arguments": plain(arguments, root)}
    if task.expand is not None:
        told["expand"] = plain(task.expand, root)
    if task.group is not None:
        told["group"] = task.group
    told |= {name: True for name in ("setup", "teardown", "fails_run") if getattr(task, name)}
    return told


def plain(value: Any, root: str) -> Any:
    """A value as JSON has it; what JSON has no form for is a mapping with its class, and no address is in it."""
    if isinstance(value, Enum):
        return plain(value.value, root)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str | PurePath):
        words = str(value).replace(root, _ROOT)
        # A long text is compared line by line.
        return {"lines": words.split("\n")} if "\n" in words.strip("\n") else words
    if isinstance(value, Mapping):
        return {str(plain(key, root)): plain(each, root) for key, each in value.items()}
    if isinstance(value, Set):
        return sorted((plain(each, root) for each in value), key=str)
    if isinstance(value, list | tuple):
        return [plain(each, root) for each in value]
    return _tagged(value, root)


def _tagged(value: Any, root: str) -> Any:
    if isinstance(value, timedelta):
        return {"timedelta": str(value)}
    if isinstance(value, datetime | date):
        return {type(value).__name__.lower(): value.isoformat()}
    if isinstance(value, tzinfo | Decimal | Limit):
        return str(value)
    if isinstance(value, PlainXComArg):
        return {"output": value.operator.task_id} | ({} if value.key == "return_value" else {"key": value.key})
    if isinstance(value, type):
        return {"class": _path(value)}
    if isinstance(value, FunctionType | BuiltinFunctionType | MethodType):
        return {"function": _path(value)}
    parts = None if isinstance(value, XComArg) else parts_of(value)
    if parts is None:
        return {_path(type(value)): {}}
    return {_public(parts.kind): plain({**parts.positional, **parts.named}, root)}


def _public(kind: type) -> str:
    try:
        return ".".join(home_of(kind))
    except ValueError:
        return _path(kind)


def _path(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"

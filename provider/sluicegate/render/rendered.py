"""A DAG as values: what its tasks are called with, its groups, its edges. Neither JSON nor Python is made here."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from airflow.sdk import BaseOperator, TaskGroup, XComArg
from airflow.sdk.definitions.mappedoperator import MappedOperator
from pydantic import BaseModel

from sluicegate.runtime.dag import PipelineDAG
from sluicegate.runtime.operator import StepOperator, before_operator_step

__all__ = ["Rendered", "RenderedGroup", "RenderedTask", "rendered"]

_OF_A_DAG = frozenset({"task_group", "dag"})
_OF_A_MAPPED_TASK = frozenset({"map_index_template", "max_active_tis_per_dagrun", "max_active_tis_per_dag"})


@dataclass(frozen=True)
class RenderedTask:
    """`operator` is called with `arguments`, for each item of `expand` where that is there."""

    task_id: str
    operator: type[BaseOperator]
    arguments: Mapping[str, Any]
    expand: Mapping[str, Any] | None = None
    group: str | None = None
    setup: bool = False
    teardown: bool = False
    fails_run: bool = False
    """A teardown whose failure fails the run."""


@dataclass(frozen=True)
class RenderedGroup:
    group_id: str
    arguments: Mapping[str, Any]
    parent: str | None = None


@dataclass(frozen=True)
class Rendered:
    """`arguments` are those of `PipelineDAG`. `edges` are (task, task that comes after it), sorted."""

    dag_id: str
    arguments: Mapping[str, Any]
    groups: tuple[RenderedGroup, ...]
    tasks: tuple[RenderedTask, ...]
    edges: tuple[tuple[str, str], ...]


def rendered(
    dag: PipelineDAG, arguments: Mapping[str, Any], task_arguments: Mapping[str, Mapping[str, Any]]
) -> Rendered:
    """What `dag` was built with, without what is Airflow's or our operators' default anyway.

    :param arguments: with which the DAG was called; it does not keep them
    :param task_arguments: with which its operators were called, by task id
    """
    given = dict(arguments)
    # The form may be added after the DAG was made.
    given["params"] = {name: dag.params.get_param(name) for name in dag.params}
    edges = sorted((task.task_id, after) for task in dag.tasks for after in task.downstream_task_ids)
    return Rendered(
        dag.dag_id,
        {name: value for name, value in _differing(PipelineDAG, given).items() if value not in (None, [])},
        tuple(_groups(dag.task_group)),
        tuple(_task(task, task_arguments[task.task_id]) for task in dag.tasks),
        tuple(edges),
    )


def _task(task: BaseOperator | MappedOperator, given: Mapping[str, Any]) -> RenderedTask:
    kind = task.operator_class if isinstance(task, MappedOperator) else type(task)
    expand: Mapping[str, Any] | None = None
    if isinstance(task, MappedOperator):
        expand = _expanded(task)
        known = given.keys() | _OF_A_MAPPED_TASK
        given = {"task_id": task.task_id, **{name: each for name, each in task.partial_kwargs.items() if name in known}}
    arguments = _differing(kind, {name: value for name, value in given.items() if name not in _OF_A_DAG})
    if getattr(kind, "is_step", False):
        arguments["pre_execute"] = before_operator_step
    if issubclass(kind, StepOperator):
        arguments = {name: value for name, value in arguments.items() if not _says_nothing(value)}
    group = task.task_group
    return RenderedTask(
        task.task_id,
        _named(kind),
        arguments,
        expand,
        group.group_id if group is not None and not group.is_root else None,
        setup=task.is_setup,
        teardown=task.is_teardown,
        fails_run=task.is_teardown and task.on_failure_fail_dagrun,
    )


def _named(kind: type[BaseOperator]) -> type[BaseOperator]:
    """The class that has the name, where `kind` is one that `with_item` made of it."""
    found = getattr(sys.modules.get(kind.__module__), kind.__qualname__, None)
    return found if found is not None and found in kind.__mro__ else kind


def _expanded(task: MappedOperator) -> Mapping[str, Any]:
    value = task.expand_input.value
    if not isinstance(value, Mapping):
        raise TypeError(f"{task.task_id} is expanded by keyword arguments out of {type(value).__name__}")
    return value


def _groups(root: TaskGroup) -> Iterator[RenderedGroup]:
    """The groups below `root`, each after the one around it."""
    for child in root.children.values():
        if isinstance(child, TaskGroup):
            arguments = {
                "group_display_name": child.group_display_name,
                "prefix_group_id": child.prefix_group_id,
                "tooltip": child.tooltip,
            }
            parent = None if root.is_root else root.group_id
            yield RenderedGroup(str(child.group_id), _differing(TaskGroup, arguments), parent)
            yield from _groups(child)


def _differing(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that are not what would be without them."""
    defaults: dict[str, Any] = {}
    for each in kind.__mro__:
        if "__init__" in vars(each) and each is not object:
            for parameter in inspect.signature(vars(each)["__init__"]).parameters.values():
                defaults.setdefault(parameter.name, parameter.default)
    return {
        name: value for name, value in given.items() if not _same(value, defaults.get(name, inspect.Parameter.empty))
    }


def _says_nothing(value: Any) -> bool:
    """Our own operators take None for what is empty, and for models without a word."""
    return value == () or value == {} or (isinstance(value, BaseModel) and value == _made_of_nothing(type(value)))


def _made_of_nothing(kind: type[BaseModel]) -> BaseModel | None:
    required = any(each.is_required() for each in kind.model_fields.values())
    return None if required else kind()


def _same(value: Any, default: Any) -> bool:
    """Equal, and of one type: True is not 1."""
    if isinstance(value, XComArg) or isinstance(value, bool) != isinstance(default, bool):
        return False
    return value is default or (type(value) is type(default) and bool(value == default))

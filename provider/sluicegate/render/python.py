"""A rendered DAG as a Python file, as a person would write it: imports, datasets, what steps share, steps, edges."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from keyword import iskeyword
from pathlib import PurePosixPath
from typing import Any, TypeVar

from airflow.sdk import BaseOperator, TaskGroup
from airflow.sdk.definitions.xcom_arg import PlainXComArg

from sluicegate.dag import PipelineDAG
from sluicegate.operator import StepOperator
from sluicegate.pipeline.location import Location
from sluicegate.pipeline.model import Schedule
from sluicegate.render.expression import Expression, Group, call, laid_out, one_line, quoted
from sluicegate.render.literal import NotPythonError, Writer
from sluicegate.render.rendered import Rendered, RenderedTask

__all__ = ["python_of"]

FoundT = TypeVar("FoundT")

_OF_THE_FILE = frozenset({"source", "auto_register", "doc_md"})
"""Arguments of the DAG that say where it comes from."""
_RESERVED = frozenset({"ROOT", "SHARED", "OURS"})
_SCHEDULES = {"0 * * * *": "HOURLY", "0 0 * * *": "DAILY", "0 0 * * 0": "WEEKLY", "0 0 1 * *": "MONTHLY"}
_HOW = frozenset(inspect.signature(BaseOperator).parameters) | {"pipeline", "root", "timezone"}
_WITH_ITEM = "WithItem"
_FEWEST = 2
"""From so many arguments that steps have in common on they are written once."""
_INDENT = "    "


def python_of(dag: Rendered, *, root: str, file: PurePosixPath, description: str) -> str:
    """The file's text. It imports Airflow, our operators and what the arguments are, and reads nothing.

    :param root: the dags root, as it stands in the arguments
    :param file: where the pipeline's file is below the root: the Python file is to stand beside it
    :param description: becomes the module's docstring and the DAG's documentation
    :raises NotPythonError: for an argument that cannot be written
    """
    return _File(dag, Writer(root), file, description).text()


@dataclass(frozen=True)
class _File:
    dag: Rendered
    writer: Writer
    file: PurePosixPath
    description: str

    def text(self) -> str:
        body = "\n\n".join([*self._constants(), self._with()])
        above = len(self.file.parts) - 1
        root = []
        if self.writer.uses_root:
            place = f"Path(__file__).parents[{above}]" if above else "Path(__file__).parent"
            self.writer.imports.name("pathlib", "Path")
            root = [f"ROOT = str({place})", ""]
        imports = self.writer.imports.lines(sys.stdlib_module_names)
        return "\n".join([self._docstring(), "", *imports, "", *root, body, ""])

    def _docstring(self) -> str:
        words = self.description.strip() or f"The pipeline {self.dag.dag_id}."
        text = quoted(f"{words}\n" if "\n" in words else words)
        return text if text.startswith('"""') else f'""{text}""' if text.startswith('"') and '\\"' not in text else text

    def _constants(self) -> Iterator[str]:
        for lines in (self._schedules(), self._datasets(), self._with_item()):
            if constants := list(lines):
                yield "\n".join(constants)

    def _with(self) -> str:
        """What steps share, and the DAG with all that is in it."""
        self.writer.tasks = _variables(task.task_id for task in self.dag.tasks)
        tasks = {task.task_id: self._arguments(task) for task in self.dag.tasks}
        shared = _Shared.of(self.dag.tasks, tasks)
        inside = ["\n".join(groups)] if (groups := self._groups()) else []
        inside += [
            _INDENT + self._task(task, shared.without(task, tasks[task.task_id]))
            for task in _makers_first(self.dag.tasks)
        ]
        inside += self._ends()
        return "\n\n".join([*shared.constants(), self._head() + "\n" + "\n\n".join(inside)])

    def _schedules(self) -> Iterator[str]:
        """A constant for each schedule that stands in several places."""
        found = [each for task in self.dag.tasks for each in _schedules(task.arguments)]
        names = _constants_of((_SCHEDULES.get(each.cron or "", "SCHEDULE"), each) for each in _several(found))
        return self._named(names)

    def _datasets(self) -> Iterator[str]:
        """A constant for each place that has a name."""
        found: list[Location] = []
        for task in self.dag.tasks:
            for place in _within(task.arguments, Location):
                if place not in found and re.fullmatch(r"[a-z_][a-z0-9_.]*", place.dataset):
                    found.append(place)
        return self._named(_constants_of((each.dataset.upper().replace(".", "_"), each) for each in found))

    def _with_item(self) -> Iterator[str]:
        """A class for each operator that is mapped and takes no item itself."""
        names = dict.fromkeys(self._name(task.operator) for task in self.dag.tasks if _takes_no_item(task))
        for name in names:
            yield f"{name}{_WITH_ITEM} = {self.writer.imports.name('sluicegate.operator', 'with_item')}({name})"

    def _named(self, values: Mapping[str, Any]) -> Iterator[str]:
        """Assignments; from then on the name is written for the value."""
        for name, value in values.items():
            yield f"{name} = {laid_out(self.writer.write(value), used=len(name) + 3)}"
            self.writer.named.append((value, name))

    def _head(self) -> str:
        arguments = {name: value for name, value in self.dag.arguments.items() if name not in _OF_THE_FILE}
        named = [(name, self.writer.write(value)) for name, value in arguments.items()]
        if "doc_md" in self.dag.arguments:
            named.append(("doc_md", "__doc__"))
        made = call(self._name(PipelineDAG), [quoted(self.dag.dag_id)], named)
        return f"with {laid_out(made, used=len('with  as dag:'))} as dag:"

    def _groups(self) -> list[str]:
        variables = _variables(f"{group.group_id}_group" for group in self.dag.groups)
        lines = []
        for group in self.dag.groups:
            variable = variables[f"{group.group_id}_group"]
            named = [(name, self.writer.write(value)) for name, value in group.arguments.items()]
            if group.parent is not None:
                named.append(("parent_group", variables[f"{group.parent}_group"]))
            made = call(self._name(TaskGroup), [quoted(group.group_id)], named)
            lines.append(f"{_INDENT}{variable} = {laid_out(made, indent=4, used=7 + len(variable))}")
        return lines

    def _arguments(self, task: RenderedTask) -> dict[str, Expression]:
        found: dict[str, Expression] = {}
        for name, value in task.arguments.items():
            try:
                found[name] = self.writer.write(value)
            except NotPythonError as error:
                raise NotPythonError(f"{self.dag.dag_id}.{task.task_id}: `{name}`: {error}") from error
        if task.group is not None:
            found["task_group"] = _variables([f"{task.group}_group"])[f"{task.group}_group"]
        return found

    def _task(self, task: RenderedTask, arguments: Sequence[tuple[str, Expression]]) -> str:
        variable = self.writer.tasks[task.task_id]
        name = self._name(task.operator)
        if _takes_no_item(task):
            name += _WITH_ITEM
        group = Group(f"{name}(" if task.expand is None else f"{name}.partial(", tuple(arguments), ")")
        text = f"{variable} = {laid_out(group, indent=4, used=7 + len(variable))}"
        if task.expand is not None:
            expand = call(".expand", (), [(each, self.writer.write(value)) for each, value in task.expand.items()])
            text += laid_out(expand, indent=4, used=4 + len(text.rpartition("\n")[2]))
        return text

    def _name(self, kind: type) -> str:
        return one_line(self.writer.write(kind))

    def _ends(self) -> Iterator[str]:
        """Setups and teardowns, then the edges."""
        lines = []
        for task in self.dag.tasks:
            variable = self.writer.tasks[task.task_id]
            if task.setup:
                lines.append(f"{_INDENT}{variable}.as_setup()")
            if task.teardown:
                lines.append(
                    f"{_INDENT}{variable}.as_teardown({'on_failure_fail_dagrun=True' if task.fails_run else ''})"
                )
        if lines:
            yield "\n".join(lines)
        if edges := list(self._edges()):
            yield "\n".join(edges)

    def _edges(self) -> Iterator[str]:
        """One line for each task that comes after others; what it is expanded over is before it already."""
        for task in self.dag.tasks:
            over = set(_outputs(task))
            before = [tail for tail, head in self.dag.edges if head == task.task_id and tail not in over]
            names = [self.writer.tasks[each] for each in before]
            if names:
                line = Group("[", tuple(("", name) for name in names), "]") if len(names) > 1 else names[0]
                after = f" >> {self.writer.tasks[task.task_id]}"
                yield f"{_INDENT}{laid_out(line, indent=4, used=4 + len(after))}{after}"


@dataclass(frozen=True)
class _Shared:
    """What all steps are called with alike, and what all of our own steps are."""

    every: Mapping[str, Expression]
    ours: Mapping[str, Expression]

    @classmethod
    def of(cls, tasks: Sequence[RenderedTask], arguments: Mapping[str, Mapping[str, Expression]]) -> _Shared:
        own = [arguments[task.task_id] for task in tasks if issubclass(task.operator, StepOperator)]
        every = _common(list(arguments.values()))
        if len(own) == len(arguments):
            return cls(every, {})
        ours = {name: each for name, each in _common(own).items() if name not in every}
        return cls(every, ours if len(ours) >= _FEWEST else {})

    def constants(self) -> Iterator[str]:
        if self.every:
            yield f"SHARED = {laid_out(_dictionary(self.every), used=9)}"
        if self.ours:
            before = (("**", "SHARED"),) if self.every else ()
            items = _dictionary(self.ours).items
            yield f"OURS = {laid_out(Group('{', before + items, '}'), used=7)}"

    def without(self, task: RenderedTask, arguments: Mapping[str, Expression]) -> list[tuple[str, Expression]]:
        """The items of a call: the step's id, what is shared, and what is its own."""
        own = issubclass(task.operator, StepOperator)
        shared = {**self.every, **(self.ours if own else {})}
        names = sorted((name for name in arguments if name not in shared), key=_place)
        named = [(f"{name}=", arguments[name]) for name in names]
        constant = "OURS" if self.ours and own else "SHARED" if self.every else ""
        return [*named, *([("**", constant)] if constant else [])]


def _place(argument: str) -> int:
    """The task's id, what it does, and then how it is run."""
    return 0 if argument == "task_id" else 2 if argument in _HOW else 1


def _dictionary(values: Mapping[str, Expression]) -> Group:
    return Group("{", tuple((f"{quoted(name)}: ", each) for name, each in values.items()), "}")


def _common(calls: Sequence[Mapping[str, Expression]]) -> dict[str, Expression]:
    """The arguments that all calls have alike; nothing when they are too few to be worth a name."""
    if len(calls) < _FEWEST:
        return {}
    first, *others = calls
    found = {name: each for name, each in first.items() if all(other.get(name) == each for other in others)}
    return found if len(found) >= _FEWEST else {}


def _takes_no_item(task: RenderedTask) -> bool:
    return task.expand is not None and not issubclass(task.operator, StepOperator)


def _within(value: Any, kind: type[FoundT]) -> Iterator[FoundT]:
    if isinstance(value, kind):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _within(each, kind)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _within(each, kind)


def _schedules(arguments: Mapping[str, Any]) -> Iterator[Schedule]:
    yield from _within(arguments, Schedule)
    yield from (place.upstream for place in _within(arguments, Location) if place.upstream is not None)


def _several(values: Sequence[Schedule]) -> list[Schedule]:
    found: list[Schedule] = []
    for value in values:
        if value not in found and values.count(value) > 1:
            found.append(value)
    return found


def _constants_of(wished: Iterable[tuple[str, FoundT]]) -> dict[str, FoundT]:
    """A name for each value, none of them twice."""
    found: dict[str, FoundT] = {}
    for name, value in wished:
        called, count = name, 1
        while called in found or called in _RESERVED:
            count += 1
            called = f"{name}_{count}"
        found[called] = value
    return found


def _outputs(task: RenderedTask) -> Iterator[str]:
    values = [*task.arguments.values(), *(task.expand or {}).values()]
    return (value.operator.task_id for value in values if isinstance(value, PlainXComArg))


def _makers_first(tasks: Sequence[RenderedTask]) -> list[RenderedTask]:
    """In the order given, but whatever another is expanded over before that."""
    found: list[RenderedTask] = []
    by_id = {task.task_id: task for task in tasks}

    def add(task: RenderedTask) -> None:
        for maker in _outputs(task):
            add(by_id[maker])
        if task not in found:
            found.append(task)

    for task in tasks:
        add(task)
    return found


def _variables(names: Iterable[str]) -> dict[str, str]:
    """A variable for each name."""
    found: dict[str, str] = {}
    taken = {"dag"}
    for name in names:
        variable = re.sub(r"\W", "_", name, flags=re.ASCII)
        if not variable.isidentifier() or iskeyword(variable):
            variable = f"step_{variable}"
        while variable in taken:
            variable += "_"
        taken.add(variable)
        found[name] = variable
    return found

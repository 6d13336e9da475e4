"""A rendered DAG as a Python file, as a person would write it: imports, datasets, what steps share, steps, edges."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from airflow.sdk import TaskGroup
from airflow.sdk.definitions.xcom_arg import PlainXComArg

from sluicegate.render.expression import Expression, Group, call, laid_out, one_line, quoted
from sluicegate.render.literal import NotPythonError, Writer
from sluicegate.render.names import datasets, schedules, variables
from sluicegate.render.rendered import Rendered, RenderedTask
from sluicegate.render.shared import Shared
from sluicegate.runtime.dag import PipelineDAG
from sluicegate.runtime.operator import StepOperator

__all__ = ["python_of"]

_OF_THE_FILE = frozenset({"source", "auto_register", "doc_md"})
"""Arguments of the DAG that say where it comes from."""
_WITH_ITEM = "WithItem"
_INDENT = "    "


def python_of(dag: Rendered, *, root: str, file: PurePosixPath, description: str) -> str:
    """The file's text. It imports Airflow, our operators and what the arguments are, and reads nothing.

    :param root: the dags root, as it is spelt in the arguments
    :param file: where the pipeline's file is below the root: the Python file is to be beside it
    :param description: becomes the module's docstring and the DAG's documentation
    :raises NotPythonError: for an argument that cannot be written
    """
    first = _File(dag, Writer(root), file, description)
    first.text()
    # What is imported is known now: no step and no dataset may be called like it.
    taken = frozenset(first.writer.imports.names.values())
    return _File(dag, Writer(root), file, description, taken).text()


@dataclass(frozen=True)
class _File:
    dag: Rendered
    writer: Writer
    file: PurePosixPath
    description: str
    taken: frozenset[str] = frozenset()

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
        for lines in (self._named(schedules(self.dag.tasks, self.taken)), self._datasets(), self._with_item()):
            if constants := list(lines):
                yield "\n".join(constants)

    def _with(self) -> str:
        """What steps share, and the DAG with all that is in it."""
        names = [*(task.task_id for task in self.dag.tasks), *(f"group:{group.group_id}" for group in self.dag.groups)]
        self.writer.tasks = variables(names, self.taken)
        tasks = {task.task_id: self._arguments(task) for task in self.dag.tasks}
        shared = Shared.of(self.dag.tasks, tasks)
        inside = ["\n".join(groups)] if (groups := self._groups()) else []
        inside += [
            _INDENT + self._task(task, shared.without(task, tasks[task.task_id]))
            for task in _makers_first(self.dag.tasks)
        ]
        inside += self._ends()
        return "\n\n".join([*shared.constants(), self._head() + "\n" + "\n\n".join(inside)])

    def _datasets(self) -> Iterator[str]:
        # Not before the schedules are written: places name them.
        yield from self._named(datasets(self.dag.tasks, self.taken))

    def _with_item(self) -> Iterator[str]:
        """A class for each operator that is mapped and takes no item itself."""
        names = dict.fromkeys(self._name(task.operator) for task in self.dag.tasks if _takes_no_item(task))
        for name in names:
            yield f"{name}{_WITH_ITEM} = {self.writer.imports.name('sluicegate.runtime.operator', 'with_item')}({name})"

    def _named(self, values: Mapping[str, Any]) -> Iterator[str]:
        """Assignments; from then on the name is written for the value."""
        for name, value in values.items():
            yield f"{name} = {laid_out(self.writer.write(value), used=len(name) + 3)}"
            self.writer.named.append((value, name))

    def _head(self) -> str:
        arguments = {name: value for name, value in self.dag.arguments.items() if name not in _OF_THE_FILE}
        named = list(self._written(arguments, self.dag.dag_id).items())
        if "doc_md" in self.dag.arguments:
            named.append(("doc_md", "__doc__"))
        made = call(self._name(PipelineDAG), [quoted(self.dag.dag_id)], named)
        return f"with {laid_out(made, used=len('with  as dag:'))} as dag:"

    def _groups(self) -> list[str]:
        lines = []
        for group in self.dag.groups:
            variable = self.writer.tasks[f"group:{group.group_id}"]
            named = [(name, self.writer.write(value)) for name, value in group.arguments.items()]
            if group.parent is not None:
                named.append(("parent_group", self.writer.tasks[f"group:{group.parent}"]))
            made = call(self._name(TaskGroup), [quoted(group.group_id)], named)
            lines.append(f"{_INDENT}{variable} = {laid_out(made, indent=4, used=7 + len(variable))}")
        return lines

    def _arguments(self, task: RenderedTask) -> dict[str, Expression]:
        found = self._written(task.arguments, f"{self.dag.dag_id}.{task.task_id}")
        if task.group is not None:
            found["task_group"] = self.writer.tasks[f"group:{task.group}"]
        return found

    def _written(self, arguments: Mapping[str, Any], whose: str) -> dict[str, Expression]:
        found: dict[str, Expression] = {}
        for name, value in arguments.items():
            try:
                found[name] = self.writer.write(value)
            except NotPythonError as error:
                raise NotPythonError(f"{whose}: `{name}`: {error}") from error
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


def _takes_no_item(task: RenderedTask) -> bool:
    return task.expand is not None and not issubclass(task.operator, StepOperator)


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

"""What the calls of steps have in common, to be written once."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from airflow.sdk import BaseOperator

from sluicegate.render.expression import Expression, Group, laid_out, quoted
from sluicegate.render.rendered import RenderedTask
from sluicegate.runtime.operator import StepOperator

__all__ = ["Shared"]

_HOW = frozenset(inspect.signature(BaseOperator).parameters) | {"pipeline", "root", "timezone"}
_FEWEST = 2
"""The least number of common arguments that are written once."""


@dataclass(frozen=True)
class Shared:
    """What all steps are called with alike, and what all of our own steps are."""

    every: Mapping[str, Expression]
    ours: Mapping[str, Expression]

    @classmethod
    def of(cls, tasks: Sequence[RenderedTask], arguments: Mapping[str, Mapping[str, Expression]]) -> Shared:
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

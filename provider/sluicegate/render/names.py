"""Names in a written file: of constants for places and schedules, of variables for steps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from keyword import iskeyword
from typing import Any, TypeVar

from sluicegate.graph.location import Location
from sluicegate.pipeline.keys.model import Schedule
from sluicegate.render.rendered import RenderedTask

__all__ = ["datasets", "schedules", "variables"]

FoundT = TypeVar("FoundT")

_RESERVED = frozenset({"ROOT", "SHARED", "OURS"})
_SCHEDULES = {"0 * * * *": "HOURLY", "0 0 * * *": "DAILY", "0 0 * * 0": "WEEKLY", "0 0 1 * *": "MONTHLY"}


def datasets(tasks: Iterable[RenderedTask], taken: Set[str]) -> dict[str, Location]:
    """A constant for each place that has a name."""
    found: list[Location] = []
    for task in tasks:
        for place in _within(task.arguments, Location):
            if place not in found and re.fullmatch(r"[a-z_][a-z0-9_.]*", place.dataset):
                found.append(place)
    return _constants(((each.dataset.upper().replace(".", "_"), each) for each in found), taken)


def schedules(tasks: Iterable[RenderedTask], taken: Set[str]) -> dict[str, Schedule]:
    """A constant for each schedule used in several places."""
    found = [each for task in tasks for each in _schedules(task.arguments)]
    return _constants(((_SCHEDULES.get(each.cron or "", "SCHEDULE"), each) for each in _several(found)), taken)


def variables(names: Iterable[str], avoided: Set[str]) -> dict[str, str]:
    """A variable for each name."""
    found: dict[str, str] = {}
    taken = {"dag", *avoided}
    for name in names:
        variable = re.sub(r"\W", "_", name, flags=re.ASCII)
        if not variable.isidentifier() or iskeyword(variable):
            variable = f"step_{variable}"
        while variable in taken:
            variable += "_"
        taken.add(variable)
        found[name] = variable
    return found


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


def _constants(wished: Iterable[tuple[str, FoundT]], taken: Set[str]) -> dict[str, FoundT]:
    """A name for each value, none of them twice."""
    found: dict[str, FoundT] = {}
    for name, value in wished:
        called, count = name, 1
        while called in found or called in _RESERVED or called in taken:
            count += 1
            called = f"{name}_{count}"
        found[called] = value
    return found

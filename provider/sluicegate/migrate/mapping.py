"""Dynamic task mapping, `expand` and `partial`, as `for_each:`; and results of other tasks in arguments."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sluicegate.migrate.item import Item, Items
from sluicegate.migrate.values import Lost, Values
from sluicegate.pipeline.diagnostics import Where

__all__ = ["Mapped", "Reference", "mapped", "reference", "referred"]

_PLUS = re.compile(r"""\+(?P<task>\w+)(\[['"](?P<key>.*)['"]\])?""")
_OUTPUT = re.compile(r"(?P<task>.+)\.output")
_XCOM = re.compile(r"(?i)xcomarg\(+(?P<task>.*?)\)+")
_ITEM = "{{ item }}"


@dataclass(frozen=True)
class Reference:
    """The result of another task, or what lies under one key of it."""

    task: str
    key: str | None = None


@dataclass(frozen=True)
class Mapped:
    """`for_each` is its value, `arguments` those that come from the item. `native`: it has to keep its type."""

    for_each: Any
    arguments: Mapping[str, str]
    native: bool
    source: str | None = None


def reference(item: Item, tasks: Collection[str], *, plus: bool) -> Reference | None:
    """What a value refers to: `+task` and `+task['key']` where they count, `task.output`, `XComArg(task)`."""
    if not isinstance(item.value, str):
        return None
    if plus:
        found = _PLUS.fullmatch(item.value)
        return Reference(found["task"], found["key"]) if found is not None and found["task"] in tasks else None
    for pattern in (_OUTPUT, _XCOM):
        found = pattern.fullmatch(item.value.strip())
        if found is not None and found["task"] in tasks:
            return Reference(found["task"])
    return None


def referred(item: Item, tasks: Collection[str], *, plus: bool) -> Iterator[str]:
    """The tasks that a value refers to anywhere inside."""
    found = reference(item, tasks, plus=plus)
    if found is not None:
        yield found.task
    inner = item.value if isinstance(item.value, list) else item.items.values()
    for one in inner:
        yield from referred(one, tasks, plus=plus)


def mapped(expand: Item, tasks: Mapping[str, str], values: Values, where: Where, *, plus: bool) -> Mapped:
    """What a task is mapped over; `tasks` are the steps by task.

    :raises Lost: for what `for_each` cannot say
    """
    if not expand.items:
        raise Lost(expand, "`expand` says nothing to map over")
    if len(expand.items) > 1:
        return _product(expand, expand.items, tasks, values, where, plus=plus)
    [(name, item)] = expand.items.items()
    found = reference(item, tasks, plus=plus)
    if found is not None and found.key is not None:
        raise Lost(item, f"`{item.value}`: no step is mapped over a key of a result: return the list alone")
    if found is not None:
        step = tasks[found.task]
        return Mapped({"output_of": step}, {name: _ITEM}, native=True, source=found.task)
    listed = _listed(item, values, where)
    return Mapped(listed, {name: _ITEM}, native=not all(isinstance(one, str) for one in listed))


def _product(
    expand: Item, items: Items, tasks: Mapping[str, str], values: Values, where: Where, *, plus: bool
) -> Mapped:
    for item in items.values():
        if reference(item, tasks, plus=plus) is not None:
            raise Lost(item, "`expand` over several arguments, of which one is a result, has no counterpart")
    lists = {name: _listed(item, values, where) for name, item in items.items()}
    every = [dict(zip(lists, each, strict=True)) for each in itertools.product(*lists.values())]
    values.notes.add(expand, (*where, "for_each"), f"`expand` over {', '.join(lists)}: all combinations written out")
    native = not all(isinstance(one, str) for each in lists.values() for one in each)
    return Mapped(every, {name: f"{{{{ item.{name} }}}}" for name in lists}, native=native)


def _listed(item: Item, values: Values, where: Where) -> list[Any]:
    if not isinstance(item.value, list) or not item.value:
        raise Lost(item, f"{item.plain!r} is not a list that a step can be mapped over")
    listed = values.plain(item, (*where, "for_each"))
    found: list[Any] = []
    for one in listed:
        if one is None or one in found:
            raise Lost(
                item, f"`for_each` takes each item once, and no {'null' if one is None else repr(one) + ' twice'}"
            )
        if "{{" in str(one):
            raise Lost(item, "the items of `for_each` are not templates")
        found.append(one)
    return found

"""Tasks and task groups of one DAG: which group is in which, and which task comes after which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from sluicegate.graph.order import CycleError, waves
from sluicegate.migrate.item import Item, Items
from sluicegate.migrate.names import names_of

__all__ = ["Grouping", "by_id"]


def by_id(item: Item | None, key: str, what: str) -> dict[str, Item]:
    """The tasks or the groups of a DAG by id, from a mapping or from a list whose entries say their id under `key`.

    :raises PipelineErrors: when they are neither, or an id comes twice
    """
    if item is None or item.value is None:
        return {}
    if isinstance(item.value, dict):
        found = dict(item.value)
    elif isinstance(item.value, list):
        found = {}
        for one in item.value:
            if key not in one.items:
                raise one.refused(f"a {what} in a list needs a `{key}`")
            name = one.items[key].text
            if name in found:
                raise one.refused(f"the {what} `{name}` is there twice")
            found[name] = one.holding({other: value for other, value in one.items.items() if other != key})
    else:
        raise item.refused(f"expected {what}s by their ids, or a list of them")
    for name, one in found.items():
        if not isinstance(one.value, dict):
            raise one.refused(f"the {what} `{name}` is not a mapping")
    return found


@dataclass(frozen=True)
class Grouping:
    """`tasks` and `groups` as written, by id."""

    tasks: Mapping[str, Item]
    groups: Mapping[str, Item]

    @cached_property
    def steps(self) -> dict[str, str]:
        """The name of each task's step."""
        return names_of(self.tasks)

    @cached_property
    def paths(self) -> dict[str, str]:
        """The name of each group with those around it: `outer.inner`."""
        names = names_of(self.groups, taken=tuple(self.steps.values()))
        return {group: ".".join(names[each] for each in reversed(self.around(group))) for group in self.groups}

    def around(self, group: str) -> list[str]:
        """The group and those that it is in, the innermost first.

        :raises PipelineErrors: when one is in itself, or there is none of that name
        """
        found = [group]
        while (parent := self.groups[found[-1]].items.get("parent_group_name")) is not None and parent.value:
            if parent.text not in self.groups:
                raise parent.refused(f"there is no group `{parent.plain}`")
            if parent.text in found:
                raise parent.refused(f"the group `{parent.text}` is in itself")
            found.append(parent.text)
        return found

    def group_of(self, task: str) -> str | None:
        """:raises PipelineErrors: when there is no such group"""
        item = self.tasks[task].items.get("task_group_name")
        # Without any group, dag-factory does not look.
        if item is None or not item.value or not self.groups:
            return None
        if item.text not in self.groups:
            raise item.refused(f"there is no group `{item.plain}`")
        return item.text

    def airflow_id(self, task: str) -> str:
        """The task id that it had: with the groups around it."""
        name = task
        group = self.group_of(task)
        for each in self.around(group) if group is not None else ():
            prefix = self.groups[each].items.get("prefix_group_id")
            if prefix is not None and prefix.value is False:
                break
            name = f"{each}.{name}"
        return name

    def members(self, group: str) -> list[str]:
        """The tasks in a group and in the groups inside of it."""
        return [task for task in self.tasks if (own := self.group_of(task)) is not None and group in self.around(own)]

    @cached_property
    def upstream(self) -> dict[str, list[str]]:
        """By task the tasks it comes after, those of groups written out.

        :raises PipelineErrors: for one that is not there, and for a cycle
        """
        plain = {task: self._named(item, groups=False) for task, item in self.tasks.items()}
        before: dict[str, list[str]] = {task: [] for task in self.tasks}
        for task, item in self.tasks.items():
            for name in self._named(item, groups=True):
                before[task] += [name] if name in self.tasks else self._ends(name, plain)
        for group, item in self.groups.items():
            for name in self._named(item, groups=True):
                for task in self._beginnings(group, plain):
                    before[task] += [name] if name in self.tasks else self._ends(name, plain)
        found = {task: list(dict.fromkeys(names)) for task, names in before.items()}
        try:
            waves(((name, task) for task, names in found.items() for name in names), found)
        except CycleError as cycle:
            path = [str(task) for task in cycle.path]
            raise self.tasks[path[0]].refused(f"these tasks wait for each other: {' -> '.join(path)}") from None
        return found

    def _named(self, item: Item, *, groups: bool) -> list[str]:
        dependencies = item.items.get("dependencies")
        if dependencies is None or dependencies.value is None:
            return []
        if not isinstance(dependencies.value, list):
            raise dependencies.refused("`dependencies` is a list of ids")
        for one in dependencies.value:
            if one.text not in self.tasks and one.text not in self.groups:
                raise one.refused(f"there is no task and no group `{one.plain}`")
        return [one.text for one in dependencies.value if groups or one.text in self.tasks]

    def _ends(self, group: str, before: Mapping[str, list[str]]) -> list[str]:
        inside = self.members(group)
        followed = {name for task in inside for name in before[task]}
        return [task for task in inside if task not in followed]

    def _beginnings(self, group: str, before: Mapping[str, list[str]]) -> list[str]:
        inside = self.members(group)
        return [task for task in inside if not set(before[task]) & set(inside)]

    def defaults(self, task: str) -> Items:
        """The `default_args` of the groups around a task, the innermost first."""
        group = self.group_of(task)
        found: dict[str, Item] = {}
        for each in self.around(group) if group is not None else ():
            default_args = self.groups[each].items.get("default_args")
            if default_args is not None:
                found = {**default_args.mapping("`default_args`"), **found}
        return found

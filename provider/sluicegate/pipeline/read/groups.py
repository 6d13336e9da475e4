"""`group:` of steps: reads and checks it."""

from __future__ import annotations

from collections.abc import Iterator

from sluicegate.graph.groups import around, group_id
from sluicegate.pipeline.diagnostics import Diagnostic, Where
from sluicegate.pipeline.keys.model import Pipeline
from sluicegate.pipeline.read.context import Site
from sluicegate.pipeline.read.validate import invalid_name, text
from sluicegate.pipeline.text.source import Source

__all__ = ["check_groups", "read_group"]


def read_group(raw: object, where: Where, site: Site) -> str | None:
    """The group's name; one within another is called `outer.inner`."""
    group = text(raw, where, site.report)
    if group is None:
        return None
    for name in group.split("."):
        if wrong := invalid_name(name):
            hint = "; groups within groups are joined by dots" if "/" in group else ""
            meant = group.replace("/", ".") if hint else None
            site.report.error(where, "name", wrong + hint, suggestion=meant)
            return None
    return group


def check_groups(pipeline: Pipeline, source: Source) -> Iterator[Diagnostic]:
    """A group that is called as a step is, or whose id is that of another group."""
    known: dict[str, str] = {}
    for name, step in pipeline.steps.items():
        for group in around(step.group) if step.group is not None else ():
            taken = group_id(group)
            if taken in pipeline.steps:
                message = f"there is a step `{taken}`: a group needs a name of its own"
            elif known.setdefault(taken, group) != group:
                message = f"Airflow would know the groups `{known[taken]}` and `{group}` by one id: rename one of them"
            else:
                continue
            yield source.diagnostic(("steps", name, "group"), "name", message)
            break

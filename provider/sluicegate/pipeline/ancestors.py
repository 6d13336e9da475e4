"""The pipelines that one file reads from, directly and through others: no file is opened that is none of these."""

from __future__ import annotations

from pathlib import Path

from sluicegate.graph.datasets import upstream_names
from sluicegate.pipeline.check.upstreams import check_cycles
from sluicegate.pipeline.diagnostics import Diagnostic
from sluicegate.pipeline.file import Draft, Variant
from sluicegate.pipeline.lookup import Near, Stems
from sluicegate.pipeline.text.environment import Environment
from sluicegate.pipeline.tree import stems

__all__ = ["cycle_diagnostics"]


def cycle_diagnostics(
    file: Path, root: Path, index: Stems | None = None, environment: Environment | None = None
) -> tuple[Diagnostic, ...]:
    """What `read_tree` says of the cycles that go through `file`, without reading the tree.

    :param index: what `stems(root)` gave, where the caller has it already
    :param environment: what `${env:NAME}` may see; this process's unless it is given
    """
    root = root.absolute()
    near = Near(stems(root) if index is None else index, root, environment)
    start = near.read(file.absolute())
    around = _ancestors(start, near)
    if not any(set(start.names) & upstream_names(variant.pipeline) for variant in around.values()):
        return ()
    ordered = {name: around[name] for name in sorted(around)}
    pipelines = {name: variant.pipeline for name, variant in ordered.items()}
    sources = {name: variant.source for name, variant in ordered.items()}
    return tuple(diagnostic for diagnostic in check_cycles(pipelines, sources) if diagnostic.file == start.file)


def _ancestors(start: Draft, near: Near) -> dict[str, Variant]:
    """By name, those of `start` included. A name that no file has, or several, is not followed: others tell of it."""
    found = {variant.name: variant for variant in start.variants}
    todo = list(found.values())
    while todo:
        names = upstream_names(todo.pop().pipeline) - found.keys()
        for name, draft in near.neighbours(names).drafts.items() if names else ():
            if (variant := draft.variant(name)) is not None:
                found[name] = variant
                todo.append(variant)
    return found

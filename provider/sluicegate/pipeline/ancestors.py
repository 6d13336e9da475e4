"""The pipelines that one pipeline reads from, directly and through others: as many files as there are of these."""

from __future__ import annotations

from pathlib import Path

from sluicegate.pipeline.errors import Mistake
from sluicegate.pipeline.graph import upstream_names
from sluicegate.pipeline.read import Draft, read_draft
from sluicegate.pipeline.tree import Stems, pipelines_called, stems
from sluicegate.pipeline.upstreams import check_cycles

__all__ = ["cycle_mistakes"]


def cycle_mistakes(file: Path, root: Path, index: Stems | None = None) -> tuple[Mistake, ...]:
    """What `read_tree` says of cycles that go through `file`, without reading the tree.

    :param index: what `stems(root)` gave, where the caller has it already
    """
    start = read_draft(file, root)
    if start.pipeline is None or not upstream_names(start.pipeline):
        return ()
    drafts = _ancestors(start, root, stems(root) if index is None else index)
    pipelines = {name: draft.pipeline for name, draft in drafts.items() if draft.pipeline is not None}
    if not any(start.pipeline.name in upstream_names(pipeline) for pipeline in pipelines.values()):
        return ()
    sources = {name: draft.source for name, draft in drafts.items() if draft.source is not None}
    return tuple(mistake for mistake in check_cycles(pipelines, sources) if mistake.file == start.file)


def _ancestors(start: Draft, root: Path, index: Stems) -> dict[str, Draft]:
    """By name, `start` included. Names that no file or several have are not followed: that is told elsewhere."""
    found: dict[str, Draft] = {start.file.stem: start}
    todo = [start]
    while todo:
        pipeline = todo.pop().pipeline
        for name in upstream_names(pipeline) if pipeline is not None else ():
            if name not in found and len(files := pipelines_called(name, index)) == 1:
                found[name] = read_draft(files[0], root)
                todo.append(found[name])
    return found

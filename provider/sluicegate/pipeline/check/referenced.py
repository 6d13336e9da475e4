"""Columns to which others refer: one that is nearly a column of the load that writes them is probably a slip.

No more can be said before the load has run: `columns` need not name all there are.
"""

from __future__ import annotations

from collections.abc import Iterator

from sluicegate.graph.datasets import is_foreign, writers
from sluicegate.pipeline.diagnostics import Diagnostic, Where, did_you_mean
from sluicegate.pipeline.keys.model import LoadStep, Pipeline
from sluicegate.pipeline.text.source import Source

__all__ = ["check_own_references", "near_reference"]


def check_own_references(pipeline: Pipeline, source: Source) -> Iterator[Diagnostic]:
    """Those to datasets of the same pipeline."""
    for name, step in pipeline.steps.items():
        for column in step.columns if isinstance(step, LoadStep) else ():
            where: Where = ("steps", name, "columns", column, "references")
            dataset = (_reference(pipeline, where) or "").rpartition(".")[0]
            if dataset and not is_foreign(dataset):
                yield from near_reference(pipeline, source, where, pipeline, dataset)


def near_reference(
    pipeline: Pipeline, source: Source, where: Where, other: Pipeline, dataset: str
) -> Iterator[Diagnostic]:
    """A warning if the column to which `pipeline` refers at `where` is nearly one that `other` loads into its
    `dataset`.
    """
    reference = _reference(pipeline, where)
    if reference is None:
        return
    column = reference.rpartition(".")[2]
    for writer in writers(other).get(dataset, ()):
        step = other.steps[writer]
        if not isinstance(step, LoadStep):
            continue
        stated = dict.fromkeys([*step.columns, *step.key, *filter(None, (step.newest_by, step.window_by))])
        if column not in stated and (meant := did_you_mean(column, stated)):
            message = f"`{column}` is not a column that `{other.name}.{writer}` states"
            whole = f"{reference.rpartition('.')[0]}.{meant}"
            yield source.diagnostic(
                where, "unknown-column", message, inside=column, suggestion=whole, severity="warning"
            )


def _reference(pipeline: Pipeline, where: Where) -> str | None:
    """What is said at `where`, if that is the place of a reference."""
    if len(where) != 5 or where[-1] != "references":
        return None
    step = pipeline.steps.get(str(where[1]))
    said = step.columns.get(str(where[3])) if isinstance(step, LoadStep) else None
    return said.references if said is not None else None

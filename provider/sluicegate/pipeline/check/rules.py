"""What must not be within one pipeline: two writers, cycles, reading what one writes, params that mislead."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

from sluicegate.graph.datasets import binding_of, folders_of, writers
from sluicegate.graph.edges import edges, narrowed_by, params_in, texts_in
from sluicegate.graph.order import cycles
from sluicegate.graph.template import same_place
from sluicegate.pipeline.check.referenced import check_own_references
from sluicegate.pipeline.check.spark import check_spark
from sluicegate.pipeline.diagnostics import Diagnostic, Where
from sluicegate.pipeline.keys.model import LoadStep, Mode, Pipeline
from sluicegate.pipeline.read.groups import check_groups
from sluicegate.pipeline.read.mapped import check_mapped
from sluicegate.pipeline.read.teardowns import check_teardowns
from sluicegate.pipeline.read.yaml_paths import read_place, write_place
from sluicegate.pipeline.text.source import Source

__all__ = ["check_pipeline"]


def check_pipeline(pipeline: Pipeline, source: Source) -> list[Diagnostic]:
    """The errors in how the steps of one pipeline go together."""
    return [
        *_two_writers(pipeline, source),
        *_two_names(pipeline, source),
        *_self_reads(pipeline, source),
        *_cycles(pipeline, source),
        *_narrow_replacements(pipeline, source),
        *check_own_references(pipeline, source),
        *check_mapped(pipeline, source),
        *check_teardowns(pipeline, source),
        *check_groups(pipeline, source),
        *check_spark(pipeline, source),
    ]


def _two_writers(pipeline: Pipeline, source: Source) -> Iterator[Diagnostic]:
    for dataset, steps in writers(pipeline).items():
        if pipeline.datasets[dataset].name is None:
            continue
        for second in steps[1:]:
            binding = binding_of(pipeline, pipeline.steps[second], dataset)
            first = source.diagnostic(("steps", steps[0]), "", "", key=True)
            message = f"`{dataset}` has a writer already, `{steps[0]}` on line {first.line}: a dataset has only one"
            yield source.diagnostic(write_place(source, second, binding), "two-writers", message)


def _two_names(pipeline: Pipeline, source: Source) -> Iterator[Diagnostic]:
    seen: dict[str, str] = {}
    for key, steps in writers(pipeline).items():
        dataset = pipeline.datasets[key]
        if dataset.shared:
            continue
        uri = same_place(dataset.uri)
        if dataset.name is None and len(steps) > 1:
            message = f"`{steps[0]}` and `{steps[1]}` both write this: name it with `shared: true` if that is meant"
            binding = binding_of(pipeline, pipeline.steps[steps[1]], key)
            where = write_place(source, steps[1], binding)
            yield source.diagnostic(where, "same-place", message, severity="warning")
        if uri in seen:
            first = seen[uri]
            message = f"this is the same place as `{first}`: `shared: true` if both may write it"
            where = ("datasets", key) if dataset.name else _first_place(pipeline, source, key, steps[0])
            yield source.diagnostic(where, "same-place", message, severity="warning")
        seen.setdefault(uri, key)


def _first_place(pipeline: Pipeline, source: Source, dataset: str, step: str) -> Where:
    return write_place(source, step, binding_of(pipeline, pipeline.steps[step], dataset))


def _self_reads(pipeline: Pipeline, source: Source) -> Iterator[Diagnostic]:
    for name, step in pipeline.steps.items():
        keys = (*step.writes.values(), *folders_of(pipeline, step))
        written = {same_place(pipeline.datasets[key].uri): key for key in keys}
        for binding, read in step.reads.items():
            dataset = pipeline.datasets.get(read.dataset)
            if dataset is not None and same_place(dataset.uri) in written:
                key = written[same_place(dataset.uri)]
                at = source.diagnostic(write_place(source, name, binding_of(pipeline, step, key)), "", "")
                message = f"`{name}` reads what it writes itself: see also line {at.line}, column {at.column}"
                yield source.diagnostic(read_place(source, name, binding), "self-read", message)


def _cycles(pipeline: Pipeline, source: Source) -> Iterator[Diagnostic]:
    for path in cycles(edges(pipeline)):
        links = (_link_place(pipeline, source, before, after) for before, after in pairwise(path))
        *others, last = (source.diagnostic(where, "cycle", "") for where in links)
        lines = " and ".join(dict.fromkeys(str(other.line) for other in others if other.line != last.line))
        also = f"; see also line {lines}" if lines else ""
        yield replace(last, message=f"these steps wait for each other: {' -> '.join(path)}{also}")


def _link_place(pipeline: Pipeline, source: Source, before: str, after: str) -> Where:
    """Where the file says that one step comes after another."""
    first, second = pipeline.steps[before], pipeline.steps[after]
    written = {*first.writes.values(), *folders_of(pipeline, first)}
    for binding, read in second.reads.items():
        if read.dataset in written:
            return read_place(source, after, binding)
    if second.for_each is not None and second.for_each.output_of == before:
        return ("steps", after, "for_each", "output_of")
    raw = source.value["steps"][after].get("after")
    where: Where = ("steps", after, "after")
    if isinstance(raw, list) and before in raw:
        return (*where, raw.index(before))
    if raw == before:
        return where
    return ("steps", after, "for_each") if second.teardown_of is None else ("steps", after, "teardown_of")


def _narrow_replacements(pipeline: Pipeline, source: Source) -> Iterator[Diagnostic]:
    """A run narrowed by a param would replace the whole window by a part of it."""
    narrowed = narrowed_by(pipeline)
    for name, step in pipeline.steps.items():
        if isinstance(step, LoadStep) and step.mode is Mode.REPLACE_WINDOW:
            kept_apart = (params_in(words) for words in (pipeline.datasets[step.into].uri, *texts_in(step.scope)))
            missing = narrowed[name].difference(*kept_apart)
            for param in sorted(missing):
                message = (
                    f"`replace_window` would replace the whole window by what `params.{param}` leaves: "
                    f"let `into` or `scope` depend on `{param}` too, or use `merge`"
                )
                yield source.diagnostic(("steps", name, "mode"), "param-narrows", message)

"""What may not be within one pipeline: two writers, cycles, reading what one writes, params that mislead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sluicegate.pipeline.errors import Mistake, Where
from sluicegate.pipeline.graph import cycles, edges, narrowed_by, params_in, writers
from sluicegate.pipeline.model import LoadStep, Mode, Pipeline
from sluicegate.pipeline.source import Source

__all__ = ["check_pipeline", "read_place", "same_place", "write_place"]

_TEMPLATE = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}")


def check_pipeline(pipeline: Pipeline, source: Source) -> list[Mistake]:
    """The mistakes in how the steps of one pipeline go together."""
    return [
        *_two_writers(pipeline, source),
        *_two_names(pipeline, source),
        *_self_reads(pipeline, source),
        *_cycles(pipeline, source),
        *_narrow_replacements(pipeline, source),
    ]


def read_place(source: Source, step: str, binding: str) -> Where:
    """Where a file says what `binding` of `step` reads, in whichever form it says so."""
    where = _place(source, step, "reads", "load", binding)
    value: Any = source.value
    for part in where:
        value = value[part]
    return (*where, "dataset") if isinstance(value, dict) and "dataset" in value else where


def write_place(source: Source, step: str, binding: str) -> Where:
    """Where a file says what `binding` of `step` writes."""
    return _place(source, step, "writes", "into", binding)


def _place(source: Source, step: str, side: str, own: str, binding: str) -> Where:
    raw = source.value["steps"][step]
    where: Where = ("steps", step, side)
    if binding == own and own in raw:
        return ("steps", step, own)
    value = raw.get(side)
    if isinstance(value, dict) and binding in value:
        return (*where, binding)
    if isinstance(value, list):
        names = [item.get("dataset") if isinstance(item, dict) else item for item in value]
        bound = [str(name).rpartition(".")[2] for name in names]
        # Not there where the name comes out of a matrix that `source` is without.
        return (*where, bound.index(binding)) if binding in bound else where
    return where


def same_place(uri: str) -> str:
    """A URI as it is compared with others: without the blanks inside its templates."""
    return _TEMPLATE.sub(r"{{\1}}", uri)


def _two_writers(pipeline: Pipeline, source: Source) -> Iterator[Mistake]:
    for dataset, steps in writers(pipeline).items():
        if pipeline.datasets[dataset].name is None:
            continue
        for second in steps[1:]:
            binding = next(key for key, value in pipeline.steps[second].writes.items() if value == dataset)
            first = source.mistake(("steps", steps[0]), "", "", key=True)
            message = f"`{dataset}` has a writer already, `{steps[0]}` on line {first.line}: a dataset has only one"
            yield source.mistake(write_place(source, second, binding), "two-writers", message)


def _two_names(pipeline: Pipeline, source: Source) -> Iterator[Mistake]:
    seen: dict[str, str] = {}
    for key, steps in writers(pipeline).items():
        dataset = pipeline.datasets[key]
        if dataset.shared:
            continue
        uri = same_place(dataset.uri)
        if dataset.name is None and len(steps) > 1:
            message = f"`{steps[0]}` and `{steps[1]}` both write this: name it with `shared: true` if that is meant"
            binding = next(name for name, value in pipeline.steps[steps[1]].writes.items() if value == key)
            where = write_place(source, steps[1], binding)
            yield source.mistake(where, "same-place", message, severity="warning")
        if uri in seen:
            first = seen[uri]
            message = f"this is the same place as `{first}`: `shared: true` if both may write it"
            where = ("datasets", key) if dataset.name else _first_place(pipeline, source, key, steps[0])
            yield source.mistake(where, "same-place", message, severity="warning")
        seen.setdefault(uri, key)


def _first_place(pipeline: Pipeline, source: Source, dataset: str, step: str) -> Where:
    binding = next(name for name, value in pipeline.steps[step].writes.items() if value == dataset)
    return write_place(source, step, binding)


def _self_reads(pipeline: Pipeline, source: Source) -> Iterator[Mistake]:
    for name, step in pipeline.steps.items():
        written = {same_place(pipeline.datasets[key].uri) for key in step.writes.values()}
        for binding, read in step.reads.items():
            dataset = pipeline.datasets.get(read.dataset)
            if dataset is not None and same_place(dataset.uri) in written:
                message = f"`{name}` reads what it writes itself"
                yield source.mistake(read_place(source, name, binding), "self-read", message)


def _cycles(pipeline: Pipeline, source: Source) -> Iterator[Mistake]:
    for path in cycles(edges(pipeline)):
        before, after = path[-2], path[-1]
        message = f"these steps wait for each other: {' -> '.join(path)}"
        yield source.mistake(_link_place(pipeline, source, before, after), "cycle", message)


def _link_place(pipeline: Pipeline, source: Source, before: str, after: str) -> Where:
    """Where the file says that one step comes after another."""
    written = set(pipeline.steps[before].writes.values())
    for binding, read in pipeline.steps[after].reads.items():
        if read.dataset in written:
            return read_place(source, after, binding)
    raw = source.value["steps"][after]["after"]
    where: Where = ("steps", after, "after")
    return (*where, raw.index(before)) if isinstance(raw, list) else where


def _narrow_replacements(pipeline: Pipeline, source: Source) -> Iterator[Mistake]:
    """A run narrowed by a param would replace the whole window by a part of it."""
    narrowed = narrowed_by(pipeline)
    for name, step in pipeline.steps.items():
        if isinstance(step, LoadStep) and step.mode is Mode.REPLACE_WINDOW:
            missing = narrowed[name] - params_in(pipeline.datasets[step.into].uri)
            for param in sorted(missing):
                message = (
                    f"`replace_window` would replace the whole window by what `params.{param}` leaves: "
                    f"let `into` depend on `{param}` too, or use `merge`"
                )
                yield source.mistake(("steps", name, "mode"), "param-narrows", message)

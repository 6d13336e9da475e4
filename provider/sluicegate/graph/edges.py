"""The order in which a pipeline's steps run, and which params the data in that order carries along."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sluicegate.graph.datasets import folders, writers
from sluicegate.graph.order import following, reached
from sluicegate.graph.template import same_place, uses
from sluicegate.pipeline.keys.model import Pipeline, StepBase

__all__ = ["edges", "narrowed_by", "params_in", "texts_in"]


def edges(pipeline: Pipeline) -> tuple[tuple[str, str], ...]:
    """Each (step, step that comes after it), once, in the file's order.

    By the data, by what a step is mapped over, by `after`, and from what comes after a setup to its teardown.
    """
    written = writers(pipeline)
    found = []
    for name, step in pipeline.steps.items():
        before = [writer for read in step.reads.values() for writer in written.get(read.dataset, ())]
        before += _before_items(pipeline, step, written) if step.for_each is not None else ()
        before += [after.step for after in step.after if after.step is not None]
        before += step.teardown_of.steps if step.teardown_of is not None else ()
        found += [(upstream, name) for upstream in before if upstream != name and upstream in pipeline.steps]
    if any(step.teardown_of is not None for step in pipeline.steps.values()):
        found += list(_into_teardowns(pipeline, found))
    return tuple(dict.fromkeys(found))


def _before_items(pipeline: Pipeline, step: StepBase, written: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The steps that make the items, or write the files among which they are looked for."""
    if step.for_each is None:
        return []
    if step.for_each.output_of is not None:
        return [step.for_each.output_of]
    wanted = same_place(step.for_each.files or "")
    around = [key for key in folders(pipeline) if wanted.startswith(same_place(pipeline.datasets[key].uri))]
    return [writer for key in around for writer in written.get(key, ())]


def _into_teardowns(pipeline: Pipeline, links: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Lead from the last of the steps after a teardown's setups to it; not from those after itself."""
    after = following(links)
    ends = {name: set(step.teardown_of.steps) for name, step in pipeline.steps.items() if step.teardown_of}
    for teardown, setups in ends.items():
        rivals = {name for name, theirs in ends.items() if theirs & setups}
        later = reached(after, {teardown})
        scope = reached(after, setups) - later - rivals
        yield from (
            (step, teardown) for step in pipeline.steps if step in scope and not scope & set(after.get(step, ()))
        )


def narrowed_by(pipeline: Pipeline) -> dict[str, frozenset[str]]:
    """The params that decide how much of its window a step covers: its own and those of steps before it."""
    own = {name: _params_of(pipeline, step) for name, step in pipeline.steps.items()}
    before = following((second, first) for first, second in edges(pipeline))
    return {name: params.union(*(own[each] for each in reached(before, [name]))) for name, params in own.items()}


def _params_of(pipeline: Pipeline, step: StepBase) -> frozenset[str]:
    read = (pipeline.datasets.get(each.dataset) for each in step.reads.values())
    words = [dataset.uri for dataset in read if dataset is not None]
    for job in getattr(step, "jobs", ()):
        words += job.args
    words += texts_in(getattr(step, "with_", {}))
    words += texts_in(getattr(step, "scope", {}))
    words += [step.for_each.files] if step.for_each is not None and step.for_each.files is not None else []
    return frozenset().union(*(params_in(word) for word in words))


def params_in(words: str) -> frozenset[str]:
    """The params that a template uses."""
    return frozenset(name.partition(".")[2] for name in uses(words) if name.startswith("params."))


def texts_in(value: object) -> list[str]:
    """The texts in a value, however deep."""
    if isinstance(value, str):
        return [value]
    items: Iterable[object] = ()
    if isinstance(value, Mapping):
        items = value.values()
    elif isinstance(value, list | tuple):
        items = value
    return [words for item in items for words in texts_in(item)]

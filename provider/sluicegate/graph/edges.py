"""What the data demands: who writes and who reads, edges between steps, waits between pipelines.

Pure: values in, values out. What may not be is `rules`' and `upstreams`' matter.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TypeVar

from sluicegate.graph.location import Location
from sluicegate.graph.template import before_item, needs_item, same_place, uses
from sluicegate.graph.window import Window, upstream_windows
from sluicegate.pipeline.keys.model import OnUpstreamFailure, Pipeline, Read, Schedule, Step, StepBase

__all__ = [
    "Wait", "as_read_by", "binding_of", "cycles", "edges", "files_location", "folders_of", "is_foreign", "located",
    "narrowed_by", "params_in", "read_locations", "sources", "split", "upstream_names", "waits", "write_locations",
    "writers",
]  # fmt: skip

NodeT = TypeVar("NodeT", bound=Hashable)


@dataclass(frozen=True)
class Wait:
    """One dataset that a step reads from another pipeline, and the step there that writes it."""

    step: str
    binding: str
    dataset: str
    """As the file says it: `flights.raw`."""
    pipeline: str
    upstream_step: str
    schedule: Schedule
    """The upstream's."""
    latest: bool
    on_upstream_failure: OnUpstreamFailure

    def windows(self, window: Window) -> tuple[Window, ...]:
        """The upstream's windows that a run with `window` waits for; with `latest` none, any run will do."""
        return () if self.latest else upstream_windows(self.schedule, window)


def is_foreign(dataset: str) -> bool:
    """Whether a dataset key means another pipeline's: `flights.raw`."""
    return "." in dataset and ":/" not in dataset and "{" not in dataset


def split(dataset: str) -> tuple[str, str]:
    """`flights.raw` as `("flights", "raw")`."""
    pipeline, _, name = dataset.partition(".")
    return pipeline, name


def upstream_names(pipeline: Pipeline) -> frozenset[str]:
    """The pipelines whose datasets this one reads."""
    reads = (read for step in pipeline.steps.values() for read in step.reads.values())
    return frozenset(split(read.dataset)[0] for read in reads if is_foreign(read.dataset))


def as_read_by(pipeline: Pipeline, others: Mapping[str, Pipeline]) -> dict[str, Pipeline]:
    """Those of `others` that `pipeline` reads from, by name, with just what it needs to know of them."""
    names = {split(each.dataset)[0] for each in _foreign_reads(pipeline)}
    return {name: _as_read(others[name], pipeline) for name in sorted(names) if name in others}


def _foreign_reads(pipeline: Pipeline) -> list[Read]:
    """Also those of unfinished steps, which are judged as far as they go."""
    steps = (*pipeline.steps.values(), *(step for step in pipeline.unfinished.values() if step is not None))
    return [read for step in steps for read in step.reads.values() if is_foreign(read.dataset)]


def _as_read(upstream: Pipeline, reader: Pipeline) -> Pipeline:
    """As much of `upstream` as `reader` needs to know: what it reads there, and the steps that write that."""
    ours = (split(each.dataset) for each in _foreign_reads(reader))
    read = {dataset for name, dataset in ours if name == upstream.name}
    written = writers(upstream)
    steps = {
        name: StepBase(name=name, writes=step.writes, for_each=step.for_each, group=step.group)
        for name, step in upstream.steps.items()
        if any(name in written.get(key, ()) for key in read)
    }
    known = read.union(*(step.writes.values() for step in steps.values()))
    datasets = {key: dataset for key, dataset in upstream.datasets.items() if key in known}
    blank: dict[str, object] = {"params": {}, "alerts": {}, "dag": {}, "description": None, "unfinished": {}}
    return upstream.model_copy(update={**blank, "datasets": datasets, "steps": steps})


def located(pipeline: Pipeline, others: Mapping[str, Pipeline]) -> Pipeline:
    """`pipeline` with just those steps that depend on nothing unknown; the others are unfinished."""
    steps = {name: step for name, step in pipeline.steps.items() if _known_only(pipeline, step, others) is step}
    while lost := [name for name, step in steps.items() if not _made_of(step) <= steps.keys()]:
        steps = {name: step for name, step in steps.items() if name not in lost}
    if len(steps) == len(pipeline.steps) and not pipeline.unfinished:
        return pipeline
    left: dict[str, Step | None] = {name: step for name, step in pipeline.steps.items() if name not in steps}
    left |= pipeline.unfinished
    unfinished = {name: step and _known_only(pipeline, step, others) for name, step in left.items()}
    return pipeline.model_copy(update={"steps": steps, "unfinished": unfinished})


def _known_only(pipeline: Pipeline, step: Step, others: Mapping[str, Pipeline]) -> Step:
    """`step` without what it reads and writes of datasets that are not known."""

    def is_known(key: str) -> bool:
        if not is_foreign(key):
            return key in pipeline.datasets
        other, name = split(key)
        return other in others and name in others[other].datasets

    reads = {binding: read for binding, read in step.reads.items() if is_known(read.dataset)}
    writes = {binding: key for binding, key in step.writes.items() if is_known(key)}
    if len(reads) == len(step.reads) and len(writes) == len(step.writes):
        return step
    return step.model_copy(update={"reads": reads, "writes": writes})


def _made_of(step: StepBase) -> set[str]:
    """The steps without which a task cannot be made of `step`."""
    setups = step.teardown_of.steps if step.teardown_of is not None else ()
    maker = step.for_each.output_of if step.for_each is not None else None
    return {*setups, *([maker] if maker is not None else [])}


def writers(pipeline: Pipeline) -> dict[str, tuple[str, ...]]:
    """The steps that write each dataset, by dataset key; a folder is written by who writes its parts by `item`."""
    found: dict[str, tuple[str, ...]] = {}
    for name, step in pipeline.steps.items():
        for dataset in dict.fromkeys((*step.writes.values(), *folders_of(pipeline, step))):
            found[dataset] = (*found.get(dataset, ()), name)
    return found


def folders_of(pipeline: Pipeline, step: StepBase) -> tuple[str, ...]:
    """The datasets that are made of the places which a mapped step writes, one for each `item`."""
    if step.for_each is None:
        return ()
    return tuple(folder for dataset in step.writes.values() for folder in _folders_around(pipeline, dataset))


def binding_of(pipeline: Pipeline, step: StepBase, dataset: str) -> str:
    """Under which binding `step`, one of its `writers`, writes `dataset`, whole or in part."""
    exact = [binding for binding, key in step.writes.items() if key == dataset]
    parts = [binding for binding, key in step.writes.items() if dataset in _folders_around(pipeline, key)]
    return (*exact, *parts)[0]


def _folders_around(pipeline: Pipeline, dataset: str) -> list[str]:
    uri = pipeline.datasets[dataset].uri
    if not needs_item(uri):
        return []
    return [key for key in _folders(pipeline) if before_item(uri).startswith(same_place(pipeline.datasets[key].uri))]


def _folders(pipeline: Pipeline) -> list[str]:
    return [key for key, dataset in pipeline.datasets.items() if dataset.uri.endswith("/")]


def sources(pipeline: Pipeline, others: Mapping[str, Pipeline] | None = None) -> tuple[str, ...]:
    """The datasets that steps read and nobody writes, each once, as they are called there.

    With `others`, those of other pipelines too that nobody writes there.
    """
    written = writers(pipeline)
    found = []
    for step in pipeline.steps.values():
        for read in step.reads.values():
            if is_foreign(read.dataset):
                other, name = split(read.dataset)
                unwritten = others is not None and other in others and name not in writers(others[other])
            else:
                unwritten = read.dataset not in written
            if unwritten:
                found.append(read.dataset)
    return tuple(dict.fromkeys(found))


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
    around = [key for key in _folders(pipeline) if wanted.startswith(same_place(pipeline.datasets[key].uri))]
    return [writer for key in around for writer in written.get(key, ())]


def _into_teardowns(pipeline: Pipeline, links: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """From the last of the steps that come after a teardown's setups; not from those that come after itself."""
    after: dict[str, list[str]] = {}
    for first, second in links:
        after.setdefault(first, []).append(second)
    ends = {name: set(step.teardown_of.steps) for name, step in pipeline.steps.items() if step.teardown_of}
    for teardown, setups in ends.items():
        rivals = {name for name, theirs in ends.items() if theirs & setups}
        scope = _reached(after, setups) - _reached(after, {teardown}) - rivals
        yield from (
            (step, teardown) for step in pipeline.steps if step in scope and not scope & set(after.get(step, ()))
        )


def _reached(after: Mapping[str, Iterable[str]], starts: Iterable[str]) -> set[str]:
    """All that comes after `starts`."""
    found: set[str] = set()
    ahead = [step for start in starts for step in after.get(start, ())]
    while ahead:
        step = ahead.pop()
        if step not in found:
            found.add(step)
            ahead += after.get(step, ())
    return found


def waits(pipeline: Pipeline, others: Mapping[str, Pipeline]) -> tuple[Wait, ...]:
    """What each step waits for in other pipelines. A dataset that nobody writes there is a source: no wait.

    :param others: at least the pipelines of `upstream_names`; those that are missing are left out
    """
    found = []
    for name, step in pipeline.steps.items():
        for binding, read in step.reads.items():
            if not is_foreign(read.dataset):
                continue
            upstream, dataset = split(read.dataset)
            other = others.get(upstream)
            if other is None:
                continue
            found += [
                Wait(
                    step=name,
                    binding=binding,
                    dataset=read.dataset,
                    pipeline=upstream,
                    upstream_step=writer,
                    schedule=other.schedule,
                    latest=read.latest,
                    on_upstream_failure=read.on_upstream_failure,
                )
                for writer in writers(other).get(dataset, ())
            ]
    return tuple(found)


def read_locations(pipeline: Pipeline, step: StepBase, others: Mapping[str, Pipeline]) -> dict[str, Location]:
    """Where what a step reads is, by binding.

    :raises KeyError: when `others` lacks a pipeline that the step reads from.
    """
    return {binding: _read_location(pipeline, read, others) for binding, read in step.reads.items()}


def files_location(pipeline: Pipeline, files: str) -> Location:
    """Where a step that is mapped over files looks for them."""
    return Location(files, files, timezone=pipeline.schedule.timezone)


def write_locations(pipeline: Pipeline, step: StepBase) -> dict[str, Location]:
    """Where what a step writes is, by binding."""
    return {binding: _own_location(pipeline, dataset) for binding, dataset in step.writes.items()}


def _read_location(pipeline: Pipeline, read: Read, others: Mapping[str, Pipeline]) -> Location:
    if not is_foreign(read.dataset):
        return _own_location(pipeline, read.dataset)
    upstream, name = split(read.dataset)
    other = others[upstream]
    dataset = other.datasets[name]
    return Location(
        dataset=read.dataset,
        template=dataset.uri,
        format=dataset.format,
        upstream=other.schedule,
        latest=read.latest,
        timezone=other.schedule.timezone,
    )


def _own_location(pipeline: Pipeline, key: str) -> Location:
    dataset = pipeline.datasets[key]
    return Location(key, dataset.uri, dataset.format, timezone=pipeline.schedule.timezone)


def narrowed_by(pipeline: Pipeline) -> dict[str, frozenset[str]]:
    """The params that decide how much of its window a step covers: its own and those of steps before it."""
    own = {name: _params_of(pipeline, step) for name, step in pipeline.steps.items()}
    found = dict(own)
    links = edges(pipeline)
    for _ in own:  # at most as many rounds as there are steps; a cycle is somebody else's mistake
        following = {
            name: params.union(*(found[before] for before, after in links if after == name))
            for name, params in found.items()
        }
        if following == found:
            break
        found = following
    return found


def _params_of(pipeline: Pipeline, step: StepBase) -> frozenset[str]:
    read = (pipeline.datasets.get(each.dataset) for each in step.reads.values())
    words = [dataset.uri for dataset in read if dataset is not None]
    for job in getattr(step, "jobs", ()):
        words += job.args
    words += _texts(getattr(step, "with_", {}))
    words += [step.for_each.files] if step.for_each is not None and step.for_each.files is not None else []
    return frozenset().union(*(params_in(word) for word in words))


def params_in(words: str) -> frozenset[str]:
    """The params that a template uses."""
    return frozenset(name.partition(".")[2] for name in uses(words) if name.startswith("params."))


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    items: Iterable[object] = ()
    if isinstance(value, Mapping):
        items = value.values()
    elif isinstance(value, list | tuple):
        items = value
    return [words for item in items for words in _texts(item)]


def cycles(links: Iterable[tuple[NodeT, NodeT]]) -> list[tuple[NodeT, ...]]:
    """Cycles of a graph that share no node, each with its first node again at its end; no links to itself."""
    before: dict[NodeT, list[NodeT]] = {}
    for first, second in links:
        if first != second:
            before.setdefault(first, [])
            before.setdefault(second, []).append(first)
    found: list[tuple[NodeT, ...]] = []
    while True:
        try:
            TopologicalSorter(before).prepare()
        except CycleError as error:
            path: tuple[NodeT, ...] = tuple(error.args[1])
            found.append(path)
            before = {
                node: [other for other in others if other not in path]
                for node, others in before.items()
                if node not in path
            }
        else:
            return found

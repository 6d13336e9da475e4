"""Which steps write and read each dataset, within a pipeline and between pipelines, and where it is."""

from __future__ import annotations

from collections.abc import Mapping

from sluicegate.graph.glob import Glob, is_pattern
from sluicegate.graph.location import Location
from sluicegate.graph.order import following, reached
from sluicegate.graph.template import before_item, masks, needs_item, same_place
from sluicegate.pipeline.keys.model import Pipeline, Read, Step, StepBase

__all__ = [
    "as_read_by", "binding_of", "files_location", "folders", "folders_of", "is_foreign", "located", "read_locations",
    "related", "sources", "split", "upstream_names", "write_locations", "writers",
]  # fmt: skip


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


def related(pipelines: Mapping[str, Pipeline], name: str) -> frozenset[str]:
    """`name`, the pipelines that it reads from and those that read from it, directly and through others."""
    before = {each: upstream_names(pipeline) & pipelines.keys() for each, pipeline in pipelines.items()}
    after = following((upstream, each) for each, upstreams in before.items() for upstream in upstreams)
    return frozenset({name} | reached(before, [name]) | reached(after, [name]))


def as_read_by(pipeline: Pipeline, others: Mapping[str, Pipeline]) -> dict[str, Pipeline]:
    """The pipelines of `others` that `pipeline` reads from, by name, with just what it needs to know of them."""
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
    blank: dict[str, object] = {
        "params": {},
        "alerts": {},
        "faults": (),
        "dag": {},
        "description": None,
        "unfinished": {},
    }
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
    """The steps that write each dataset, by dataset key; a folder by the steps that write its parts by `item`, and one
    with wildcards by those that write what it may mean.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name, step in pipeline.steps.items():
        patterns = (each for key in step.writes.values() for each in _patterns_around(pipeline, key))
        for dataset in dict.fromkeys((*step.writes.values(), *folders_of(pipeline, step), *patterns)):
            found[dataset] = (*found.get(dataset, ()), name)
    return found


def folders_of(pipeline: Pipeline, step: StepBase) -> tuple[str, ...]:
    """The datasets that are made of the places which a mapped step writes, one for each `item`."""
    if step.for_each is None:
        return ()
    return tuple(folder for dataset in step.writes.values() for folder in _folders_around(pipeline, dataset))


def binding_of(pipeline: Pipeline, step: StepBase, dataset: str) -> str:
    """The binding under which `step`, one of its `writers`, writes `dataset`, whole or in part."""
    exact = [binding for binding, key in step.writes.items() if key == dataset]
    parts = [
        binding
        for binding, key in step.writes.items()
        if dataset in (*_folders_around(pipeline, key), *_patterns_around(pipeline, key))
    ]
    return (*exact, *parts)[0]


def _folders_around(pipeline: Pipeline, dataset: str) -> list[str]:
    uri = pipeline.datasets[dataset].uri
    if not needs_item(uri):
        return []
    return [key for key in folders(pipeline) if before_item(uri).startswith(same_place(pipeline.datasets[key].uri))]


def _patterns_around(pipeline: Pipeline, dataset: str) -> list[str]:
    """The datasets whose wildcards may mean what is written to `dataset`."""
    if dataset not in pipeline.datasets:
        return []
    masked = masks()
    written = masked(pipeline.datasets[dataset].uri)
    return [
        key
        for key, other in pipeline.datasets.items()
        if key != dataset and is_pattern(pattern := masked(other.uri)) and Glob(pattern).meets(written)
    ]


def folders(pipeline: Pipeline) -> list[str]:
    """The datasets that are a folder: whatever is below the URI."""
    return [key for key, dataset in pipeline.datasets.items() if dataset.uri.endswith("/")]


def sources(pipeline: Pipeline, others: Mapping[str, Pipeline] | None = None) -> tuple[str, ...]:
    """The datasets that are read and that no step writes, each once, as the reading step names them.

    With `others`, also those of other pipelines that no step writes there.
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
        connection=dataset.connection,
        writers=() if read.latest else writers(other).get(name, ()),
    )


def _own_location(pipeline: Pipeline, key: str) -> Location:
    dataset = pipeline.datasets[key]
    zone = pipeline.schedule.timezone
    return Location(key, dataset.uri, dataset.format, timezone=zone, connection=dataset.connection)

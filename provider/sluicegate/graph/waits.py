"""What a pipeline waits for, and the tasks that do it, with their ids: waits for steps of other pipelines, for other
DAGs and for sources; listings of files.

One wait is one task, upstream of all the steps that need it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sluicegate.graph.datasets import files_location, is_foreign, read_locations, sources, split, writers
from sluicegate.graph.edges import edges
from sluicegate.graph.groups import around, group_id
from sluicegate.graph.location import Location
from sluicegate.graph.template import needs_item
from sluicegate.graph.window import Window, awaited_dates
from sluicegate.pipeline.keys.model import LoadStep, OnUpstreamFailure, OnUpstreamSkipped, Pipeline, Schedule, StepBase

__all__ = ["SourceWait", "UpstreamRead", "UpstreamWait", "Wait", "listings", "task_edges", "upstream_reads", "waits"]


@dataclass(frozen=True)
class UpstreamRead:
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
    on_upstream_skipped: OnUpstreamSkipped


@dataclass(frozen=True)
class UpstreamWait:
    """For `dag.task` (None: the whole DAG) in the windows of `schedule`; without one, at our own's start."""

    task_id: str
    readers: tuple[str, ...]
    dag: str
    task: str | None
    schedule: Schedule | None
    latest: bool
    fail_fast: bool
    on_skipped: OnUpstreamSkipped
    limit: timedelta | None

    def dates(self, window: Window) -> tuple[datetime, ...] | None:
        """The logical dates of the runs that a run with `window` waits for; None when any run will do."""
        return awaited_dates(self.schedule, window, latest=self.latest)


@dataclass(frozen=True)
class SourceWait:
    """For something that no pipeline writes."""

    task_id: str
    readers: tuple[str, ...]
    place: Location
    limit: timedelta
    matching: bool = False
    """The place has wildcards: a file that matches is waited for."""


Wait = UpstreamWait | SourceWait


def upstream_reads(pipeline: Pipeline, others: Mapping[str, Pipeline]) -> tuple[UpstreamRead, ...]:
    """What each step waits for in other pipelines. A dataset that no step writes there is a source.

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
                UpstreamRead(
                    step=name,
                    binding=binding,
                    dataset=read.dataset,
                    pipeline=upstream,
                    upstream_step=writer,
                    schedule=other.schedule,
                    latest=read.latest,
                    on_upstream_failure=read.on_upstream_failure,
                    on_upstream_skipped=read.on_upstream_skipped,
                )
                for writer in writers(other).get(dataset, ())
            ]
    return tuple(found)


def waits(pipeline: Pipeline, others: Mapping[str, Pipeline]) -> tuple[Wait, ...]:
    """In the order in which the file's steps need them; task ids are unique and stable."""
    found: list[Wait] = [
        *_together(_upstream_steps(pipeline, others)),
        *_together(_other_dags(pipeline)),
        *_sources(pipeline, others),
    ]
    return tuple(_with_unique_ids(found, taken=_taken(pipeline) | set(listings(pipeline).values())))


def listings(pipeline: Pipeline) -> dict[str, str]:
    """By step that is mapped over files, the id of the task that lists them."""
    taken = _taken(pipeline)
    found = {}
    for step in pipeline.steps.values():
        if step.for_each is not None and step.for_each.files is not None:
            found[step.name] = _free(f"files_of__{step.name}", taken)
    return found


def task_edges(pipeline: Pipeline, awaited: Iterable[Wait]) -> tuple[tuple[str, str], ...]:
    """Each (task id, id of a task that comes after it) in the pipeline's DAG: steps, waits and listings.

    :param awaited: its `waits`
    """
    links = [(wait.task_id, reader) for wait in awaited for reader in wait.readers] + [*edges(pipeline)]
    listed = listings(pipeline)
    # Files are looked for when all that comes before their step is done: that may be what makes them.
    return (*links, *((before, listed[after]) for before, after in links if after in listed))


def _taken(pipeline: Pipeline) -> set[str]:
    """The ids that the file itself gives: to tasks, and to groups with their ends."""
    groups = {step.group for step in pipeline.steps.values() if step.group is not None}
    return {*pipeline.steps, *(group_id(each) for group in groups for each in around(group))}


def _upstream_steps(pipeline: Pipeline, others: Mapping[str, Pipeline]) -> Iterator[UpstreamWait]:
    for read in upstream_reads(pipeline, others):
        yield UpstreamWait(
            task_id=f"wait_for__{read.pipeline}__{read.upstream_step}",
            readers=(read.step,),
            dag=read.pipeline,
            task=read.upstream_step,
            schedule=read.schedule,
            latest=read.latest,
            fail_fast=read.on_upstream_failure is OnUpstreamFailure.FAIL,
            on_skipped=read.on_upstream_skipped,
            limit=pipeline.steps[read.step].wait,
        )


def _other_dags(pipeline: Pipeline) -> Iterator[UpstreamWait]:
    for step in pipeline.steps.values():
        for after in step.after:
            if after.dag is not None:
                yield UpstreamWait(
                    task_id="__".join(["wait_for", after.dag, *([after.task] if after.task else [])]),
                    readers=(step.name,),
                    dag=after.dag,
                    task=after.task,
                    schedule=None,
                    latest=False,
                    fail_fast=False,
                    on_skipped=after.on_upstream_skipped,
                    limit=step.wait,
                )


def _together(each: Iterable[UpstreamWait]) -> list[UpstreamWait]:
    """One wait a task that is waited for, and what its skip means. The strictest reader decides: its windows, its
    impatience with a failure; the longest limit holds, or none.
    """
    joined: dict[tuple[str, str | None, OnUpstreamSkipped], UpstreamWait] = {}
    for wait in each:
        key = (wait.dag, wait.task, wait.on_skipped)
        before = joined.get(key)
        if before is None:
            joined[key] = wait
            continue
        joined[key] = replace(
            before,
            readers=tuple(dict.fromkeys((*before.readers, *wait.readers))),
            latest=before.latest and wait.latest,
            fail_fast=before.fail_fast or wait.fail_fast,
            limit=None if before.limit is None or wait.limit is None else max(before.limit, wait.limit),
        )
    return list(joined.values())


def _sources(pipeline: Pipeline, others: Mapping[str, Pipeline]) -> list[SourceWait]:
    """The waits for sources with a `wait`: without one, a missing source is a fault at once."""
    unwritten = sources(pipeline, others)
    joined: dict[str, SourceWait] = {}
    for step in pipeline.steps.values():
        if step.wait is None:
            continue
        files = step.for_each.files if step.for_each is not None else None
        if files is not None:
            place = files_location(pipeline, files)
            joined[f"{step.name} {files}"] = SourceWait(
                f"wait_for__{step.name}", (step.name,), place, step.wait, matching=True
            )
        places = read_locations(pipeline, step, others)
        for binding, place in places.items():
            key = step.reads[binding].dataset
            if key not in unwritten:
                continue
            if isinstance(step, LoadStep) and step.format is not None:
                place = replace(place, format=step.format)
            if step.for_each is not None and needs_item(place.template):
                if step.for_each.items is None:
                    continue  # a file that was listed is there
                place, key = replace(place, items=step.for_each.items), f"{step.name} {key}"
            before = joined.get(key)
            if before is None:
                task_id = f"wait_for__{_source_name(step.reads[binding].dataset, binding, step, pipeline)}"
                joined[key] = SourceWait(task_id, (step.name,), place, step.wait)
            else:
                readers = tuple(dict.fromkeys((*before.readers, step.name)))
                joined[key] = replace(before, readers=readers, limit=max(before.limit, step.wait))
    return list(joined.values())


def _source_name(key: str, binding: str, step: StepBase, pipeline: Pipeline) -> str:
    """The dataset's name; for a URI within a step, the step's."""
    if is_foreign(key):
        return "__".join(split(key))
    name = pipeline.datasets[key].name
    if name is not None:
        return name
    return step.name if len(step.reads) == 1 else f"{step.name}__{binding}"


def _with_unique_ids(found: Iterable[Wait], taken: set[str]) -> Iterator[Wait]:
    for wait in found:
        yield replace(wait, task_id=_free(wait.task_id, taken))


def _free(task_id: str, taken: set[str]) -> str:
    """`task_id`, with a number behind it where it is taken; taken from then on."""
    free, count = task_id, 1
    while free in taken:
        count += 1
        free = f"{task_id}_{count}"
    taken.add(free)
    return free

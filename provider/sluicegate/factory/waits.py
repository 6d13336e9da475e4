"""The tasks that a pipeline has beside its steps, as values: waits for steps of other pipelines, other DAGs and
sources, listings of files.

One wait is one task, upstream of all the steps that need it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from sluicegate.graph import edges as graph
from sluicegate.graph.location import Location
from sluicegate.graph.template import needs_item
from sluicegate.pipeline.keys.model import OnUpstreamFailure, Pipeline, Schedule, StepBase
from sluicegate.pipeline.read.groups import around, group_id

__all__ = ["SourceWait", "UpstreamWait", "Wait", "listings", "waits"]


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
    limit: timedelta | None


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


def _taken(pipeline: Pipeline) -> set[str]:
    """The ids that the file itself gives: to tasks, and to groups with their ends."""
    groups = {step.group for step in pipeline.steps.values() if step.group is not None}
    return {*pipeline.steps, *(group_id(each) for group in groups for each in around(group))}


def _upstream_steps(pipeline: Pipeline, others: Mapping[str, Pipeline]) -> Iterator[UpstreamWait]:
    for wait in graph.waits(pipeline, others):
        yield UpstreamWait(
            task_id=f"wait_for__{wait.pipeline}__{wait.upstream_step}",
            readers=(wait.step,),
            dag=wait.pipeline,
            task=wait.upstream_step,
            schedule=wait.schedule,
            latest=wait.latest,
            fail_fast=wait.on_upstream_failure is OnUpstreamFailure.FAIL,
            limit=pipeline.steps[wait.step].wait,
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
                    limit=step.wait,
                )


def _together(each: Iterable[UpstreamWait]) -> list[UpstreamWait]:
    """One wait a task that is waited for. The strictest reader decides: its windows, its impatience with a
    failure; the longest limit holds, or none.
    """
    joined: dict[tuple[str, str | None], UpstreamWait] = {}
    for wait in each:
        key = (wait.dag, wait.task)
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
    """Only those with a `wait`: without one, a missing source is a fault at once."""
    unwritten = graph.sources(pipeline, others)
    joined: dict[str, SourceWait] = {}
    for step in pipeline.steps.values():
        if step.wait is None:
            continue
        files = step.for_each.files if step.for_each is not None else None
        if files is not None:
            place = graph.files_location(pipeline, files)
            joined[f"{step.name} {files}"] = SourceWait(
                f"wait_for__{step.name}", (step.name,), place, step.wait, matching=True
            )
        places = graph.read_locations(pipeline, step, others)
        for binding, place in places.items():
            key = step.reads[binding].dataset
            if key not in unwritten:
                continue
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
    """The dataset's name; for a URI that stands in a step, the step's."""
    if graph.is_foreign(key):
        return "__".join(graph.split(key))
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

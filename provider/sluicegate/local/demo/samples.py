"""Which pipelines a demo runs, how often, and in which order they are started again. Values in, values out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sluicegate.graph.datasets import upstream_names
from sluicegate.graph.order import waves
from sluicegate.graph.window import Window, windows
from sluicegate.pipeline.keys.model import Pipeline, Schedule

__all__ = ["expected_windows", "is_sample", "upstreams_first"]


def is_sample(pipeline: Pipeline, now: datetime) -> bool:
    """Whether all runs of a pipeline lie in the past: a demo of it comes to an end."""
    schedule = pipeline.schedule
    return schedule.kind == "once" or (
        schedule.kind == "cron" and schedule.catchup and schedule.end is not None and schedule.end < now
    )


def expected_windows(schedule: Schedule) -> tuple[Window, ...]:
    """The windows of a schedule that has an end; none for `once`, whose single run has no window of its own."""
    if schedule.start is None or schedule.end is None:
        return ()
    return tuple(windows(schedule, schedule.start))


def upstreams_first(pipelines: Mapping[str, Pipeline]) -> list[str]:
    """The names in an order in which no pipeline comes before one that it reads from."""
    reads = ((upstream, name) for name, each in pipelines.items() for upstream in upstream_names(each) - {name})
    return [name for wave in waves(reads, sorted(pipelines)) for name in wave if name in pipelines]

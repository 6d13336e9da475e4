"""Which pipelines a demo runs, how often, and in which order they are started again. Values in, values out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

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
    """The names in an order in which nobody comes before a pipeline that it reads from."""
    order: list[str] = []

    def visit(name: str) -> None:
        if name in order or name not in pipelines:
            return
        for step in pipelines[name].steps.values():
            for read in step.reads.values():
                other, dot, _ = read.dataset.partition(".")
                if dot and other != name and other in pipelines:
                    visit(other)
        order.append(name)

    for name in sorted(pipelines):
        visit(name)
    return order

"""A run as it goes on: what has changed since the last look, until it has ended."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sluicegate.api.answers import DagRun, TaskInstance
from sluicegate.api.client import Client, path
from sluicegate.api.errors import ApiError, Refused
from sluicegate.api.paging import by_cursor

__all__ = ["Look", "StillRunning", "follow"]

_NOT_FOUND = 404
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
_SHOWN = frozenset(
    {"running", "deferred", "success", "failed", "skipped", "upstream_failed", "up_for_retry", "removed"}
)


class StillRunning(ApiError):  # noqa: N818 (a state, not an error)
    """The run has not ended in time, or is gone: what becomes of it is not known."""


@dataclass(frozen=True)
class Look:
    """The run, and those of its tasks that have come to another state since the last look."""

    run: DagRun
    changed: Sequence[TaskInstance]


def follow(client: Client, run: DagRun, timeout: float | None) -> Iterator[Look]:
    """Look at the run until it has ended; the last look has its end.

    :raises StillRunning: when that takes longer than `timeout` seconds, or the run was deleted.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    where = path("dags", run.dag_id, "dagRuns", run.run_id)
    seen: dict[tuple[str, int], tuple[str | None, int]] = {}
    pause = _FIRST_PAUSE
    while True:
        try:
            run = DagRun.read(client.get(where))
            found = by_cursor(client, f"{where}/taskInstances", "task_instances", {})
            tasks = [TaskInstance.read(each) for each in found]
        except Refused as refusal:
            if refusal.status != _NOT_FOUND:
                raise
            message = f"The run {run.run_id} was deleted."
            raise StillRunning(message, "What became of its steps is not known.") from refusal
        changed = [task for task in tasks if task.state in _SHOWN and seen.get(_key(task)) != _state(task)]
        seen |= {_key(task): _state(task) for task in tasks}
        yield Look(run, changed)
        if run.finished:
            return
        if deadline is not None and time.monotonic() + pause > deadline:
            raise StillRunning(
                f"The run is {run.state} after {timeout:.0f} s.", "It goes on; --timeout says how long to wait for it."
            )
        pause = _FIRST_PAUSE if changed else min(pause * 1.5, _LONGEST_PAUSE)
        time.sleep(pause)


def _key(task: TaskInstance) -> tuple[str, int]:
    return task.task_id, task.map_index


def _state(task: TaskInstance) -> tuple[str | None, int]:
    return task.state, task.try_number

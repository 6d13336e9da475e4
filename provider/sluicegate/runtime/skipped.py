"""Which windows of an upstream have written nothing for a reader: its waits have seen that they were skipped."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sluicegate.runtime.marks import SKIPPED_XCOM_KEY

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context

    from sluicegate.graph.location import Location

__all__ = ["skipped_windows"]


def skipped_windows(task: BaseOperator, place: Location, context: Context) -> frozenset[datetime]:
    """Where the windows begin that all steps which write `place` have skipped; asked where there are several."""
    from sluicegate.runtime.operator import run_window

    if not place.writers or not place.is_of_several(run_window(context)):
        return frozenset()
    upstream, dag = place.dataset.partition(".")[0], task.get_dag()
    waits = [] if dag is None else [dag.get_task(task_id) for task_id in sorted(task.upstream_task_ids)]
    found = [
        _left(context, wait.task_id)
        for wait in waits
        if getattr(wait, "awaited_dag", None) == upstream and getattr(wait, "awaited_task", None) in place.writers
    ]
    return frozenset.intersection(*found) if len(found) == len(place.writers) else frozenset()


def _left(context: Context, wait: str) -> frozenset[datetime]:
    left = context["ti"].xcom_pull(task_ids=wait, key=SKIPPED_XCOM_KEY)
    return frozenset(map(datetime.fromisoformat, left)) if isinstance(left, list) else frozenset()

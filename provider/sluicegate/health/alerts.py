"""Alerts of a pipeline as a whole: it is late, or has not run. The key is the same from the deadline and the watch."""

from __future__ import annotations

from datetime import UTC, timedelta

from sluicegate.alerts.context import airflow_address, playbook_address
from sluicegate.alerts.message import Alert
from sluicegate.faults import CATALOGUE
from sluicegate.faults.section import Playbook
from sluicegate.graph.window import Window
from sluicegate.health.overdue import Kind, Overdue
from sluicegate.pipeline.text.quantities import format_duration

__all__ = ["alert_of", "late_alert"]

_LATE, _STALLED = "PIPELINE_LATE", "PIPELINE_STALLED"


def late_alert(
    pipeline: str, window: Window, fresh_within: timedelta, *, run_id: str = "", owner: str = "", page: str = ""
) -> Alert:
    """The run of `window` has not succeeded in time: one alert a window.

    :param page: the name of its playbook, where that treats the fault
    """
    due = f"{window.start + fresh_within:%Y-%m-%d %H:%M %Z}"
    run = f" ({run_id})" if run_id else ""
    detail = (
        f"The run for its window{run} was to succeed by {due}, {format_duration(fresh_within)} after the window's "
        f"start, and has not. The data is that of before {window.start:%Y-%m-%d %H:%M %Z}."
    )
    return _alert(pipeline, _LATE, detail, window.start.astimezone(UTC).isoformat(), window, owner, page)


def alert_of(found: Overdue) -> Alert:
    """What the watch has to say of a pipeline. What goes on is one alert until there is another run."""
    pipeline, window = found.pipeline, found.window.in_zone(found.pipeline.schedule.timezone)
    owner, promise = pipeline.owner or "", pipeline.fresh_within or timedelta()
    if found.kind is Kind.LATE:
        return late_alert(pipeline.name, window, promise, owner=owner)
    last = found.last.run_id if found.last is not None else "the beginning"
    if found.kind is Kind.PAUSED:
        detail = (
            f"The pipeline is paused, and its data older than {format_duration(promise)}; its last good run is {last}. "
            "Unpause it; if the pause is meant, write `paused: true` into its file."
        )
        return _alert(pipeline.name, _LATE, detail, f"paused since {last}", window, owner, "")
    why = (
        "Airflow has no DAG of the file: it is broken, or is not read."
        if found.kind is Kind.GONE
        else "No run was made, and none is active: the scheduler was not running, or has not seen the file."
    )
    detail = f"{why} The run was to start at {window.end:%Y-%m-%d %H:%M %Z}; the last one that was made is {last}."
    return _alert(pipeline.name, _STALLED, detail, f"since {last}", window, owner, "")


def _alert(pipeline: str, code: str, detail: str, occasion: str, window: Window, owner: str, page: str) -> Alert:
    playbook = Playbook(page, f"# {code}") if page else Playbook(pipeline)
    return Alert(
        pipeline,
        CATALOGUE[code],
        detail=detail,
        occasion=occasion,
        window=window,
        owner=owner,
        playbook=playbook_address(playbook, code),
        airflow=airflow_address(),
    )

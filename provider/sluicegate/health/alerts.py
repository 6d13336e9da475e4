"""Alerts of a pipeline as a whole: it is late, or has not run. The key is the same from the deadline and the watch."""

from __future__ import annotations

from datetime import timedelta

from sluicegate.alerts.context import airflow_address, playbook_address
from sluicegate.alerts.message import Alert
from sluicegate.faults import CATALOGUE
from sluicegate.faults.section import Playbook
from sluicegate.graph.window import Window
from sluicegate.pipeline.text.quantities import format_duration

__all__ = ["late_alert", "paused_alert", "stalled_alert"]

_LATE, _STALLED = "PIPELINE_LATE", "PIPELINE_STALLED"


def late_alert(
    pipeline: str, window: Window, fresh_within: timedelta, *, run_id: str = "", owner: str = "", page: str = ""
) -> Alert:
    """The run of `window` has not succeeded in time: one alert a window.

    :param page: the name of its playbook, where that treats the fault
    """
    due = (window.start + fresh_within).strftime("%Y-%m-%d %H:%M %Z")
    run = f" (run {run_id})" if run_id else ""
    detail = (
        f"The run for its window{run} was to succeed by {due}, {format_duration(fresh_within)} after the window's "
        f"start, and has not. The data is that of before {window.start:%Y-%m-%d %H:%M %Z}."
    )
    return _alert(pipeline, _LATE, detail, window.start.isoformat(), window, owner, page)


def paused_alert(pipeline: str, window: Window, fresh_within: timedelta, last: str, *, owner: str = "") -> Alert:
    """It is paused, and its data gets old: one alert for as long as it stays so.

    :param last: which run was its last good one
    """
    detail = (
        f"The pipeline is paused, and its data is older than {format_duration(fresh_within)}: no run for the window "
        f"from {window.start:%Y-%m-%d %H:%M %Z} will come. If that is meant, write `paused: true` into its file."
    )
    return _alert(pipeline, _LATE, detail, f"paused since {last}", window, owner, "")


def stalled_alert(pipeline: str, window: Window, why: str, last: str, *, owner: str = "") -> Alert:
    """No run was made for `window`: one alert until there is a run again.

    :param why: a sentence
    :param last: which run was the last that was made
    """
    detail = f"{why} Its run was to start at {window.end:%Y-%m-%d %H:%M %Z}. The last run that was made is {last}."
    return _alert(pipeline, _STALLED, detail, f"since {last}", window, owner, "")


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

"""Which pipelines are late or have not run at all, asked from within Airflow. Sends nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sluicegate.graph.window import Window, endless, windows
from sluicegate.health.freshness import time_until
from sluicegate.health.own_airflow import Airflow, LastRun
from sluicegate.pipeline.keys.model import Pipeline

__all__ = ["Kind", "Overdue", "overdue"]

_AT_ONCE = 100
"""Windows that are asked about in one call: a pipeline of every minute has very many."""
_ACTIVE = ("queued", "running")
_ENDED = ("success", "failed")


class Kind(StrEnum):
    """What is wrong with a pipeline."""

    LATE = "late"
    """Its run is there and has not succeeded in time."""
    PAUSED = "paused"
    STALLED = "stalled"
    """There is no run at all."""
    GONE = "gone"
    """There is no DAG at all."""


@dataclass(frozen=True)
class Overdue:
    """A pipeline whose run for `window` has not brought what it should have; `last` is the run before it."""

    pipeline: Pipeline
    kind: Kind
    window: Window
    last: LastRun | None = None


def overdue(pipeline: Pipeline, airflow: Airflow, now: datetime, patience: timedelta) -> Overdue | None:
    """None where all is well, or nothing is due: what has no cron, has not begun or has ended.

    A pipeline that is well costs one call.

    :param patience: how long after its window a run may be missing
    """
    due = _due(pipeline, now, patience)
    if due is None or pipeline.paused:
        return None
    name, promise = pipeline.name, pipeline.fresh_within
    if promise is None:
        return None if airflow.count(name, [due.start]) else _missing(pipeline, airflow, due, now - patience)
    dates = _since(pipeline, due, now)
    if _any(airflow, name, dates, ["success"]):
        return None
    if not _any(airflow, name, dates):
        return _missing(pipeline, airflow, due, now - patience)
    if airflow.is_paused(name):
        return _paused(pipeline, airflow, due)
    is_first = not airflow.count(name, None, _ENDED) and bool(airflow.count(name, None, _ACTIVE))
    if is_first or _was_made_late(pipeline, airflow, due, dates[0], now):
        return None
    return Overdue(pipeline, Kind.LATE, due, airflow.last(name, due.start))


def _was_made_late(pipeline: Pipeline, airflow: Airflow, due: Window, newest_date: datetime, now: datetime) -> bool:
    """Whether the newest run still has time, as it has begun when its data was late already. One that has failed
    since then was alerted for that.
    """
    newest = airflow.last(pipeline.name, newest_date + timedelta(seconds=1))  # none that a person has started since
    if newest is None or newest.began is None:
        return False
    until = time_until(due, pipeline.fresh_within or timedelta(), newest.began)
    return until is not None and now < until


def _due(pipeline: Pipeline, now: datetime, patience: timedelta) -> Window | None:
    """The newest window whose run has to have succeeded by now, or without a promise to have been made."""
    schedule = pipeline.schedule
    if schedule.kind != "cron" or schedule.cron is None:
        return None
    promise = pipeline.fresh_within
    back = now - (promise if promise is not None else patience)
    newest = None
    for window in windows(schedule, back - _far(pipeline, now)):
        is_due = window.start <= back if promise is not None else window.end <= back
        if not is_due or window.end + patience > now:
            break
        newest = window
    return newest


def _far(pipeline: Pipeline, now: datetime) -> timedelta:
    """So far back that a whole window is within it."""
    first = next(windows(endless(pipeline.schedule), now), None)
    length = first.end - first.start if first is not None else timedelta(days=1)
    return 2 * length + timedelta(days=1)


def _since(pipeline: Pipeline, due: Window, now: datetime) -> list[datetime]:
    """Where that window begins, and those after it which are over: any of them brings newer data. The newest first."""
    found = [due.start]
    for window in windows(pipeline.schedule, due.end):
        if window.end > now:
            break
        found.append(window.start)
    return found[::-1]


def _any(airflow: Airflow, name: str, dates: Sequence[datetime], states: Sequence[str] | None = None) -> bool:
    chunks = (dates[at : at + _AT_ONCE] for at in range(0, len(dates), _AT_ONCE))
    return any(airflow.count(name, some, states) for some in chunks)


def _missing(pipeline: Pipeline, airflow: Airflow, due: Window, since: datetime) -> Overdue | None:
    """There is no run for `due`. That is right while as many run as may, and for the moment between two of a catchup.

    :param since: whose last run has ended after that is given time
    """
    name = pipeline.name
    paused = airflow.is_paused(name)
    if paused is None:
        return Overdue(pipeline, Kind.GONE, due)
    if paused:
        return _paused(pipeline, airflow, due)
    if airflow.count(name, None, _ACTIVE):
        return None
    last = airflow.last(name, due.start)
    if last is not None and last.ended is not None and last.ended > since:
        return None
    return Overdue(pipeline, Kind.STALLED, due, last)


def _paused(pipeline: Pipeline, airflow: Airflow, due: Window) -> Overdue | None:
    """A pause is meant, unless the data was promised to be newer."""
    if pipeline.fresh_within is None:
        return None
    return Overdue(pipeline, Kind.PAUSED, due, airflow.last(pipeline.name, due.end, "success"))

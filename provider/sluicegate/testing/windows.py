"""The window of a run, by the day or the moment at which it starts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sluicegate.graph.cron import zone
from sluicegate.graph.window import Window, endless, windows
from sluicegate.pipeline.keys.model import Schedule

__all__ = ["window_of"]


def window_of(schedule: Schedule, said: str | Window | None) -> Window:
    """The window that a test means; `start` and `end` of the schedule do not bound it.

    :param said: a day (`2013-02-11`), the first window that starts on it; a time (`2013-02-11T07:00`) at which a
        window starts; or a window. In the time zone of the schedule, unless it has one of its own. None, for a
        schedule without windows alone: now.
    :raises ValueError: for what is not a time, or not the start of a window.
    """
    if isinstance(said, Window):
        return said
    if said is None:
        if schedule.cron is not None:
            raise ValueError(f'which window? Its schedule is {schedule.cron}: give window="…", the day it starts on')
        now = datetime.now(UTC)
        return Window(now, now)
    moment = datetime.fromisoformat(said)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone(schedule.timezone))
    if schedule.cron is None:
        return Window(moment, moment)
    window = next(found for found in windows(endless(schedule), moment - timedelta(days=1)) if found.start >= moment)
    exact = "T" in said or " " in said
    if window.start != moment if exact else window.in_zone(schedule.timezone).ds != said:
        local = window.in_zone(schedule.timezone)
        raise ValueError(f"no window of {schedule.cron} starts at {said}; the next one is {local}")
    return window

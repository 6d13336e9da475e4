"""When data is older than promised. Values in, values out."""

from __future__ import annotations

from datetime import datetime, timedelta

from sluicegate.graph.window import Window

__all__ = ["is_historic", "late_from", "time_until"]

_LONGEST = timedelta(hours=1)


def late_from(
    fresh_within: timedelta, newest: Window | None, first: datetime | None, end: datetime | None = None
) -> datetime | None:
    """When the data becomes older than `fresh_within`; None when no further window is to come.

    The run of a window has to have succeeded by the window's start and `fresh_within`: what is there until then is as
    old as its start. The window that is waited for begins where the newest successful one ends, or later where it is
    known that none is between.

    :param newest: the newest window that has succeeded
    :param first: no window that is still waited for begins before; that of the first one, where none has succeeded
    :param end: no window begins then or later
    """
    begins = newest.end if newest is not None else first
    if newest is not None and first is not None:
        begins = max(newest.end, first)
    if begins is None or (end is not None and begins >= end):
        return None
    return begins + fresh_within


def is_historic(window: Window, fresh_within: timedelta, now: datetime, end: datetime | None = None) -> bool:
    """Whether a later window is late as well, so that this one says nothing about how the data is now.

    So it is for all but the newest windows of a catchup or a backfill.
    """
    following = window.end if window.end > window.start else window.start + fresh_within
    if end is not None and following >= end:
        return False
    return following + fresh_within <= now


def time_until(window: Window, fresh_within: timedelta, made: datetime | None) -> datetime | None:
    """Until when no channel is alerted of a run that was made when its data was late already, as the first one of a
    pipeline that is new or was paused. None for a run that was made in time, or of which that is not known.

    It has as long as any other run has from its window's end to its deadline, an hour at most: where the scheduler was
    away, that is how much later the alert comes.
    """
    due = window.start + fresh_within
    if made is None or made <= due:
        return None
    return made + min(max(due - window.end, timedelta()), _LONGEST)

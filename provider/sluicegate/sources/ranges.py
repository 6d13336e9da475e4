"""Which range of its watermark a window reads. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from sluicegate.faults import fault
from sluicegate.ledger.watermarks import Known, Mark, Range

__all__ = ["Newest", "doubts_of", "next_range"]

Newest = Callable[[Mark | None, Mark | None], Mark | None]
"""The largest value that is above the one and at most the other, by the order of the database; None: no bound."""


def next_range(known: Known, newest: Newest, *, since: str | None, first: str | None, anew: bool) -> Range:
    """The range that is known already; else from where the window before ends to what is newest now, or to where the
    window after it begins. Ranges of all windows together leave nothing out and read nothing twice.

    :param since: begin there, whatever is known
    :param first: where a window begins that has none before it
    :param anew: do not take the range that is known
    :raises FaultError: SCHEMA_MISMATCH when the watermark has another type than before.
    """
    if known.own is not None and since is None and not anew:
        return known.own
    high = newest(None, None)
    low = known.before.high or known.before.low if known.before is not None else None
    said = since if since is not None else (first if low is None else None)
    sample = high or low
    if said is not None:
        if sample is None:
            return Range(None, None)  # nothing was ever there: of what type it is is not known yet
        low = Mark.like(said, sample)
    most = None
    if known.after is not None:
        if (most := known.after.low) is None:
            return Range(low, low)
        high = high or most
    if high is None:
        return Range(low, low)
    _require_alike(high, low, most)
    if high.kind == "text":
        # How texts are ordered the database knows alone: "B" is above "a" in most of them.
        high = high if low is None and most is None else newest(low, most)
    elif most is not None:
        high = min(high, most, key=lambda mark: mark.value)
    if high is None or (high.kind != "text" and low is not None and high.value <= low.value):
        return Range(low, low)
    return Range(low, high)


def _require_alike(high: Mark, *others: Mark | None) -> None:
    for other in others:
        if other is not None and other.kind != high.kind:
            raise fault("SCHEMA_MISMATCH", f"the watermark is a {high.kind} now, and was a {other.kind} before")


def doubts_of(found: Range, lookback: timedelta | None, now: datetime) -> Iterator[str]:
    """What a person should know of the end of a range: rows that come later, and are not above it, are not read."""
    if found.high is None or found.high.kind not in {"date", "timestamp", "timestamptz"}:
        return
    end, words = found.high.value, "what comes later and is not above it is read by no window"
    text = found.high.text
    # A day begins and ends up to half a day away from that of UTC.
    day = end.date() if isinstance(end, datetime) else end
    if day > (now + timedelta(days=1, hours=12)).date():
        yield f"the newest value of the watermark is in the future, {text}: {words}; leave it out in the query"
    elif found.high.kind == "date" and lookback is None and end >= (now - timedelta(hours=12)).date():
        yield f"the range ends with {text}, a day that is not over: {words}; say `lookback: 1d`"

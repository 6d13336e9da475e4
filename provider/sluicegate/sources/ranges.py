"""Which range of its watermark a window reads. Pure."""

from __future__ import annotations

from collections.abc import Callable

from sluicegate.faults import fault
from sluicegate.ledger.watermarks import Known, Mark, Range

__all__ = ["next_range"]


def next_range(
    known: Known, newest: Callable[[], Mark | None], *, since: str | None, first: str | None, anew: bool
) -> Range:
    """The range that is known already; else from where the window before ends to what is newest now, or to where the
    window after it begins. Ranges of all windows together leave nothing out and read nothing twice.

    :param since: begin there, whatever is known
    :param first: where a window begins that has none before it
    :param anew: do not take the range that is known
    :raises FaultError: SCHEMA_MISMATCH when the watermark has another type than before.
    """
    if known.own is not None and since is None and not anew:
        return known.own
    high = newest()
    low = known.before.high or known.before.low if known.before is not None else None
    said = since if since is not None else (first if low is None else None)
    sample = high or low
    if said is not None:
        if sample is None:
            return Range(None, None)  # nothing was ever there: of what type it is is not known yet
        low = Mark.like(said, sample)
    if known.after is not None:
        high = _lower(high, known.after.low) if known.after.low is not None else low
    if high is None or (low is not None and _lower(high, low) == high):
        return Range(low, low)
    return Range(low, high)


def _lower(one: Mark | None, other: Mark) -> Mark:
    if one is None:
        return other
    if one.kind != other.kind:
        raise fault("SCHEMA_MISMATCH", f"the watermark is a {one.kind} now, and was a {other.kind} before")
    return min(one, other, key=lambda mark: mark.value)

"""Whether a load brought about as many records as it usually does. Values in, values out."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

__all__ = ["MOST", "unusual"]

MOST = 14
"""Loads that count as usual, at most: two weeks of days, so that each has a Sunday in it."""
_LEAST = 5
"""With fewer there is nothing to compare with."""
_TIMES = 2


def unusual(read: int, before: Sequence[int]) -> int | None:
    """The usual number of records, where `read` is far from it; None where it is not, or nothing is known.

    Far is: less than half or more than twice the median of the last loads, and less or more than all of them. A
    median is not moved by one load that went wrong, and a quiet day that comes every week is among them.
    """
    known = list(before[:MOST])
    if len(known) < _LEAST:
        return None
    usual = int(median(known))
    few = read * _TIMES < usual and read < min(known)
    many = read > usual * _TIMES and read > max(known)
    return usual if few or many else None

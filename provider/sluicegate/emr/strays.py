"""Ends, of what a wait's list has shown anyway, the clusters that no task needs any more. No Airflow, no boto3."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sluicegate.emr.lookout import Lookout
from sluicegate.emr.names import RunKey
from sluicegate.emr.sweep import Sweep

__all__ = ["Strays"]

_EVERY = timedelta(minutes=15)
"""How often all that a list shows is looked through."""


class Strays:
    """One for all waits of a process that share a `Lookout`, and it ends none of the clusters that these wait for.

    A triggerer that has just come back looks through the first list of its first wait: whatever was marked or cleared
    while there was none is in it. So is, in the first list of each wait, what earlier runs of its pipeline have left.
    """

    def __init__(self, sweep: Sweep, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._sweep, self._clock = sweep, clock
        self._swept: datetime | None = None

    def end(self, lookout: Lookout, key: RunKey, *, begins: bool) -> None:
        """Never raises. `begins`: the wait of `key` has just had its first look."""
        if lookout.read is None:
            return
        strays = [each for each in lookout.listed if not lookout.waits_for(each.cluster_id)]
        if self._swept is None or self._clock() - self._swept >= _EVERY:
            self._swept = self._clock()
        elif begins:
            strays = [each for each in strays if key.beside(each.name)]
        else:
            return
        self._sweep.end_listed(strays)

"""Ask for a cluster: once, or again only when nothing has come of the call before."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sluicegate.emr.attempt import Found
from sluicegate.faults import TransientFault

__all__ = ["DOUBT", "LOOK_AGAIN", "Launch", "first_of"]

log = logging.getLogger(__name__)

DOUBT = timedelta(minutes=2)
"""How long after RunJobFlow was called its cluster may be missing in the list: botocore waits a minute for the answer,
and the list may be behind for another."""

LOOK_AGAIN = 10.0
"""Seconds between two looks at the list while something is in doubt."""

_PAUSES = (2.0, 5.0, 10.0, 20.0)
"""Seconds before RunJobFlow is called again after AWS has refused it for now: throttling."""

_DOUBTFUL = 2
"""How often RunJobFlow is called again in one try after an answer was lost."""


@dataclass(frozen=True)
class Launch:
    """How one try asks for clusters.

    :param run: RunJobFlow, called once
    :param claimed: notes that it will be called now; False when another try is doing so, or the last look is too old
    :param look: the clusters of the task, from a list read now
    :param stopped: whether the task has been ended
    """

    run: Callable[[Mapping[str, Any]], str]
    claimed: Callable[[], bool]
    look: Callable[[], list[Found]]
    stopped: Callable[[], bool]
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    doubt: timedelta = DOUBT

    def start(self, attempt: int, request: Mapping[str, Any]) -> str | None:
        """The id of the cluster of `attempt`; None when none was asked for: the task was ended, or the claim does
        not hold.

        AWS has no idempotency token for RunJobFlow, and may do the work of a call whose answer is lost or says
        to slow down. So the list is read before each further call: whatever is there under this name is taken.

        :raises TransientFault: when AWS will not, or nothing came of it in the time that one try has
        """
        throttled, doubts = iter(_PAUSES), _DOUBTFUL
        while not self.stopped():
            asked = self.clock()
            if not self.claimed():
                return None
            try:
                return self.run(request)
            except TransientFault as fault:
                if fault.code == "AWS_THROTTLED":
                    pause = next(throttled, None)
                else:
                    # Half of it is botocore's wait for the answer, which is over.
                    sure = max(asked + self.doubt, self.clock() + self.doubt / 2)
                    pause = (sure - self.clock()).total_seconds() if doubts else None
                    doubts -= 1
                if (made := self._made(attempt, pause or 0.0)) is not None:
                    log.warning("RunJobFlow failed (%s), but the cluster is there: %s", fault.code, made)
                    return made
                if pause is None:
                    raise
                log.warning("RunJobFlow failed, no cluster has come of it, and it is called again: %s", fault)
        return None

    def _made(self, attempt: int, within: float) -> str | None:
        """The cluster of `attempt`, looked for now and until `within` seconds have passed."""
        until = self.clock() + timedelta(seconds=within)
        while True:
            # What counts is when the list was asked for: it may take minutes to read.
            left = (until - self.clock()).total_seconds()
            if (made := first_of(attempt, self.look())) is not None:
                return made
            if left <= 0 or self.stopped():
                return None
            self.sleep(min(max((until - self.clock()).total_seconds(), 0.0), LOOK_AGAIN))


def first_of(attempt: int, found: list[Found]) -> str | None:
    """The id of the oldest cluster of `attempt`."""
    made = [cluster for cluster in found if cluster.attempt == attempt]
    return min(made, key=lambda c: (c.created, c.cluster_id)).cluster_id if made else None

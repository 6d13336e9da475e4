"""The wait for one cluster: when to look, what to report, and when it is over. No Airflow, no boto3.

It decides nothing about the work: it says that the cluster has ended, that the deadline has passed, or that AWS will
not answer, and the engine does the rest. All it ends is a twin that no try had seen when the cluster was started.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sluicegate.emr.attempt import decide
from sluicegate.emr.engine import DUPLICATE
from sluicegate.emr.launch import DOUBT
from sluicegate.emr.lookout import Lookout
from sluicegate.emr.names import RunKey
from sluicegate.emr.verdict import ClusterStatus, StepStatus
from sluicegate.faults import TransientFault, classify

__all__ = ["Event", "Subject", "Watch", "pause", "progress"]

SHORTEST, LONGEST = 2.0, 120.0
"""Seconds between two looks at the cluster."""

_ENDING = 45.0
"""The longest pause while the cluster ends, which takes it a minute or two."""

_STEPS_EVERY = 300.0
"""The longest pause between two looks at the steps."""

Event = dict[str, Any]


@dataclass(frozen=True)
class Subject:
    """What is waited for.

    :param since: when the wait began; it may have been in another process
    :param steps: how many steps the cluster has
    :param settled: the last attempt that does not count any more
    """

    cluster_id: str
    key: RunKey
    since: datetime
    deadline: datetime
    steps: int = 1
    settled: int = 0


def pause(state: str, waited: float, ran: float, failures: int = 0) -> float:
    """Seconds until the next look.

    While a cluster starts, five times as long as was waited: nothing happens for minutes, unless it is a local one.
    While it runs, two thirds of how long it has `ran`, or a fifth of the whole wait: the end of a short job is noticed
    soon, where its cluster was there soon. Longer while AWS does not answer.
    """
    if state == "TERMINATING":
        calm = min(max(waited / 10, SHORTEST), _ENDING)
    elif state in ("RUNNING", "WAITING"):
        calm = min(max(ran / 1.5, waited / 5, SHORTEST), LONGEST)
    else:
        calm = min(max(5 * waited, SHORTEST), LONGEST)
    return calm if not failures else min(max(calm, SHORTEST * 2.0 ** min(failures, 8)), 2 * LONGEST)


def progress(cluster: ClusterStatus, steps: Sequence[StepStatus]) -> str:
    """What a person wants to know of a cluster that runs: `RUNNING, step 1 of 2 (join.py)`."""
    running = next((n for n, step in enumerate(steps) if step.state == "RUNNING"), None)
    if running is None and steps:
        done = sum(step.state == "COMPLETED" for step in steps)
        return f"{cluster.state}, {done} of {len(steps)} steps done"
    if running is None:
        return cluster.state + (f" ({cluster.reason_code})" if cluster.terminal and cluster.reason_code else "")
    return f"{cluster.state}, step {running + 1} of {len(steps)} ({steps[running].name})"


class Watch:
    """One wait. `look` is called again and again, each time after the pause that it has returned."""

    def __init__(
        self,
        subject: Subject,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        log: logging.Logger | None = None,
    ) -> None:
        self._subject, self._clock = subject, clock
        self._log = log or logging.getLogger(__name__)
        self._failures = 0
        self._told = ""
        self._paused = SHORTEST
        self._state, self._ran_since = "", subject.since
        self._steps: Sequence[StepStatus] = ()
        self._asked_for_steps: datetime | None = None
        self._listed: datetime | None = None

    @property
    def failing(self) -> bool:
        """Whether the last look brought nothing."""
        return self._failures > 0

    def until_first_look(self) -> float:
        """Seconds: of a cluster that was started just now, nothing is to be seen."""
        now = self._clock()
        waited, left = (now - self._subject.since).total_seconds(), (self._subject.deadline - now).total_seconds()
        return max(min(SHORTEST - waited, left), 0.0)

    def look(self, lookout: Lookout) -> Event | float:
        """The event that ends the wait, or seconds until the next look."""
        try:
            listing = lookout.shares or self._is_twin_time()
            age = timedelta(seconds=self._paused / 2)
            cluster = lookout.look(self._subject.cluster_id, max_age=age, lists=listing)
            self._report(lookout, cluster)
            if listing:
                self._end_twins(lookout)
                self._listed = self._clock()
        except Exception as error:
            return self.failed(error)
        self._failures = 0
        if cluster.terminal:
            return self._event("ended", state=cluster.state, cluster=cluster.as_json())
        return self._next()

    def failed(self, error: Exception) -> Event | float:
        """As `look`, which could not."""
        found = classify(error)
        self._failures += 1
        if not isinstance(found, TransientFault):
            return self._event("error", code=found.code, detail=found.detail)
        if self._failures == 1:
            self._log.warning("AWS does not say how %s is; asking again: %s", self._subject.cluster_id, found)
        return self._next()

    def _next(self) -> Event | float:
        subject, now = self._subject, self._clock()
        left = (subject.deadline - now).total_seconds()
        if left <= 0:
            return self._event("deadline")
        waited, ran = (now - subject.since).total_seconds(), (now - self._ran_since).total_seconds()
        self._paused = pause(self._state, waited, ran, self._failures)
        return min(self._paused, left)

    def _report(self, lookout: Lookout, cluster: ClusterStatus) -> None:
        if cluster.state != self._state:
            self._state, self._ran_since = cluster.state, cluster.ready or self._clock()
        if cluster.state == "RUNNING" and self._subject.steps > 1 and self._steps_are_old():
            self._steps = lookout.client.steps(self._subject.cluster_id)
            self._asked_for_steps = self._clock()
        now = progress(cluster, self._steps if cluster.state == "RUNNING" else ())
        if now != self._told:
            self._told = now
            waited = (self._clock() - self._subject.since).total_seconds()
            self._log.info("%s %s: %s after %.0f s", cluster.name, self._subject.cluster_id, now, waited)

    def _steps_are_old(self) -> bool:
        if self._asked_for_steps is None:
            return True
        ran = (self._clock() - self._ran_since).total_seconds()
        return (self._clock() - self._asked_for_steps).total_seconds() >= min(ran / 1.5, _STEPS_EVERY)

    def _is_twin_time(self) -> bool:
        """Whether it is time for one of the two lists that a wait alone reads too: the first look, as a first try has
        read none, and the first one by which whatever lag had hidden is shown.
        """
        shown = self._subject.since + DOUBT
        return self._listed is None or self._listed <= shown < self._clock()

    def _end_twins(self, lookout: Lookout) -> None:
        """A cluster of the same task that no list showed when ours was started: the younger one ends."""
        subject = self._subject
        named = [c.cluster_id for c in lookout.listed if subject.key.attempt(c.name) is not None]
        if set(named) <= {subject.cluster_id}:
            return
        found = lookout.client.find(subject.key, since=None)
        surplus = decide(found, finished_attempt=subject.settled).surplus
        if surplus:
            self._log.warning("Two clusters for one task: ending %s", ", ".join(c.name for c in surplus))
        lookout.client.terminate([c.cluster_id for c in surplus], why=DUPLICATE)

    def _event(self, outcome: str, **more: object) -> Event:
        return {"outcome": outcome, "cluster_id": self._subject.cluster_id, **more}

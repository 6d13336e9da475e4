"""Look at the live clusters of a deployment, and end those that no task needs any more.

It may die at any point: a cluster is looked at again right before it is ended, is marked, then ended; what is left the
next one finds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from sluicegate.emr.attempt import LIVE_STATES
from sluicegate.emr.client import EmrClient
from sluicegate.emr.engine import DUPLICATE
from sluicegate.emr.names import RunKey, may_be_of
from sluicegate.emr.orphans import GRACE, Judged, Kind, LiveCluster, TaskState, judge
from sluicegate.emr.tags import DEADLINE, ENDED_BY, ORPHANED, Unowned, owner
from sluicegate.emr.verdict import ClusterStatus
from sluicegate.faults import FaultError, classify

__all__ = ["Ending", "NoAirflow", "Sweep", "Tasks"]

log = logging.getLogger(__name__)

_FEW = 20
"""How many clusters that were never looked at before are looked at beside other work."""


class Tasks(Protocol):
    """What says how task instances are: a task's own connection to Airflow, or Airflow's REST API."""

    def states(self, keys: Collection[RunKey]) -> Mapping[RunKey, TaskState]:
        """Those that it knows; what cannot be asked is missing. Never raises for a single one."""


class NoAirflow:
    """Knows of no task how it is."""

    def states(self, keys: Collection[RunKey]) -> Mapping[RunKey, TaskState]:
        del keys
        return {}


@dataclass(frozen=True)
class Ending:
    """What became of an orphan. `done`: it was ended; else `reason` says why not."""

    orphan: Judged
    done: bool
    reason: str = ""
    fault: FaultError | None = None
    """AWS refused, or did not answer: the cluster may still run."""


@dataclass(frozen=True)
class Sweep:
    """The clusters of `deployment`, asked for through `client` and judged by what `tasks` says."""

    client: EmrClient
    tasks: Tasks
    deployment: str
    grace: timedelta = GRACE
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    known: dict[str, LiveCluster] = field(default_factory=dict)
    """Those that `end_listed` has asked about, by id: whom a cluster works for never changes."""

    def look(self) -> list[Judged]:
        """All live clusters of the account and region, the oldest first. Only those named like ours are described."""
        ours: list[LiveCluster] = []
        others: list[Judged] = []
        for listed in self.client.all_live():
            if not may_be_of(self.deployment, listed.name):
                others.append(Judged(_live(listed), Kind.FOREIGN, "it is not named as Sluicegate names clusters"))
                continue
            try:
                described = self.client.describe(listed.cluster_id)
            except FaultError as unread:
                others.append(Judged(_live(listed), Kind.UNKNOWN, f"AWS did not describe it: {unread}"))
                continue
            if described.state in LIVE_STATES:
                ours.append(_live(described))
        return sorted([*others, *self.judge(ours)], key=lambda each: (each.cluster.created, each.cluster.cluster_id))

    def end_listed(self, listed: Iterable[ClusterStatus]) -> None:
        """End the orphans among `listed`, a list that was read for another purpose. Never raises.

        It is done beside other work: each is asked about once, and only a few at a time, the oldest first. Those that
        this leaves out are asked about the next time, as the others are known by then.
        """
        try:
            old = self.clock() - self.grace
            live = (each for each in listed if each.state in LIVE_STATES)
            named = [each for each in live if may_be_of(self.deployment, each.name)]
            aged = sorted((each.created, each.cluster_id) for each in named if each.created and each.created < old)
            ids = [cluster_id for _, cluster_id in aged]
            for cluster_id in [each for each in ids if each not in self.known][:_FEW]:
                self.known[cluster_id] = _live(self.client.describe(cluster_id))
            judged = self.judge([self.known[each] for each in ids if each in self.known])
            self.end(each for each in judged if each.kind is Kind.ORPHAN)
        except Exception as unseen:
            log.warning("Orphans may be left, for a janitor to end: %s", classify(unseen))

    def judge(self, clusters: Iterable[LiveCluster]) -> list[Judged]:
        """What is to be thought of these, as their tasks are now."""
        found = list(clusters)
        owners = [owner(each.name, each.tags, self.deployment) for each in found]
        keys = {each.key for each in owners if not isinstance(each, Unowned)}
        tasks = self.tasks.states(keys) if keys else {}
        return judge(found, tasks, deployment=self.deployment, now=self.clock(), grace=self.grace)

    def end(self, orphans: Iterable[Judged]) -> list[Ending]:
        """End those of `orphans` that still are: each for itself, so that one that fails keeps no other."""
        return [self._end(orphan) for orphan in orphans]

    def _end(self, orphan: Judged) -> Ending:
        cluster_id = orphan.cluster.cluster_id
        try:
            again = self._again(orphan)
            if again is None:
                return Ending(orphan, done=False, reason="it has ended by itself")
            if again.kind is not Kind.ORPHAN:
                return Ending(again, done=False, reason=again.reason)
            self.client.terminate([cluster_id], why=self._why(again))
        except Exception as error:
            refused = classify(error)
            log.warning("%s (%s) could not be ended: %s", orphan.cluster.name, cluster_id, refused)
            return Ending(
                orphan, done=False, reason=f"it could not be ended: {' '.join(str(refused).split())}", fault=refused
            )
        log.info("Ended %s (%s): %s", again.cluster.name, cluster_id, again.reason)
        return Ending(again, done=True, reason=again.reason)

    def _again(self, orphan: Judged) -> Judged | None:
        """The orphan as it is now; None when it has ended. A twin is an orphan only as long as its elder lives."""
        seen = [self.client.describe(each) for each in (orphan.cluster.cluster_id, orphan.elder) if each]
        live = [_live(each) for each in seen if each.state in LIVE_STATES]
        return next((each for each in self.judge(live) if each.cluster.cluster_id == orphan.cluster.cluster_id), None)

    def _why(self, orphan: Judged) -> str:
        """What the mark says; a task whose cluster ran out of time does not start another one for it."""
        if earlier := orphan.cluster.tags.get(ENDED_BY):
            return earlier
        ends = orphan.owner.not_after if orphan.owner else None
        if ends is not None and self.clock() > ends:
            return DEADLINE
        return DUPLICATE if orphan.elder else ORPHANED


def _live(cluster: ClusterStatus) -> LiveCluster:
    created = cluster.created or datetime.now(UTC)  # EMR always says when
    return LiveCluster(cluster.cluster_id, cluster.name, cluster.state, created, cluster.tags)

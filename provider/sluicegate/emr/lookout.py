"""Looks at the clusters that one process waits for: with one call for all of them where that is cheaper.

`ListClusters` shows the state of fifty clusters a page; `DescribeCluster` that of one. No Airflow, no boto3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from sluicegate.emr.attempt import Found
from sluicegate.emr.names import RunKey
from sluicegate.emr.verdict import ClusterStatus, StepStatus

__all__ = ["Lookout", "Watched"]

_PAGE = 50
"""Clusters in a page of ListClusters."""


class Watched(Protocol):
    """EMR, as `EmrClient` gives it. Every method raises `FaultError`."""

    def find(self, key: RunKey, *, since: datetime | None, known: str = "", older: bool = False) -> list[Found]: ...

    def running(self) -> list[ClusterStatus]: ...

    def live(self, key: RunKey) -> list[str]: ...

    def describe(self, cluster_id: str) -> ClusterStatus: ...

    def steps(self, cluster_id: str) -> list[StepStatus]: ...

    def terminate(self, cluster_ids: Sequence[str], *, why: str) -> None: ...


class Lookout:
    """Shared by all waits of one process that use the same connection.

    Whichever wait looks first pays for the list, and those that look soon after it read the same one. So fifty
    clusters at once cost as many calls as one or two, and never each other's. Not for several threads at once.
    """

    def __init__(self, client: Watched, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.client = client
        self.listed: Sequence[ClusterStatus] = ()
        """What ran in the account when the list was last read: clusters of others too."""
        self.read: datetime | None = None
        """When that was."""
        self._clock = clock
        self._waits: set[str] = set()

    def join(self, cluster_id: str) -> None:
        self._waits.add(cluster_id)

    def leave(self, cluster_id: str) -> None:
        self._waits.discard(cluster_id)

    def waits_for(self, cluster_id: str) -> bool:
        return cluster_id in self._waits

    @property
    def shares(self) -> bool:
        """Whether a list costs less than to ask for each cluster."""
        return len(self._waits) > 1 + len(self.listed) // _PAGE

    def look(self, cluster_id: str, *, max_age: timedelta, lists: bool = False) -> ClusterStatus:
        """How the cluster is, or was at most `max_age` ago. That it has ended is always asked for and never guessed.

        :param lists: look into the list also where it costs more
        """
        if not self.shares and not lists:
            return self.client.describe(cluster_id)
        if self.read is None or self._clock() - self.read > max_age:
            self.listed, self.read = self.client.running(), self._clock()
        shown = next((cluster for cluster in self.listed if cluster.cluster_id == cluster_id), None)
        return self.client.describe(cluster_id) if shown is None else shown

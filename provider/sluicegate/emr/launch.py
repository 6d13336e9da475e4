"""Find the cluster of a task instance or start it: one and only one, whatever died before."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sluicegate.emr.attempt import AlreadyDone, Found, Reconnect, decide
from sluicegate.emr.client import EmrClient
from sluicegate.emr.names import RunKey

__all__ = ["DUPLICATE", "Launched", "find_or_start"]

log = logging.getLogger(__name__)

DUPLICATE = "duplicate"
"""Why a cluster is ended whose work another one does."""


@dataclass(frozen=True)
class Launched:
    """The cluster that a task goes on with. `done`: nothing is left to wait for."""

    cluster_id: str
    name: str
    attempt: int
    done: bool = False


def find_or_start(
    client: EmrClient,
    key: RunKey,
    *,
    found: Sequence[Found],
    since: datetime,
    settled: int,
    request: Callable[[int], Mapping[str, Any]],
    stopped: Callable[[], bool],
) -> Launched | None:
    """The one cluster of `key`; None when `stopped` said so before or while it was started.

    :param found: its clusters as `EmrClient.find` has just given them
    :param since: no cluster of `key` is older, but for live ones
    :param settled: the last attempt that does not count any more
    :param request: the arguments of RunJobFlow for an attempt; asked only when a cluster is started
    """
    decision = decide(found, finished_attempt=settled)
    client.terminate([f.cluster_id for f in decision.surplus], why=DUPLICATE)
    if isinstance(decision, Reconnect):
        log.info("Going on with cluster %s", _shown(decision.cluster))
        return _launched(decision.cluster)
    if isinstance(decision, AlreadyDone):
        log.info("Cluster %s has done the work, which was not reported yet", _shown(decision.cluster))
        return _launched(decision.cluster, done=True)
    arguments = request(decision.attempt)
    if stopped():
        return None
    cluster_id = client.start(key, decision.attempt, arguments, since=since)
    name = key.name(decision.attempt)
    if stopped():
        client.terminate([cluster_id], why="killed")
        return None
    log.info("Started cluster %s (%s), attempt %d", name, cluster_id, decision.attempt)
    return _without_twin(client, key, Launched(cluster_id, name, decision.attempt), settled)


def _without_twin(client: EmrClient, key: RunKey, mine: Launched, settled: int) -> Launched:
    """`mine`, unless another try of the same task was quicker: then its cluster, and ours is ended."""
    decision = decide(client.find(key, since=None), finished_attempt=settled)
    if not isinstance(decision, Reconnect):
        return mine
    if decision.surplus:
        log.warning("Two clusters for one task: keeping %s", _shown(decision.cluster))
    client.terminate([f.cluster_id for f in decision.surplus], why=DUPLICATE)
    return _launched(decision.cluster)


def _launched(found: Found, *, done: bool = False) -> Launched:
    return Launched(found.cluster_id, found.name, found.attempt, done)


def _shown(found: Found) -> str:
    return f"{found.name} ({found.cluster_id}, {found.state})"

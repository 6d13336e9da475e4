"""Waits in the triggerer for one cluster to end. It decides nothing: it says that the cluster has ended,
that the deadline has passed, or that AWS will not answer it, and the operator does the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from sluicegate.faults import TransientFault, classify

if TYPE_CHECKING:
    from sluicegate.emr.client import EmrClient
    from sluicegate.emr.verdict import ClusterStatus, StepStatus

__all__ = ["ClusterTrigger", "pause", "progress"]

SHORTEST, LONGEST = 2.0, 30.0
"""Seconds between two looks at the cluster."""


def pause(waited: float, failures: int) -> float:
    """Seconds until the next look: a tenth of the time waited so far, longer while AWS does not answer."""
    calm = min(max(waited / 10, SHORTEST), LONGEST)
    return calm if not failures else min(calm * 2.0 ** min(failures, 6), 4 * LONGEST)


def progress(cluster: ClusterStatus, steps: list[StepStatus]) -> str:
    """What a person wants to know of a cluster that runs: `RUNNING, step 1 of 2 (join.py)`."""
    running = next((n for n, step in enumerate(steps) if step.state == "RUNNING"), None)
    if running is None and steps:
        done = sum(step.state == "COMPLETED" for step in steps)
        return f"{cluster.state}, {done} of {len(steps)} steps done"
    if running is None:
        return cluster.state + (f" ({cluster.reason_code})" if cluster.terminal and cluster.reason_code else "")
    return f"{cluster.state}, step {running + 1} of {len(steps)} ({steps[running].name})"


class ClusterTrigger(BaseTrigger):
    """Fires once, with `{"outcome": "ended" | "deadline" | "error", "cluster_id": ..., ...}`.

    boto3 is called in threads. Throttling and outages are waited out until the deadline. All of it is in
    `serialize`, so that another triggerer can go on where this one died.

    :param since: when the wait began, ISO; for what the log says
    :param deadline: when to give up, ISO
    """

    def __init__(
        self,
        *,
        aws_conn_id: str | None,
        cluster_id: str,
        since: str,
        deadline: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        self.aws_conn_id = aws_conn_id
        self.cluster_id = cluster_id
        self.since = since
        self.deadline = deadline
        self._client: EmrClient | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            "sluicegate.emr.trigger.ClusterTrigger",
            {
                "aws_conn_id": self.aws_conn_id,
                "cluster_id": self.cluster_id,
                "since": self.since,
                "deadline": self.deadline,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        since, deadline = datetime.fromisoformat(self.since), datetime.fromisoformat(self.deadline)
        told, failures = "", 0
        while True:
            try:
                cluster, steps = await asyncio.to_thread(self._look)
            except TransientFault as fault:
                failures += 1
                if failures == 1:
                    self.log.warning("AWS does not say how %s is; asking again: %s", self.cluster_id, fault)
            except Exception as error:
                found = classify(error)
                yield self._event("error", code=found.code, detail=found.detail)
                return
            else:
                failures = 0
                if (now := progress(cluster, steps)) != told:
                    told = now
                    waited = (datetime.now(UTC) - since).total_seconds()
                    self.log.info("%s %s: %s after %.0f s", cluster.name, self.cluster_id, now, waited)
                if cluster.terminal:
                    yield self._event("ended", state=cluster.state)
                    return
            left = (deadline - datetime.now(UTC)).total_seconds()
            if left <= 0:
                yield self._event("deadline")
                return
            waited = (datetime.now(UTC) - since).total_seconds()
            await asyncio.sleep(min(pause(waited, failures), left))

    async def on_kill(self) -> None:
        """A person has marked or cleared the deferred task: this cluster is not needed any more.

        Only this one: the triggerer hears of a clear seconds later, and the next try may have a new one by then.
        """
        ended = await asyncio.to_thread(self._end)
        self.log.info("Terminated by the task's end: %s", self.cluster_id if ended else "no cluster was running")

    def _look(self) -> tuple[ClusterStatus, list[StepStatus]]:
        client = self._connected()
        cluster = client.describe(self.cluster_id)
        return cluster, client.steps(self.cluster_id) if cluster.state == "RUNNING" else []

    def _end(self) -> bool:
        client = self._connected()
        if client.describe(self.cluster_id).terminal:
            return False
        client.terminate([self.cluster_id], why="killed")
        return True

    def _connected(self) -> EmrClient:
        """The client, made in the thread: botocore and the connection take their time."""
        if self._client is None:
            from sluicegate.emr.client import EmrClient
            from sluicegate.emr.connection import Aws

            self._client = EmrClient(Aws(self.aws_conn_id), attempts=2)
        return self._client

    def _event(self, outcome: str, **more: str) -> TriggerEvent:
        payload = {"outcome": outcome, "cluster_id": self.cluster_id, **more}
        return TriggerEvent(payload)  # type: ignore[no-untyped-call]

"""EMR's API as the engine needs it: find by name, describe, ask once for a cluster, end for certain.

Thin: what it returns are values of `verdict` and `attempt`; whatever botocore raises comes out as a fault.
Import it where a task runs, never where a DAG is parsed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from sluicegate.emr.attempt import LIVE_STATES, Found
from sluicegate.emr.connection import Aws
from sluicegate.emr.names import RunKey
from sluicegate.emr.tags import ENDED_BY, GENERATION, PLACEMENT, RUN, deadline
from sluicegate.emr.verdict import TERMINAL_STATES, ClusterStatus, StepStatus, complete, own
from sluicegate.faults import FaultError, classify

__all__ = ["EmrClient"]

CLOCK_SKEW = timedelta(minutes=15)
"""AWS refuses signatures from clocks that are further off."""

log = logging.getLogger(__name__)

_RUNNING = [*LIVE_STATES, "TERMINATING"]
_UNKNOWN = frozenset({"AWS_REJECTED", "AWS_NOT_FOUND"})
"""What AWS answers about a cluster that it does not know (any more)."""


class EmrClient:
    """EMR behind one Airflow connection.

    Every method raises `FaultError`: transient for throttling, outages and lost connections, after
    having tried `attempts` times with growing pauses.
    """

    def __init__(self, aws: Aws, *, attempts: int = 6) -> None:
        # RunJobFlow has no idempotency token: botocore must not repeat it on its own.
        self._once = aws.client("emr", attempts=1)
        self._emr = aws.client("emr", attempts=attempts)

    def find(self, key: RunKey, *, since: datetime | None, known: str = "", older: bool = False) -> list[Found]:
        """The clusters of `key` that were made after `since`, whatever their state; names are looked up, and
        each cluster is confirmed by its tag.

        :param since: None: just those that run or are ending
        :param known: the id of one that is asked about by its id too, for the list may be behind
        :param older: add those older than `since` that run or are ending
        """
        with _faults():
            entries: list[dict[str, Any]] = []
            # Live ones first: what ends between the two calls is then in the second list, not in neither.
            if since is None or older:
                entries += self._list(_RUNNING, None)
            if since is not None:
                entries += self._list([*_RUNNING, *TERMINAL_STATES], since - CLOCK_SKEW)
        ours = {entry["Id"] for entry in entries if key.attempt(entry["Name"]) is not None}
        found = [cluster for id_ in ours if (cluster := self._found(key, id_)) is not None]
        if known and known not in ours and (cluster := self._known(key, known)) is not None:
            found.append(cluster)
        return found

    def live(self, key: RunKey) -> list[str]:
        """The ids of the clusters of `key` that run, by name alone: one call a page."""
        return [cluster.cluster_id for cluster in self.all_live() if key.attempt(cluster.name) is not None]

    def describe(self, cluster_id: str) -> ClusterStatus:
        with _faults():
            cluster = self._emr.describe_cluster(ClusterId=cluster_id)["Cluster"]
        status = cluster.get("Status", {})
        reason, times = status.get("StateChangeReason", {}), status.get("Timeline", {})
        errors = status.get("ErrorDetails") or [{}]
        return ClusterStatus(
            cluster_id=cluster_id,
            name=cluster.get("Name", ""),
            state=status["State"],
            reason_code=reason.get("Code") or "",
            message=reason.get("Message") or errors[0].get("ErrorMessage") or "",
            error_code=errors[0].get("ErrorCode") or "",
            error_data={k: str(v) for data in errors[0].get("ErrorData") or [] for k, v in data.items()},
            log_uri=cluster.get("LogUri") or "",
            created=times.get("CreationDateTime"),
            ready=times.get("ReadyDateTime"),
            ended=times.get("EndDateTime"),
            tags={tag["Key"]: tag.get("Value", "") for tag in cluster.get("Tags") or []},
        )

    def steps(self, cluster_id: str) -> list[StepStatus]:
        """In the order in which they were asked for, and run: those that were added by hand last."""
        with _faults():
            pages = self._emr.get_paginator("list_steps").paginate(ClusterId=cluster_id)
            entries = [entry for page in pages for entry in page["Steps"]]
        return [_step(entry) for entry in reversed(entries)]  # ListSteps gives the newest first

    def run(self, request: Mapping[str, Any]) -> str:
        """RunJobFlow, called once, and the cluster's id. A transient fault does not say that there is no cluster."""
        with _faults():
            return str(self._once.run_job_flow(**request)["JobFlowId"])

    def terminate(self, cluster_ids: Sequence[str], *, why: str) -> None:
        """Mark the clusters as ended by us, then end them. Ended ones stay as they are."""
        for cluster_id in cluster_ids:
            self._mark(cluster_id, why)
        if not cluster_ids:
            return
        with _faults():
            try:
                self._emr.terminate_job_flows(JobFlowIds=list(cluster_ids))
            except ClientError as refused:
                if "protect" not in str(refused).lower():
                    raise
                # Somebody has switched protection on; the task's end is the end of its cluster all the same.
                self._emr.set_termination_protection(JobFlowIds=list(cluster_ids), TerminationProtected=False)
                self._emr.terminate_job_flows(JobFlowIds=list(cluster_ids))

    def all_live(self) -> list[ClusterStatus]:
        """Whatever runs in this account and region, as the list shows it: without tags."""
        with _faults():
            return [_listed(entry) for entry in self._list(list(LIVE_STATES), None)]

    def running(self) -> list[ClusterStatus]:
        """As `all_live`, and what is ending too."""
        with _faults():
            return [_listed(entry) for entry in self._list(_RUNNING, None)]

    def _list(self, states: list[str], created_after: datetime | None) -> Iterator[dict[str, Any]]:
        after = {} if created_after is None else {"CreatedAfter": created_after}
        for page in self._emr.get_paginator("list_clusters").paginate(ClusterStates=states, **after):
            yield from page["Clusters"]

    def _found(self, key: RunKey, cluster_id: str) -> Found | None:
        cluster = self.describe(cluster_id)
        attempt = key.attempt(cluster.name)
        if attempt is None or cluster.tags.get(RUN) != key.digest:
            return None
        assert cluster.created is not None  # EMR always says when
        # One that runs does so since its first step.
        steps = [] if cluster.state in LIVE_STATES else own(cluster, self.steps(cluster_id))
        return Found(
            cluster_id=cluster_id,
            name=cluster.name,
            attempt=attempt,
            state=cluster.state,
            created=cluster.created,
            complete=complete(steps),
            began=cluster.state in ("RUNNING", "WAITING") or any(step.started is not None for step in steps),
            ended_by_us=ENDED_BY in cluster.tags,
            generation=cluster.tags.get(GENERATION, ""),
            placement=int(cluster.tags.get(PLACEMENT, "0")),
            not_after=deadline(cluster.tags),
        )

    def _known(self, key: RunKey, cluster_id: str) -> Found | None:
        """A cluster that its id leads to although no list shows it."""
        try:
            return self._found(key, cluster_id)
        except FaultError as unknown:
            if unknown.code not in _UNKNOWN:
                raise
            log.warning("AWS does not know cluster %s, which was started for this task: %s", cluster_id, unknown)
            return None

    def _mark(self, cluster_id: str, why: str) -> None:
        try:
            self._emr.add_tags(ResourceId=cluster_id, Tags=[{"Key": ENDED_BY, "Value": why}])
        except Exception as unmarked:
            # The mark saves the next try a wait; what counts is that the cluster ends.
            log.warning("%s could not be marked as ended by us: %s", cluster_id, classify(unmarked))


def _listed(entry: Mapping[str, Any]) -> ClusterStatus:
    times = entry["Status"]["Timeline"]
    return ClusterStatus(
        cluster_id=entry["Id"],
        name=entry["Name"],
        state=entry["Status"]["State"],
        created=times["CreationDateTime"],
        ready=times.get("ReadyDateTime"),
    )


def _step(entry: Mapping[str, Any]) -> StepStatus:
    status = entry.get("Status", {})
    times, failure = status.get("Timeline", {}), status.get("FailureDetails") or {}
    return StepStatus(
        step_id=entry["Id"],
        name=entry.get("Name", ""),
        state=status.get("State", ""),
        failure_reason=failure.get("Reason") or "",
        message=failure.get("Message") or (status.get("StateChangeReason") or {}).get("Message") or "",
        started=times.get("StartDateTime"),
        ended=times.get("EndDateTime"),
    )


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except FaultError:
        raise
    except Exception as error:
        raise classify(error) from error

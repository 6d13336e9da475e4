"""A model of EMR in memory, on a clock that nobody has to wait for: what it does late, twice, not at all, or unseen.

Clients are boto3's as far as `EmrClient` uses them. What can go wrong at a call is drawn by the world; what becomes of
a cluster is drawn when it is made.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, ReadTimeoutError

if TYPE_CHECKING:
    from tests.emr.simulation import World

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
LIVE = ("STARTING", "RUNNING")
READ_TIMEOUT = 60.0
PAGE = 50
MOST_CALLS = 150
"""So many in a minute are hammering, whatever goes wrong."""


def moment(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


@dataclass
class StepModel:
    """`takes` is how long it would run; `ends` as what. `own`: of the request, not added by a person."""

    name: str
    takes: float
    ends: str = "COMPLETED"
    own: bool = True
    state: str = "PENDING"
    started: float | None = None
    ended: float | None = None


@dataclass
class Fate:
    """What becomes of a cluster that is left alone."""

    starts_in: float
    steps: list[StepModel]
    lost_at: float | None = None
    """Seconds after its creation at which AWS takes its machines, or has none."""
    code: str = ""
    error: str = ""
    ends_in: float = 60.0
    seen_after: float = 0.0
    """How long no list shows it."""


@dataclass
class ClusterModel:
    cluster_id: str
    name: str
    tags: dict[str, str]
    created: float
    fate: Fate
    state: str = "STARTING"
    code: str = ""
    error: str = ""
    is_protected: bool = False
    gone_at: float | None = None
    """When it will be TERMINATED, once it is ending."""
    asked_to_end: float | None = None
    ran: float | None = None
    """When its first step began."""
    is_strange: bool = False
    """It works for somebody else, or nobody knows for whom: to be left alone."""

    @property
    def steps(self) -> list[StepModel]:
        return self.fate.steps

    @property
    def is_complete(self) -> bool:
        return all(step.state == "COMPLETED" for step in self.steps if step.own)

    @property
    def completed_at(self) -> float:
        return max(step.ended or 0.0 for step in self.steps if step.own)

    def advance(self, now: float) -> None:
        """Whatever has happened until `now`, in its order."""
        while self.state not in ("TERMINATED", "TERMINATED_WITH_ERRORS"):
            at, change = self._next()
            if at is None or at > now:
                return
            change(at)

    def _next(self) -> tuple[float | None, Any]:
        if self.gone_at is not None:
            return self.gone_at, self._gone
        events: list[tuple[float, Any]] = []
        if self.fate.lost_at is not None:
            events.append((self.created + self.fate.lost_at, self._lost))
        if self.state == "STARTING":
            events.append((self.created + self.fate.starts_in, self._start))
        elif (running := self._running()) is not None:
            assert running.started is not None
            events.append((running.started + running.takes, self._end_step))
        return min(events, key=lambda e: e[0]) if events else (None, None)

    def _running(self) -> StepModel | None:
        return next((step for step in self.steps if step.state == "RUNNING"), None)

    def _start(self, at: float) -> None:
        self.state, self.ran = "RUNNING", at
        self._next_step(at)

    def _next_step(self, at: float) -> None:
        pending = next((step for step in self.steps if step.state == "PENDING"), None)
        if pending is not None:
            pending.state, pending.started = "RUNNING", at
        else:
            self.end(at, "ALL_STEPS_COMPLETED")

    def _end_step(self, at: float) -> None:
        step = self._running()
        assert step is not None
        step.state, step.ended = step.ends, at
        if step.state == "FAILED" and step.own:
            self.end(at, "STEP_FAILURE")
        else:
            self._next_step(at)

    def _lost(self, at: float) -> None:
        self.end(at, self.fate.code, self.fate.error)

    def end(self, at: float, code: str, error: str = "") -> None:
        if self.gone_at is not None:
            return
        self.state, self.code, self.error = "TERMINATING", code, error
        self.gone_at = at + self.fate.ends_in
        for step in self.steps:
            if step.state in ("PENDING", "RUNNING"):
                step.state, step.ended = "CANCELLED", at

    def _gone(self, at: float) -> None:
        well = self.code in ("ALL_STEPS_COMPLETED", "USER_REQUEST")
        self.state = "TERMINATED" if well else "TERMINATED_WITH_ERRORS"


class Client:
    """One boto3 client of one process: each call is made up to `attempts` times."""

    def __init__(self, emr: EmrModel, attempts: int) -> None:
        self._emr, self._attempts = emr, attempts

    def _call(self, action: str, **body: Any) -> dict[str, Any]:
        for attempt in range(1, self._attempts + 1):
            try:
                return self._emr.call(action, body)
            except (ClientError, ReadTimeoutError) as error:
                if attempt == self._attempts or (isinstance(error, ClientError) and not _may_pass(error)):
                    raise
                self._emr.world.sleep(min(2.0**attempt, 20.0))
        raise AssertionError

    def run_job_flow(self, **body: Any) -> dict[str, Any]:
        return self._call("RunJobFlow", **body)

    def describe_cluster(self, **body: Any) -> dict[str, Any]:
        return self._call("DescribeCluster", **body)

    def add_tags(self, **body: Any) -> dict[str, Any]:
        return self._call("AddTags", **body)

    def terminate_job_flows(self, **body: Any) -> dict[str, Any]:
        return self._call("TerminateJobFlows", **body)

    def set_termination_protection(self, **body: Any) -> dict[str, Any]:
        return self._call("SetTerminationProtection", **body)

    def get_paginator(self, name: str) -> Pages:
        return Pages(self, {"list_clusters": "ListClusters", "list_steps": "ListSteps"}[name])


@dataclass
class Pages:
    client: Client
    action: str

    def paginate(self, **body: Any) -> Iterator[dict[str, Any]]:
        while True:
            page = self.client._call(self.action, **body)
            yield page
            if "Marker" not in page:
                return
            body["Marker"] = page["Marker"]


@dataclass
class Aws:
    """What `EmrClient` is made of."""

    emr: EmrModel

    def client(self, service: str, *, attempts: int) -> Client:
        return Client(self.emr, attempts)


def _error(action: str, code: str, status: int, message: str = "no") -> ClientError:
    told = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(told, action)  # type: ignore[arg-type]


def _may_pass(error: ClientError) -> bool:
    return error.response["Error"]["Code"] in ("ThrottlingException", "InternalServerError")


@dataclass
class EmrModel:
    world: World
    clusters: dict[str, ClusterModel] = field(default_factory=dict)
    asked: deque[float] = field(default_factory=deque)
    """When, in the last minute."""

    def call(self, action: str, body: dict[str, Any]) -> dict[str, Any]:
        """One HTTP request, with all that can happen to it."""
        world = self.world
        self.asked.append(world.now)
        while self.asked[0] < world.now - 60:
            self.asked.popleft()
        if len(self.asked) == MOST_CALLS:
            world.wrong.append(f"EMR is asked {MOST_CALLS} times in a minute")
        world.sleep(world.latency())
        trouble = world.trouble(action)
        if trouble in ("throttled", "obeyed"):
            if action == "RunJobFlow" and (trouble == "obeyed" or world.random.random() < 0.1):
                world.hurt.add("throttled start")  # as has been seen of AWS
                self._do(action, body)
            raise _error(action, "ThrottlingException", 400, "Rate exceeded")
        if trouble == "error":
            raise _error(action, "InternalServerError", 500)
        if trouble == "refused":
            raise _error(action, "ValidationException", 400, "no such role")
        if trouble == "late":
            world.later(world.random.uniform(1.0, 75.0), lambda: self._late(action, body))
            world.sleep(READ_TIMEOUT)
            raise ReadTimeoutError(endpoint_url="https://emr")
        answer = self._do(action, body)
        if trouble == "lost":
            world.sleep(READ_TIMEOUT)
            raise ReadTimeoutError(endpoint_url="https://emr")
        world.sleep(0.01)
        return answer

    def _late(self, action: str, body: dict[str, Any]) -> None:
        with suppress(ClientError):
            self._do(action, body)

    def _do(self, action: str, body: dict[str, Any]) -> dict[str, Any]:
        self.advance()
        answer: dict[str, Any] = getattr(self, f"_{action}")(body) or {}
        return answer

    def advance(self) -> None:
        for cluster in self.ours:  # those of others run on for ever
            if cluster.state not in ("TERMINATED", "TERMINATED_WITH_ERRORS"):
                cluster.advance(self.world.now)

    @property
    def ours(self) -> list[ClusterModel]:
        return [cluster for cluster in self.clusters.values() if not cluster.is_strange]

    def live(self) -> list[ClusterModel]:
        """Those of ours that cost money and are not ending."""
        self.advance()
        return [cluster for cluster in self.ours if cluster.state in LIVE]

    def _RunJobFlow(self, body: dict[str, Any]) -> dict[str, Any]:
        cluster_id = f"j-{len(self.clusters) + 1}"
        tags = {tag["Key"]: tag["Value"] for tag in body["Tags"]}
        fate = self.world.fate(int(tags["sluicegate:placement"]), len(body["Steps"]))
        self.clusters[cluster_id] = ClusterModel(cluster_id, body["Name"], tags, self.world.now, fate)
        self.world.is_made(self.clusters[cluster_id])
        return {"JobFlowId": cluster_id}

    def _ListClusters(self, body: dict[str, Any]) -> dict[str, Any]:
        states, after = body["ClusterStates"], body.get("CreatedAfter")
        shown = [
            {"Id": c.cluster_id, "Name": c.name, "Status": _status(c)}
            for c in reversed(self.clusters.values())
            if c.state in states
            and self.world.now >= c.created + c.fate.seen_after
            and (after is None or moment(c.created) > after)
        ]
        first = int(body.get("Marker", 0))
        more = {"Marker": str(first + PAGE)} if first + PAGE < len(shown) else {}
        return {"Clusters": shown[first : first + PAGE], **more}

    def _DescribeCluster(self, body: dict[str, Any]) -> dict[str, Any]:
        cluster = self.clusters[body["ClusterId"]]
        tags = [{"Key": key, "Value": value} for key, value in cluster.tags.items()]
        return {"Cluster": {"Id": cluster.cluster_id, "Name": cluster.name, "Status": _status(cluster), "Tags": tags}}

    def _ListSteps(self, body: dict[str, Any]) -> dict[str, Any]:
        steps = self.clusters[body["ClusterId"]].steps
        return {"Steps": [_step(n, step) for n, step in reversed(list(enumerate(steps)))]}

    def _AddTags(self, body: dict[str, Any]) -> None:
        self.clusters[body["ResourceId"]].tags.update({tag["Key"]: tag["Value"] for tag in body["Tags"]})

    def _SetTerminationProtection(self, body: dict[str, Any]) -> None:
        for cluster_id in body["JobFlowIds"]:
            self.clusters[cluster_id].is_protected = body["TerminationProtected"]

    def _TerminateJobFlows(self, body: dict[str, Any]) -> None:
        # AWS ends those that are not protected all the same.
        protected = [c for c in body["JobFlowIds"] if self.clusters[c].is_protected]
        for cluster_id in body["JobFlowIds"]:
            cluster = self.clusters[cluster_id]
            if cluster.state in LIVE and cluster_id not in protected:
                cluster.asked_to_end = self.world.now
                cluster.end(self.world.now, "USER_REQUEST")
        if protected:
            raise _error("TerminateJobFlows", "ValidationException", 400, "job flows are termination protected")


def _status(cluster: ClusterModel) -> dict[str, Any]:
    times = {"CreationDateTime": moment(cluster.created)}
    if cluster.ran is not None:
        times["ReadyDateTime"] = moment(cluster.ran)
    if cluster.gone_at is not None:
        times["EndDateTime"] = moment(cluster.gone_at)
    errors = [{"ErrorCode": cluster.error}] if cluster.error else []
    reason = {"Code": cluster.code} if cluster.code else {}
    return {"State": cluster.state, "StateChangeReason": reason, "Timeline": times, "ErrorDetails": errors}


def _step(n: int, step: StepModel) -> dict[str, Any]:
    times = {}
    if step.started is not None:
        times["StartDateTime"] = moment(step.started)
    if step.ended is not None:
        times["EndDateTime"] = moment(step.ended)
    failure = {"Reason": "Unknown Error.", "Message": "see log"} if step.state == "FAILED" else None
    return {
        "Id": f"s-{n}",
        "Name": step.name,
        "Status": {"State": step.state, "Timeline": times, "FailureDetails": failure},
    }

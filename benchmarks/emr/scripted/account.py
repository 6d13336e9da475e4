"""An AWS account in memory: EMR's calls are counted, and clusters start, run their steps and end on time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

__all__ = ["Account", "Times"]

_PAGE = 50
_RUNNING = ("STARTING", "RUNNING", "WAITING")


@dataclass(frozen=True)
class Times:
    """Seconds that a cluster takes to start, each step to run, and the cluster to end."""

    start: float
    step: float
    end: float = 60.0


@dataclass
class _Step:
    name: str
    added: datetime
    began: datetime | None = None
    ended: datetime | None = None


@dataclass
class _Cluster:
    id: str
    name: str
    tags: list[dict[str, str]]
    keep: bool
    made: datetime
    ready: datetime
    steps: list[_Step]
    ending: datetime | None = None
    gone: datetime | None = None


@dataclass
class Account:
    times: Times
    now: Callable[[], datetime]
    latency: Callable[[], object] = lambda: None
    """Called at each call."""
    calls: Counter[str] = field(default_factory=Counter)
    log: list[datetime] = field(default_factory=list)
    clusters: dict[str, _Cluster] = field(default_factory=dict)

    def call(self, service: str, action: str, body: dict[str, Any]) -> dict[str, Any]:
        self.latency()
        answer: dict[str, Any] = {}
        if service == "emr":
            self.calls[action] += 1
            self.log.append(self.now())
            for cluster in self.clusters.values():
                self._advance(cluster)
            answer = getattr(self, f"_{action}")(body) or {}
        return {"ResponseMetadata": {"HTTPStatusCode": 200}, **answer}

    @property
    def cluster_seconds(self) -> float:
        return sum((c.gone - c.made).total_seconds() for c in self.clusters.values() if c.gone)

    @property
    def first_step(self) -> datetime:
        return min(step.began for c in self.clusters.values() for step in c.steps if step.began)

    def busiest(self, seconds: float) -> int:
        """The most calls in any span of so many seconds."""
        log = sorted(self.log)
        return max(sum(t <= other < t + timedelta(seconds=seconds) for other in log) for t in log)

    def _advance(self, cluster: _Cluster) -> None:
        now, free = self.now(), cluster.ready
        for step in cluster.steps:
            began = max(free, step.added)
            if cluster.ending is not None or began > now:
                break
            step.began = began
            free = began + timedelta(seconds=self.times.step)
            if free > now:
                break
            step.ended = free
        if cluster.ending is None and not cluster.keep and all(step.ended for step in cluster.steps):
            self._end(cluster, free)

    def _end(self, cluster: _Cluster, at: datetime) -> None:
        cluster.ending, cluster.gone = at, at + timedelta(seconds=self.times.end)

    def _state(self, cluster: _Cluster) -> str:
        now = self.now()
        if cluster.gone is not None and now >= cluster.gone:
            return "TERMINATED"
        if cluster.ending is not None:
            return "TERMINATING"
        if now < cluster.ready:
            return "STARTING"
        return "WAITING" if all(step.ended for step in cluster.steps) else "RUNNING"

    def _status(self, cluster: _Cluster) -> dict[str, Any]:
        times = {"CreationDateTime": cluster.made}
        if self.now() >= cluster.ready:
            times["ReadyDateTime"] = cluster.ready
        state = self._state(cluster)
        if state == "TERMINATED" and cluster.gone is not None:
            times["EndDateTime"] = cluster.gone
        return {"State": state, "StateChangeReason": {}, "Timeline": times}

    def _RunJobFlow(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - AWS's names
        now, id_ = self.now(), f"j-{len(self.clusters) + 1}"
        ready = now + timedelta(seconds=self.times.start)
        steps = [_Step(step["Name"], now) for step in body.get("Steps", ())]
        keep = body["Instances"]["KeepJobFlowAliveWhenNoSteps"]
        self.clusters[id_] = _Cluster(id_, body["Name"], body.get("Tags", []), keep, now, ready, steps)
        return {"JobFlowId": id_}

    def _AddJobFlowSteps(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        cluster = self.clusters[body["JobFlowId"]]
        cluster.steps += [_Step(step["Name"], self.now()) for step in body["Steps"]]
        return {"StepIds": [f"s-{n}" for n in range(len(cluster.steps))]}

    def _TerminateJobFlows(self, body: dict[str, Any]) -> None:  # noqa: N802
        for id_ in body["JobFlowIds"]:
            if self.clusters[id_].ending is None:
                self._end(self.clusters[id_], self.now())

    def _AddTags(self, body: dict[str, Any]) -> None: ...  # noqa: N802

    def _ListClusters(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        states = body["ClusterStates"]
        shown = [
            {"Id": c.id, "Name": c.name, "Status": self._status(c)}
            for c in reversed(self.clusters.values())
            if self._state(c) in states
        ]
        first = int(body.get("Marker", 0))
        more = {"Marker": str(first + _PAGE)} if first + _PAGE < len(shown) else {}
        return {"Clusters": shown[first : first + _PAGE], **more}

    def _DescribeCluster(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        cluster = self.clusters[body["ClusterId"]]
        shown = {"Id": cluster.id, "Name": cluster.name, "LogUri": "s3://logs/emr/", "Tags": cluster.tags}
        return {"Cluster": {**shown, "Status": self._status(cluster)}}

    def _ListSteps(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"Steps": [_shown(n, s) for n, s in reversed(list(enumerate(self.clusters[body["ClusterId"]].steps)))]}

    def _ListInstanceGroups(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"InstanceGroups": []}

    def _ListInstances(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"Instances": []}


def _shown(n: int, step: _Step) -> dict[str, Any]:
    times = {"StartDateTime": step.began, "EndDateTime": step.ended}
    state = "COMPLETED" if step.ended else "RUNNING" if step.began else "PENDING"
    timeline = {name: value for name, value in times.items() if value}
    return {"Id": f"s-{n}", "Name": step.name, "Status": {"State": state, "Timeline": timeline}}

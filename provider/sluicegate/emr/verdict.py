"""How a cluster ended: well, or by which fault. Values in, values out; it calls nothing.

What the steps say goes first: a cluster that somebody ended after its last step has done its work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sluicegate.emr.tags import STEPS, deadline
from sluicegate.faults import FaultError, emr_fault, fault
from sluicegate.faults.spark_log import TIMED_OUT_STATUS
from sluicegate.pipeline.text.quantities import format_duration

__all__ = ["TERMINAL_STATES", "ClusterStatus", "StepStatus", "complete", "failed_step", "own", "verdict"]

TERMINAL_STATES = ("TERMINATED", "TERMINATED_WITH_ERRORS")
_BLUR = 1.0
"""Seconds by which EMR may note the start of a step too late or its end too early."""

_OUR_CONCERN = frozenset({"", "STEP_FAILURE", "ALL_STEPS_COMPLETED", "USER_REQUEST"})


@dataclass(frozen=True)
class ClusterStatus:
    """What DescribeCluster says."""

    cluster_id: str
    name: str
    state: str
    reason_code: str = ""
    message: str = ""
    error_code: str = ""
    """The first of `ErrorDetails`, which says more than `reason_code`."""
    error_data: Mapping[str, str] = field(default_factory=dict)
    """What AWS adds to that code: `instance-type`, `availability-zone`, `bootstrap-action`, ..."""
    log_uri: str = ""
    created: datetime | None = None
    ready: datetime | None = None
    """When it began to run its steps."""
    ended: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """What `from_json` reads again, in another process."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(self).items()
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ClusterStatus:
        times = {name: datetime.fromisoformat(values[name]) for name in ("created", "ready", "ended") if values[name]}
        return cls(**{**values, **times})

    @property
    def terminal(self) -> bool:
        return self.state in TERMINAL_STATES

    @property
    def seconds(self) -> float | None:
        """How long it lived; None while it does."""
        return _seconds(self.created, self.ended)


@dataclass(frozen=True)
class StepStatus:
    """What ListSteps says of one step."""

    step_id: str
    name: str
    state: str
    failure_reason: str = ""
    message: str = ""
    started: datetime | None = None
    ended: datetime | None = None

    @property
    def seconds(self) -> float | None:
        """How long it ran; None before it has ended."""
        return _seconds(self.started, self.ended)


def complete(steps: Sequence[StepStatus]) -> bool:
    """Whether all the work is done."""
    return bool(steps) and all(step.state == "COMPLETED" for step in steps)


def own(cluster: ClusterStatus, steps: Sequence[StepStatus]) -> Sequence[StepStatus]:
    """The steps that were asked for with the cluster; those that a person added by hand come behind them."""
    asked = cluster.tags.get(STEPS)
    return steps[: int(asked)] if asked else steps


def failed_step(steps: Sequence[StepStatus]) -> StepStatus | None:
    """The step that failed first; `steps` are in the order in which they run."""
    return next((step for step in steps if step.state == "FAILED"), None)


def verdict(
    cluster: ClusterStatus,
    steps: Sequence[StepStatus],
    *,
    max_runtime: timedelta,
    log_tail: str = "",
    exit_status: int | None = None,
) -> FaultError | None:
    """Why a cluster that has ended did not do its work; None when it did.

    `log_tail` is the end of the failed step's log and `exit_status` what its command ended with, as far as known.
    """
    if complete(steps):
        return None
    facts: dict[str, object] = {"cluster_id": cluster.cluster_id, "cluster": cluster.name}
    step = failed_step(steps)
    if step is None or cluster.reason_code not in _OUR_CONCERN:
        return _cluster_fault(cluster, steps, facts)
    facts |= {"step": step.name, "step_id": step.step_id}
    # `timeout` says so itself; where that is not known, how long the step ran says it nearly as well.
    late = step.seconds is not None and step.seconds >= max_runtime.total_seconds() - _BLUR
    if late or exit_status == TIMED_OUT_STATUS:
        ran = "" if step.seconds is None else f" for {step.seconds:.0f} s"
        detail = f"{step.name} ran{ran}; max_runtime is {format_duration(max_runtime)}"
        return fault("CLUSTER_DEADLINE", detail, **facts)
    found = emr_fault(
        "STEP_FAILURE", None, step.failure_reason or None, step.message or None, log_tail or None, exit_status
    )
    return fault(found.code, f"{step.name}: {found.detail}", **{**found.facts, **facts})


def _cluster_fault(cluster: ClusterStatus, steps: Sequence[StepStatus], facts: dict[str, object]) -> FaultError:
    shown = f"{cluster.name} ({cluster.cluster_id})"
    if cluster.error_data:
        facts["error_data"] = dict(cluster.error_data)
    if (ends := _late(cluster)) is not None:
        return fault("CLUSTER_DEADLINE", f"{shown} was to be gone by {ends:%Y-%m-%d %H:%M:%S} UTC", **facts)
    cancelled = next((step.name for step in steps if step.state == "CANCELLED"), None)
    if cancelled is not None and cluster.reason_code == "ALL_STEPS_COMPLETED":
        return fault("CLUSTER_STEP_CANCELLED", f"{cancelled} was cancelled on {shown}", **facts)
    found = emr_fault(cluster.reason_code, cluster.error_code or None, None, cluster.message or None)
    if found.code == "CLUSTER_TERMINATED_OUTSIDE":
        return fault(found.code, f"{shown} was terminated outside Airflow", **{**found.facts, **facts})
    return fault(found.code, f"{shown}: {found.detail}", **{**found.facts, **facts})


def _late(cluster: ClusterStatus) -> datetime | None:
    """The deadline of a cluster that ended after it by itself, as its watchdog makes it."""
    ends = deadline(cluster.tags)
    if ends is None or cluster.ended is None or cluster.reason_code == "USER_REQUEST" or cluster.ended < ends:
        return None
    return ends.astimezone(UTC)


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else (end - start).total_seconds()

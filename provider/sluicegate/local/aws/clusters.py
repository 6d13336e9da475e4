"""What a local cluster and its steps are, and how they change state: EMR's rules, as values.

No thread, no clock, no HTTP: every transition is given the time. `fleet` decides when one happens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import cast

Json = dict[str, object]

RESTARTED = "local EMR restarted"


class ClusterState(StrEnum):
    STARTING = "STARTING"
    BOOTSTRAPPING = "BOOTSTRAPPING"
    RUNNING = "RUNNING"
    WAITING = "WAITING"
    TERMINATING = "TERMINATING"
    TERMINATED = "TERMINATED"
    TERMINATED_WITH_ERRORS = "TERMINATED_WITH_ERRORS"


class StepState(StrEnum):
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"
    INTERRUPTED = "INTERRUPTED"


class Reason(StrEnum):
    """Why a cluster ended: EMR's StateChangeReason codes."""

    ALL_STEPS_COMPLETED = "ALL_STEPS_COMPLETED"
    STEP_FAILURE = "STEP_FAILURE"
    USER_REQUEST = "USER_REQUEST"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    INSTANCE_FAILURE = "INSTANCE_FAILURE"
    INSTANCE_FLEET_TIMEOUT = "INSTANCE_FLEET_TIMEOUT"


_ENDED = frozenset({ClusterState.TERMINATED, ClusterState.TERMINATED_WITH_ERRORS})
_GOOD = frozenset({Reason.ALL_STEPS_COMPLETED, Reason.USER_REQUEST})


@dataclass(frozen=True)
class Failure:
    """EMR's FailureDetails of a step."""

    reason: str
    message: str
    log_file: str | None = None


@dataclass
class Step:
    """One step; `started` and `ended` are None until then."""

    id: str
    name: str
    created: datetime
    action_on_failure: str = "TERMINATE_CLUSTER"
    jar: str = ""
    args: list[str] = field(default_factory=list)
    properties: dict[str, str] = field(default_factory=dict)
    main_class: str | None = None
    state: StepState = StepState.PENDING
    started: datetime | None = None
    ended: datetime | None = None
    message: str | None = None
    failure: Failure | None = None
    cancel_requested: bool = False

    @property
    def is_open(self) -> bool:
        return self.state in (StepState.PENDING, StepState.RUNNING)

    def begin(self, now: datetime) -> None:
        self.state = StepState.RUNNING
        self.started = now

    def cancel(self, message: str, now: datetime) -> None:
        self.state = StepState.CANCELLED
        self.message = message
        self.ended = now

    def interrupt(self, message: str, now: datetime) -> None:
        """It was running when its cluster ended."""
        self.state = StepState.INTERRUPTED
        self.message = message
        self.ended = now

    def fail(self, failure: Failure, now: datetime) -> None:
        self.state = StepState.FAILED
        self.failure = failure
        self.ended = now


@dataclass
class Cluster:
    """One cluster: what was asked for (`request`, RunJobFlow's input) and what became of it."""

    id: str
    name: str
    request: Json
    created: datetime
    keep_alive: bool = False
    protected: bool = False
    idle_timeout: int | None = None
    """Seconds after which a waiting cluster ends by itself."""
    tags: dict[str, str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    state: ClusterState = ClusterState.STARTING
    reason: Reason | None = None
    message: str | None = None
    error_code: str | None = None
    lost_roles: list[str] = field(default_factory=list)
    """Of `MASTER`, `CORE` and `TASK`, those whose machines the spot market took back."""
    ready: datetime | None = None
    ended: datetime | None = None

    @property
    def is_ending(self) -> bool:
        """Ended or about to: takes no more steps."""
        return self.state is ClusterState.TERMINATING or self.state in _ENDED

    @property
    def has_ended(self) -> bool:
        return self.state in _ENDED

    @property
    def instances(self) -> Json:
        """The `Instances` of its RunJobFlow."""
        return cast("Json", self.request.get("Instances") or {})

    @property
    def concurrency(self) -> int:
        return cast("int", self.request.get("StepConcurrencyLevel") or 1)

    def next_step(self) -> Step | None:
        return next((step for step in self.steps if step.state is StepState.PENDING), None)

    def step(self, step_id: str) -> Step | None:
        return next((step for step in self.steps if step.id == step_id), None)

    def bootstrap(self) -> None:
        self.state = ClusterState.BOOTSTRAPPING

    def begin(self, step: Step, now: datetime) -> None:
        """The step runs, and so does the cluster."""
        self.state = ClusterState.RUNNING
        self.ready = self.ready or now
        self.message = "Running step"
        step.begin(now)

    def finish(self, step: Step, failure: Failure | None, now: datetime) -> None:
        """The running step came to its end; a failure has the effect that its ActionOnFailure names."""
        if failure is None:
            step.state = StepState.COMPLETED
            step.ended = now
        elif self.is_ending:
            step.interrupt("Job terminated", now)
        elif step.cancel_requested:
            step.cancel("Cancelled by user", now)
        else:
            step.fail(failure, now)
            self._after_failure(step, now)

    def _after_failure(self, step: Step, now: datetime) -> None:
        if step.action_on_failure == "CONTINUE":
            return
        if step.action_on_failure in ("TERMINATE_CLUSTER", "TERMINATE_JOB_FLOW") and not self.protected:
            self.terminate(Reason.STEP_FAILURE, "Shut down as step failed", now)
            return
        # CANCEL_AND_WAIT, and what a protected cluster does instead of shutting down.
        self._cancel_pending("Job terminated", now)
        self.keep_alive = True

    def idle(self, now: datetime) -> None:
        """No step is left: wait for more, or end as a cluster that ends by itself."""
        if not self.keep_alive:
            failed = any(step.state is StepState.FAILED for step in self.steps)
            self.terminate(Reason.ALL_STEPS_COMPLETED, f"Steps completed{' with errors' * failed}", now)
        elif self.state is not ClusterState.WAITING:
            last_failed = bool(self.steps) and self.steps[-1].state is not StepState.COMPLETED
            self.state = ClusterState.WAITING
            self.ready = self.ready or now
            self.message = f"Cluster ready{' after last step failed' * last_failed}"

    def terminate(self, reason: Reason, message: str, now: datetime, error_code: str | None = None) -> None:
        """Begins the end; pending steps are cancelled, a running one is when it has stopped."""
        if self.is_ending:
            return
        self.state = ClusterState.TERMINATING
        self.reason, self.message, self.error_code = reason, message, error_code
        self._cancel_pending("Job terminated", now)

    def end(self, now: datetime) -> None:
        """Everything has stopped."""
        self.state = ClusterState.TERMINATED if self.reason in _GOOD else ClusterState.TERMINATED_WITH_ERRORS
        self.ended = now

    def lose(self, message: str, now: datetime) -> None:
        """Its server died or is at fault: what is open ends with an internal error, at once."""
        self.terminate(Reason.INTERNAL_ERROR, message, now, "INTERNAL_ERROR_LOCAL_EMR")
        for step in self.steps:
            if step.state is StepState.RUNNING:
                step.interrupt(message, now)
        self.end(now)

    def _cancel_pending(self, message: str, now: datetime) -> None:
        for step in self._pending():
            step.cancel(message, now)

    def _pending(self) -> Iterator[Step]:
        return (step for step in self.steps if step.state is StepState.PENDING)


@dataclass(frozen=True)
class Fate:
    """What a cluster meets that goes wrong on purpose."""

    delay: float = 0
    """Seconds before it starts."""
    end: tuple[Reason, str, str | None] | None = None
    """Why it does not start: reason, message, error code."""
    fail_step: bool = False
    """Its first step fails."""
    spot_after: float | None = None
    """Seconds of its first step until the spot market takes its machines back."""


FINE = Fate()


def to_json(cluster: Cluster) -> Json:
    """Everything, with times as ISO 8601."""
    return cast("Json", _plain(asdict(cluster)))


def from_json(data: Json) -> Cluster:
    """The reverse of `to_json`."""
    values = _known(Cluster, data)
    values["state"] = ClusterState(str(data["state"]))
    values["reason"] = Reason(str(data["reason"])) if data["reason"] else None
    values["steps"] = [_step_from_json(step) for step in cast("list[Json]", data["steps"])]
    return Cluster(**_times(values, "created", "ready", "ended"))  # type: ignore[arg-type]


def _step_from_json(data: Json) -> Step:
    values = _known(Step, data)
    values["state"] = StepState(str(data["state"]))
    failure = data["failure"]
    values["failure"] = Failure(**failure) if isinstance(failure, dict) else None
    return Step(**_times(values, "created", "started", "ended"))  # type: ignore[arg-type]


def _known(kind: type[Cluster] | type[Step], data: Json) -> Json:
    return {item.name: data[item.name] for item in fields(kind) if item.name in data}


def _times(values: Json, *names: str) -> Json:
    return values | {name: datetime.fromisoformat(str(values[name])) for name in names if values[name]}


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value

"""Faults on purpose: what goes wrong at the local EMR, how often, and with which seed.

A plan is a rate for each kind of fault. Whether the n-th call of an action about a cluster, or that cluster, meets one
follows from the seed and the cluster's name alone: what else runs at the same time has no say. Calls that are about no
single cluster, as lists are, are counted together for all callers. A test may also arm one exact fault at a server
that runs. Each injected fault is a line of the log.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sluicegate.local.aws.clusters import Cluster, Fate, Json, Reason
from sluicegate.local.aws.errors import EmrError, LostAnswerError
from sluicegate.local.aws.machines import machines_of, uses_fleets
from sluicegate.local.aws.model import operations
from sluicegate.local.aws.plan import BY_CALL, BY_CLUSTER, CHANGING, Fault, Plan
from sluicegate.local.aws.views import ZONE
from sluicegate.pipeline.diagnostics import did_you_mean

__all__ = ["Armed", "Chaos", "Weather"]

log = logging.getLogger(__name__)

READ_TIMEOUT = 90.0
"""Seconds for which an answer is held back; a client of botocore's waits for 60 by default."""
_SLOW = (10.0, 30.0)
_LAG = (5.0, 30.0)
_SPOT_AFTER = (1.0, 6.0)


@dataclass
class Armed:
    """An exact fault: at the next `times` calls of `action` once `skip` have passed, or at the next clusters."""

    fault: Fault
    action: str = "RunJobFlow"
    times: int = 1
    skip: int = 0
    seconds: float | None = None

    def as_json(self) -> Json:
        return {"fault": self.fault.value, "action": self.action, "times": self.times, "skip": self.skip}


@dataclass(frozen=True)
class Weather:
    """What a call meets, before and after it is carried out."""

    error: EmrError | None = None
    lost: Callable[[], None] = field(default=lambda: None)

    def before(self) -> None:
        if self.error:
            raise self.error

    def after(self) -> None:
        self.lost()


class Chaos:
    """A plan and what is armed, over the calls and clusters of one server."""

    def __init__(self, plan: Plan | None = None) -> None:
        self.plan = plan or Plan()
        self.injected: Counter[str] = Counter()
        self._armed: list[Armed] = []
        self._calls: Counter[tuple[str, str]] = Counter()
        """By action and the name of the cluster that it is about."""
        self._lag: dict[str, datetime] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def arm(self, fault: Fault | str, action: str = "RunJobFlow", times: int = 1, skip: int = 0,
            seconds: float | None = None) -> None:  # fmt: skip
        """Let one exact fault happen; `seconds` for those that last (slow start, lag, read timeout, spot loss).

        Raises ValueError where it could never happen.
        """
        armed = Armed(Fault(fault), action, times, skip, seconds)
        if times < 1 or skip < 0 or (seconds is not None and seconds < 0):
            raise ValueError(f"times={times}, skip={skip}, seconds={seconds}: expected 1 or more, none below 0.")
        if armed.fault in BY_CLUSTER and action != "RunJobFlow":
            raise ValueError(f"{fault} is a fault of a new cluster: expected RunJobFlow, not {action!r}.")
        if action not in operations():
            close = did_you_mean(action, operations())
            raise ValueError(f"EMR has no action {action!r}{f' (did you mean {close!r}?)' if close else ''}.")
        with self._lock:
            self._armed.append(armed)
        log.warning("chaos: armed %s of %s", fault, action)

    def disarm(self) -> None:
        with self._lock:
            self._armed.clear()

    def report(self) -> Json:
        with self._lock:
            armed = [each.as_json() for each in self._armed]
            return {"plan": str(self.plan), "injected": dict(self.injected), "armed": armed}

    def start(self) -> None:
        self._stopped.clear()

    def stop(self) -> None:
        """Lets go of the answers that are held back."""
        self._stopped.set()

    def on_call(self, action: str, about: str = "") -> Weather:
        """What this call meets; asked once for each. `about`: the name of the cluster, if it is about one."""
        drawn = self._draws(BY_CALL, action, about)
        if (found := drawn.get(Fault.THROTTLING)) is not None:
            self._say(Fault.THROTTLING, action)
            return Weather(error=EmrError("ThrottlingException", "Rate exceeded"))
        if drawn.get(Fault.SERVER_ERROR) is not None:
            self._say(Fault.SERVER_ERROR, action)
            return Weather(error=EmrError("InternalFailure", "An internal error has occurred", 500))
        if drawn.get(Fault.LOST_RESPONSE) is not None:
            return Weather(lost=lambda: self._lose(Fault.LOST_RESPONSE, action, 0))
        if (found := drawn.get(Fault.READ_TIMEOUT)) is not None:
            seconds = found.seconds or READ_TIMEOUT
            return Weather(lost=lambda: self._lose(Fault.READ_TIMEOUT, action, seconds))
        return Weather()

    def on_cluster(self, cluster: Cluster) -> Fate:
        """What this cluster meets; asked once, before it is listed."""
        drawn = self._draws(BY_CLUSTER, "RunJobFlow", cluster.name)
        number = self._calls["RunJobFlow", cluster.name]
        chance = random.Random(f"{self.plan.seed}/{cluster.name}/{number}")  # noqa: S311 (no secret)

        def lasts(fault: Fault, between: tuple[float, float]) -> float:
            self._say(fault, cluster.id)
            return drawn[fault].seconds or chance.uniform(*between)

        if Fault.LISTING_LAG in drawn:
            self._lag[cluster.id] = cluster.created + timedelta(seconds=lasts(Fault.LISTING_LAG, _LAG))
        delay = lasts(Fault.SLOW_START, _SLOW) if Fault.SLOW_START in drawn else 0
        if Fault.CAPACITY in drawn:
            self._say(Fault.CAPACITY, cluster.id)
            return Fate(delay=delay or 1, end=no_capacity(cluster))
        if Fault.STEP_FAILURE in drawn:
            self._say(Fault.STEP_FAILURE, cluster.id)
        has_spot = any(each.market == "SPOT" for each in machines_of(cluster))
        spot_after = lasts(Fault.SPOT_LOSS, _SPOT_AFTER) if has_spot and Fault.SPOT_LOSS in drawn else None
        return Fate(delay=delay, fail_step=Fault.STEP_FAILURE in drawn, spot_after=spot_after)

    def hides(self, cluster: Cluster) -> bool:
        """Whether ListClusters does not show it yet."""
        until = self._lag.get(cluster.id)
        return until is not None and datetime.now(UTC) < until

    # --- inside

    def _draws(self, kinds: frozenset[Fault], action: str, about: str) -> dict[Fault, Armed]:
        """The faults that happen now: armed ones first, then those of the plan."""
        with self._lock:
            if kinds is BY_CALL:
                self._calls[action, about] += 1
            found = {each.fault: each for each in self._taken(kinds, action)}
            number = self._calls[action, about]
        for kind in sorted(kinds):
            rate = self.plan.rates.get(kind, 0)
            fits = kind not in CHANGING or action in CHANGING[kind]
            chance = random.Random(f"{self.plan.seed}/{kind}/{action}/{about}/{number}")  # noqa: S311 (no secret)
            if rate and fits and chance.random() < rate:
                found.setdefault(kind, Armed(kind))
        return found

    def _taken(self, kinds: frozenset[Fault], action: str) -> list[Armed]:
        taken = []
        for each in [each for each in self._armed if each.fault in kinds and each.action == action]:
            if each.skip:
                each.skip -= 1
                continue
            each.times -= 1
            taken.append(each)
        self._armed = [each for each in self._armed if each.times > 0]
        return taken

    def _lose(self, fault: Fault, action: str, seconds: float) -> None:
        self._say(fault, action)
        self._stopped.wait(seconds)
        raise LostAnswerError(action)

    def _say(self, fault: Fault, what: str) -> None:
        with self._lock:
            self.injected[fault.value] += 1
            number = self.injected[fault.value]
        log.warning("chaos: %s of %s (number %d)", fault.value, what, number)


def no_capacity(cluster: Cluster) -> tuple[Reason, str, str | None]:
    """How a cluster ends for which EC2 has no machines: (reason, message, error code), as AWS documents them."""
    machines = machines_of(cluster)
    first = next((each for each in machines if each.role == "MASTER"), machines[0])
    if first.market == "SPOT":
        message = f"EC2 has no Spot capacity for the primary node of type {first.type} in {ZONE}."
        return Reason.INTERNAL_ERROR, message, "INTERNAL_ERROR_SPOT_NO_CAPACITY_PRIMARY"
    if uses_fleets(cluster) and any(each.market == "SPOT" for each in machines):
        return Reason.INSTANCE_FLEET_TIMEOUT, "Instance fleet timeout: the target Spot capacity was not reached.", None
    message = f"EC2 is out of capacity for the instance type {first.type} in {ZONE}."
    return Reason.INTERNAL_ERROR, message, "INTERNAL_ERROR_EC2_INSUFFICIENT_CAPACITY_AZ"

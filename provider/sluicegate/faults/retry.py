"""The retry policy that asks the catalogue: transient faults are tried again, all others fail at once.

Airflow calls it in the worker with whatever exception ended the task, also for operators that are not
ours. It cannot go beyond the task's `retries`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import RetryPolicy
from airflow.sdk.definitions.retry_policy import RetryDecision

from sluicegate.faults.catalogue import FaultClass
from sluicegate.faults.classify import classify
from sluicegate.faults.rules import own_rules

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["FaultRetryPolicy", "retry_delay"]

_LONGEST_ASKED = timedelta(hours=1)
"""A server may ask to wait for so long; beyond that the policy's own pauses will do."""


def retry_delay(attempt: int, *, delay: timedelta, max_delay: timedelta, share: float) -> timedelta:
    """The pause after the `attempt`-th failure (from 1): it doubles from `delay` up to `max_delay`.

    `share` (0 to 1) picks a place in the upper half of that pause, so that a thousand tasks which failed
    together do not come back together. Never shorter than `delay`, never longer than `max_delay`.
    """
    floor, ceiling = sorted((delay.total_seconds(), max_delay.total_seconds()))
    longest = min(ceiling, floor * 2.0 ** min(max(attempt, 1), 32))
    return timedelta(seconds=max(floor, longest / 2 + longest / 2 * share))


@dataclass(frozen=True)
class FaultRetryPolicy(RetryPolicy):
    """Retries transient faults with a growing pause, or with that which a server asked for if it is longer.

    Data and fatal faults fail with the reason.

    The rules of the task's DAG (`PipelineDAG.fault_rules`) come first. With `bugs` what a bug in code raises
    (CODE_BROKEN) is tried again too.
    """

    delay: timedelta = timedelta(seconds=30)
    max_delay: timedelta = timedelta(minutes=10)
    bugs: bool = False

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Context | None = None,
    ) -> RetryDecision:
        found = classify(exception, own_rules(context))
        reason = f"{found.code} ({found.fault.kind}): {found.fault.sentence}"
        if found.fault.kind is not FaultClass.TRANSIENT and not (self.bugs and found.code == "CODE_BROKEN"):
            return RetryDecision.fail(reason)
        attempt = _attempt(try_number, max_tries, context)
        share = random.random()  # noqa: S311 - jitter, no secret
        pause = retry_delay(attempt, delay=self.delay, max_delay=self.max_delay, share=share)
        pause = max(pause, _asked(found.facts.get("retry_after")))
        return RetryDecision.retry(delay=pause, reason=reason)

    def serialize(self) -> dict[str, Any]:
        numbers = {"delay": self.delay.total_seconds(), "max_delay": self.max_delay.total_seconds()}
        return {**numbers, "bugs": self.bugs}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> FaultRetryPolicy:
        return cls(timedelta(seconds=data["delay"]), timedelta(seconds=data["max_delay"]), data["bugs"])


def _asked(seconds: object) -> timedelta:
    """What the server itself asked for (`Retry-After`), within reason."""
    known = isinstance(seconds, int | float) and seconds > 0
    return min(timedelta(seconds=seconds), _LONGEST_ASKED) if known else timedelta()  # type: ignore[arg-type]


def _attempt(try_number: int, max_tries: int, context: Context | None) -> int:
    """Which failure this is since the task was last cleared: a clear keeps counting `try_number`."""
    task = context.get("task") if context else None
    retries = getattr(task, "retries", None)
    if not isinstance(retries, int):
        return try_number
    return max(1, try_number - max(0, max_tries - retries))

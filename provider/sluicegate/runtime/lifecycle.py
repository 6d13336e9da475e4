"""The life of a step's try: it begins, and ends in one way. What is kept of steps hooks in here, and nowhere else."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Protocol, cast

from airflow.sdk.definitions.retry_policy import RetryAction
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTerminated,
    AirflowTaskTimeout,
    DagRunTriggerException,
    DownstreamTasksSkipped,
    TaskAwaitingInput,
    TaskDeferred,
)

from sluicegate.faults.classify import classify
from sluicegate.faults.errors import FaultError
from sluicegate.faults.redact import redact
from sluicegate.faults.rules import own_rules
from sluicegate.runtime.journal import journal_from
from sluicegate.runtime.step import StepContext, StepResult

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context

__all__ = [
    "Deferred", "End", "Failed", "Interrupted", "Life", "Observer", "Skipped", "Succeeded", "living", "observers",
    "unbegun",
]  # fmt: skip

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Succeeded:
    """The step has done its work."""

    result: StepResult


@dataclass(frozen=True)
class Failed:
    """The try has failed; `will_retry`: Airflow tries once more by itself."""

    error: FaultError
    will_retry: bool


@dataclass(frozen=True)
class Deferred:
    """The try goes on elsewhere, in the triggerer mostly, and comes back."""


@dataclass(frozen=True)
class Skipped:
    """The step left itself out."""

    reason: str


@dataclass(frozen=True)
class Interrupted:
    """Somebody ended the try: a person's mark, a clear, a stop of the worker."""


End = Succeeded | Failed | Deferred | Skipped | Interrupted


@dataclass(frozen=True)
class Life:
    """One try of a step, or a part of one: what deferred comes back as another `Life` with `resumed`.

    `waited`: it comes back from an open circuit, and its work is still to begin.
    """

    task: BaseOperator
    context: Context
    step: StepContext
    resumed: bool = False
    waited: bool = False

    @cached_property
    def journal(self) -> str | None:
        """The Airflow connection of the database in which the pipeline keeps what its steps did."""
        return journal_from(self.context)


class Observer(Protocol):
    """Learns of every try of every step. What it raises is a warning in the log, but for a deferral in `began`."""

    def began(self, life: Life) -> None:
        """Before the work, also when it goes on after a deferral. Raises TaskDeferred to put the work off."""

    def ended(self, life: Life, end: End) -> None:
        """After the work, once; not where the process died."""


def observers() -> tuple[Observer, ...]:
    """In the order in which they learn of a beginning; of an end in the reverse one."""
    from sluicegate.runtime.circuit import CircuitGate
    from sluicegate.runtime.interrupt import InterruptObserver
    from sluicegate.runtime.receipt import ReceiptObserver
    from sluicegate.runtime.telemetry import TelemetryObserver

    return (InterruptObserver(), TelemetryObserver(), ReceiptObserver(), CircuitGate())


@contextmanager
def living(life: Life) -> Iterator[list[StepResult]]:
    """Around the work of a step: its observers learn how it begins and ends. A success is left in the list."""
    watching = observers()
    results: list[StepResult] = []
    try:
        for each in watching:
            _tell(partial(each.began, life))
        yield results
    except BaseException as raised:
        _end(watching, life, end_of(raised, life))
        raise
    _end(watching, life, Succeeded(results[-1] if results else StepResult()))


def unbegun(life: Life, error: FaultError) -> None:
    """End the life of a step that has failed before its work: in its templates."""
    _end(observers(), life, end_of(error, life))


def end_of(raised: BaseException, life: Life) -> End:
    """What an exception that leaves the work means."""
    match raised:
        case TaskDeferred() | TaskAwaitingInput() | AirflowRescheduleException():
            return Deferred()
        case AirflowSkipException():
            return Skipped(redact(str(raised)))
        case DownstreamTasksSkipped() | DagRunTriggerException():
            return Succeeded(StepResult())
        case AirflowTaskTerminated():
            return Interrupted()
        case Exception() | AirflowTaskTimeout() | SystemExit():  # Airflow tries after each of them again
            error = classify(raised, own_rules(cast("Mapping[str, object]", life.context)))
            return Failed(error, _will_retry(raised, life))
        case _:
            return Interrupted()


def _will_retry(raised: BaseException, life: Life) -> bool:
    """Whether Airflow will try again: as its task runner decides, by the task's policy and what is left of tries."""
    ti = life.context["ti"]
    server = getattr(ti, "_ti_context_from_server", None)
    if not getattr(server, "should_retry", False) or isinstance(raised, AirflowFailException | AirflowSensorTimeout):
        return False
    policy = life.task.retry_policy
    if policy is None:
        return True
    try:
        max_tries = int(getattr(server, "max_tries", 0) or 0)
        decision = policy.evaluate(raised, life.step.try_number, max_tries, life.context)
    except Exception:  # so does Airflow
        return True
    return decision.action is not RetryAction.FAIL


def _end(watching: tuple[Observer, ...], life: Life, end: End) -> None:
    for each in reversed(watching):
        try:
            _tell(partial(each.ended, life, end))
        except AirflowTaskTimeout:  # the work was done in time
            log.warning("What the step did was not all kept: its `timeout` was over meanwhile")


def _tell(call: Callable[[], None]) -> None:
    try:
        call()
    except Exception as unkept:
        log.warning("What the step did was not kept: %s", redact(f"{type(unkept).__name__}: {unkept}")[:300])

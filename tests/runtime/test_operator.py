"""What a step of ours does around its work: force that a recovery asked for, and the fault it leaves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, AirflowTaskTimeout

from sluicegate.faults import FaultError, fault
from sluicegate.graph.location import Location
from sluicegate.graph.window import Window
from sluicegate.runtime.marks import RECOVERY_KEY
from sluicegate.runtime.operator import StepOperator, as_step
from sluicegate.runtime.receipt import RECEIPT_XCOM_KEY
from sluicegate.runtime.step import StepContext, StepResult
from sluicegate.testing.step import StepInstance

DAY = Window(datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 2, tzinfo=UTC))


class Step(StepOperator):
    template_fields = ("source",)
    sources = ("source",)

    def __init__(self, *, source: Any = "", error: Exception | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.error = error

    def run(self, context: Any, step: StepContext) -> StepResult:
        if self.error is not None:
            raise self.error
        return StepResult(step.force)


def instance(**arguments: Any) -> StepInstance:
    with DAG("orders", schedule=None):
        return StepInstance(Step(task_id="load", **arguments), DAY)


def faults(step: StepInstance) -> dict[str, Any]:
    """The XComs of the step but for its receipt."""
    return {key: value for key, value in step.xcoms.items() if key != RECEIPT_XCOM_KEY}


def test_a_recovery_forces_a_step_until_it_has_succeeded() -> None:
    step = instance()
    assert step.execute() is False
    step.store[RECOVERY_KEY] = {"plan": "p", "force": True}
    assert step.execute() is True
    assert RECOVERY_KEY not in step.store
    assert step.execute() is False


def test_a_forced_step_that_fails_is_forced_when_it_is_tried_again() -> None:
    step = instance(error=fault("DISK_FULL"))
    step.store[RECOVERY_KEY] = {"plan": "p", "force": True}
    with pytest.raises(FaultError):
        step.execute()
    assert RECOVERY_KEY in step.store


def test_a_failed_step_leaves_what_its_fault_is_about() -> None:
    step = instance(source=Location("raw", "s3://landing/{{ ds }}.csv"), error=fault("SOURCE_MISSING"))
    with pytest.raises(FaultError):
        step.execute()
    assert faults(step) == {"sluicegate_fault:SOURCE_MISSING:orders.raw": {"code": "SOURCE_MISSING", "class": "data"}}


def test_a_template_that_cannot_be_rendered_leaves_its_fault_too() -> None:
    step = instance(source=Location("raw", "s3://landing/{{ nobody }}.csv"))
    with pytest.raises(FaultError):
        step.execute()
    assert list(faults(step)) == ["sluicegate_fault:WRONG_USE:"]


class Foreign(BaseOperator):
    """An operator that is not ours."""

    def __init__(self, *, errors: Iterator[BaseException | None], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.errors = errors

    def execute(self, context: Any) -> None:
        if (error := next(self.errors)) is not None:
            raise error


def foreign(*errors: BaseException | None) -> StepInstance:
    with DAG("orders", schedule=None):
        return StepInstance(as_step(Foreign)(task_id="shout", errors=iter(errors)), DAY)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "NETWORK"),
        (AirflowFailException("no such report"), "UNKNOWN"),
        (AirflowTaskTimeout("Timeout"), "TIMED_OUT"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_an_operator_that_is_not_ours_leaves_its_fault_until_it_has_succeeded(error: BaseException, code: str) -> None:
    step = foreign(error, None)
    with pytest.raises(type(error)):
        step.execute()
    assert (step.store["last_error"]["code"], list(faults(step))[-1]) == (code, f"sluicegate_fault:{code}:")
    step.try_number = 2
    step.execute()
    assert "last_error" not in step.store


def test_an_operator_that_is_not_ours_leaves_no_fault_of_a_skip() -> None:
    step = foreign(AirflowSkipException("nothing to do"))
    with pytest.raises(AirflowSkipException):
        step.execute()
    assert "last_error" not in step.store

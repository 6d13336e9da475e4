"""What a step of ours does around its work: force that a recovery asked for, and the fault it leaves."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk import DAG

from sluicegate.faults import FaultError, fault
from sluicegate.graph.location import Location
from sluicegate.graph.window import Window
from sluicegate.runtime.marks import RECOVERY_KEY
from sluicegate.runtime.operator import StepOperator
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

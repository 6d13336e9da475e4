"""Params that are secrets are hidden before a step runs, whatever fails in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from airflow.sdk import Context, Param

from sluicegate.faults import FaultError, fault
from sluicegate.graph.window import Window
from sluicegate.runtime.dag import PipelineDAG
from sluicegate.runtime.operator import StepOperator
from sluicegate.runtime.step import StepContext, StepResult
from sluicegate.testing.step import StepInstance

DAY = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))


class Leaking(StepOperator):
    def run(self, context: Context, step: StepContext) -> StepResult:
        raise fault("SOURCE_REJECTED", " ".join(f"no {value}" for value in step.params.values()))


@pytest.mark.parametrize(
    ("name", "schema", "is_kept"),
    [
        ("pin", {"type": "string", "format": "password"}, False),
        ("pin", {"type": "string", "writeOnly": True}, False),
        ("api_token", {"type": "string"}, False),
        ("carrier", {"type": "string"}, True),
    ],
)
def test_a_secret_param_is_not_kept_of_a_failure(
    name: str, schema: dict[str, object], is_kept: bool, caplog: pytest.LogCaptureFixture
) -> None:
    value = f"canary-{name}-{len(schema)}-{'writeOnly' in schema}"  # what is hidden stays hidden in this process
    with PipelineDAG("orders", schedule=None, params={name: Param(value, schema=schema)}):
        instance = StepInstance(Leaking(task_id="do"), DAY, params={name: value})
    with pytest.raises(FaultError):
        instance.execute()
    assert (value in json.dumps([instance.store, instance.xcoms])) is is_kept
    assert (value in caplog.text) is is_kept

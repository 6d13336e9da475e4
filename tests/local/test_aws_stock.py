"""The Airflow provider's own EMR operators, sensors and waiters against the local EMR."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from airflow.providers.amazon.aws.hooks.emr import EmrHook
from airflow.providers.amazon.aws.operators.emr import (
    EmrAddStepsOperator,
    EmrCreateJobFlowOperator,
    EmrModifyClusterOperator,
    EmrTerminateJobFlowOperator,
)
from airflow.providers.amazon.aws.sensors.emr import EmrJobFlowSensor, EmrStepSensor
from airflow.sdk.exceptions import AirflowException

from sluicegate.local.aws import LocalAws
from tests.local.contract import held_to_the_model
from tests.local.test_aws_emr import ASKED, ended, script, shell

KEPT = ASKED | {"Instances": ASKED["Instances"] | {"KeepJobFlowAliveWhenNoSteps": True}}
SOON: dict[str, Any] = {"waiter_delay": 1, "waiter_max_attempts": 30}


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalAws]:
    with LocalAws(tmp_path / "s3", builder=shell, buckets=["logs"], access_key="KEY", secret_key="SECRET") as server:
        extra = {"endpoint_url": server.endpoint_url, "region_name": "us-east-1"}
        known = {"conn_type": "aws", "login": "KEY", "password": "SECRET", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(known))
        yield server


def run(operator: Any) -> Any:
    held_to_the_model(operator.hook.conn)
    return operator.execute({"ti": MagicMock(), "task_instance": MagicMock()})


def test_the_stock_operators_create_use_and_end_a_cluster(aws: LocalAws) -> None:
    create = EmrCreateJobFlowOperator(task_id="create", job_flow_overrides=KEPT, emr_conn_id=None, **SOON)
    cluster = run(create)
    EmrHook().get_waiter("job_flow_waiting").wait(ClusterId=cluster, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    assert EmrHook().get_cluster_id_by_name("c", ["WAITING"]) == cluster

    good = EmrAddStepsOperator(
        task_id="good", job_flow_id=cluster, steps=[script("true")], wait_for_completion=True, **SOON
    )
    (step,) = run(good)
    assert EmrStepSensor(task_id="step", job_flow_id=cluster, step_id=step).poke({})
    failing = [script("exit 1", "CONTINUE")]
    bad = EmrAddStepsOperator(task_id="bad", job_flow_id=cluster, steps=failing, wait_for_completion=True, **SOON)
    with pytest.raises(AirflowException):
        run(bad)

    modify = EmrModifyClusterOperator(task_id="modify", cluster_id=cluster, step_concurrency_level=2)
    assert run(modify) == 2
    assert not EmrJobFlowSensor(task_id="live", job_flow_id=cluster).poke({})
    run(EmrTerminateJobFlowOperator(task_id="end", job_flow_id=cluster))
    client = held_to_the_model(EmrHook().conn)
    assert ended(client, cluster)["Status"]["StateChangeReason"]["Code"] == "USER_REQUEST"
    assert EmrJobFlowSensor(task_id="over", job_flow_id=cluster).poke({})

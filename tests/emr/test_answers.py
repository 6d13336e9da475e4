"""What EMR answers of a cluster that did not do its work, and the fault that it is.

The answers in `answers.json` have the shapes of botocore's model; codes and words are those that AWS documents and that
others have published. None was recorded here: AWS was never reached.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.parsers import create_parser

from sluicegate.emr.client import EmrClient
from sluicegate.emr.verdict import verdict
from sluicegate.faults import CATALOGUE, FaultClass
from sluicegate.faults.emr_codes import BY_ERROR_CODE, BY_STATE_REASON
from sluicegate.faults.spark_log import SIGNALS

CASES = json.loads(Path(__file__).with_name("answers.json").read_text(encoding="utf-8"))
MODEL = botocore.session.get_session().get_service_model("emr")
HOUR = timedelta(hours=1)

CLASSES = {
    FaultClass.TRANSIENT: {
        *("CLUSTER_CAPACITY", "CLUSTER_SPOT_LOST", "CLUSTER_QUOTA", "CLUSTER_LOST", "CLUSTER_BOOTSTRAP_UNREAD"),
        *("CLUSTER_METASTORE_UNREACHED", "SPARK_STEP_FAILED", "SPARK_MACHINES_LOST", "AWS_THROTTLED"),
    },
    FaultClass.DATA: {"SOURCE_MISSING"},
    FaultClass.FATAL: {
        *("CLUSTER_INVALID", "CLUSTER_DENIED", "CLUSTER_BOOTSTRAP_FAILED", "CLUSTER_DISK_FULL"),
        *("CLUSTER_TERMINATED_OUTSIDE", "CLUSTER_STEP_CANCELLED", "CLUSTER_DEADLINE", "SPARK_CODE_BROKEN"),
        *("SPARK_MODULE_MISSING", "SPARK_DENIED", "SPARK_OUTPUT_EXISTS", "SPARK_OUT_OF_MEMORY", "SPARK_DISK_FULL"),
        "AWS_NOT_FOUND",
    },
}


class Answers:
    """A boto3 client that knows one cluster: what botocore makes of the answers."""

    def __init__(self, case: dict[str, Any]) -> None:
        self._case = case

    def client(self, service: str, *, attempts: int) -> Answers:
        return self

    def describe_cluster(self, **_: str) -> Any:
        return self._parsed("DescribeCluster", "describe_cluster")

    def get_paginator(self, operation: str) -> Answers:
        assert operation == "list_steps"
        return self

    def paginate(self, **_: str) -> list[Any]:
        return [self._parsed("ListSteps", "list_steps")]

    def _parsed(self, operation: str, name: str) -> Any:
        response = {"body": json.dumps(self._case[name]).encode(), "headers": {}, "status_code": 200}
        return create_parser("json").parse(response, MODEL.operation_model(operation).output_shape)


def unknown(value: Any, shape: Any, path: str) -> Iterator[str]:
    """What the model does not have of `value`: members, and values that are not in an enumeration."""
    if shape.type_name == "structure":
        for key, item in value.items():
            if key in shape.members:
                yield from unknown(item, shape.members[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    elif shape.type_name == "list":
        for item in value:
            yield from unknown(item, shape.member, f"{path}[]")
    elif shape.type_name == "map":
        for item in value.values():
            yield from unknown(item, shape.value, f"{path}{{}}")
    elif shape.type_name == "string":
        if not isinstance(value, str) or (getattr(shape, "enum", None) and value not in shape.enum):
            yield f"{path}: {value!r}"
    elif not isinstance(value, int | float):
        yield f"{path}: {value!r} is not a {shape.type_name}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_an_answer_has_the_shape_of_botocores_model(case: dict[str, Any]) -> None:
    for name, operation in (("describe_cluster", "DescribeCluster"), ("list_steps", "ListSteps")):
        assert list(unknown(case[name], MODEL.operation_model(operation).output_shape, name)) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_an_answer_is_one_fault_with_one_sentence(case: dict[str, Any]) -> None:
    client: Any = EmrClient(Answers(case))  # type: ignore[arg-type]
    log = case.get("log", {})
    found = verdict(
        client.describe("j-2AXXXXXXGAPLF"),
        client.steps("j-2AXXXXXXGAPLF"),
        max_runtime=HOUR,
        log_tail=log.get("text", ""),
        exit_status=log.get("exit_status"),
    )
    assert found is not None
    assert (found.code, found.detail) == (case["fault"], case["detail"])
    assert found.code in CLASSES[found.fault.kind]
    assert "spark" in found.fault.raised_by


def test_every_code_of_aws_has_a_case() -> None:
    documented = {case["name"] for case in CASES}
    assert set(BY_ERROR_CODE) <= documented
    reasons = MODEL.shape_for("ClusterStateChangeReason").members["Code"].enum
    assert set(BY_STATE_REASON) == set(reasons)
    shown = {case["describe_cluster"]["Cluster"]["Status"]["StateChangeReason"]["Code"] for case in CASES}
    assert shown == set(reasons)


def test_every_fault_of_a_cluster_has_a_case() -> None:
    ours = {code for code, one in CATALOGUE.items() if one.raised_by == {"spark"}} | {code for _, code in SIGNALS}
    assert {case["fault"] for case in CASES} >= ours


def test_what_aws_adds_to_a_code_is_kept() -> None:
    [case] = [case for case in CASES if case["name"] == "INTERNAL_ERROR_EC2_INSUFFICIENT_CAPACITY_AZ"]
    client: Any = EmrClient(Answers(case))  # type: ignore[arg-type]
    found = verdict(client.describe("j-2AXXXXXXGAPLF"), client.steps("j-2AXXXXXXGAPLF"), max_runtime=HOUR)
    assert found is not None
    data: Any = found.facts["error_data"]
    assert (data["instance-type"], data["availability-zone"]) == ("m7g.xlarge", "eu-central-1a")

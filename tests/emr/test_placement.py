"""A cluster that AWS has no machines for goes on at the next subnet, then with the next machines."""

from __future__ import annotations

from typing import Any

import pytest

from sluicegate.emr.placement import Placement, placements
from sluicegate.faults import TransientFault
from sluicegate.pipeline.keys.cluster import Cluster

GROUPS = [{"primary": "m7g.xlarge"}, {"primary": "m6g.xlarge"}]
SUBNETS = ["subnet-1", "subnet-2"]


def places(**cluster: Any) -> tuple[Placement, ...]:
    return placements(Cluster.model_validate({"release": "emr-7.13.0"} | cluster))


def test_groups_try_each_subnet_with_each_of_their_machines() -> None:
    assert places(instances=GROUPS, subnets=SUBNETS) == (
        Placement(("subnet-1",), 0), Placement(("subnet-2",), 0),
        Placement(("subnet-1",), 1), Placement(("subnet-2",), 1),
    )  # fmt: skip
    assert places(instances=GROUPS[0]) == (Placement(),)


def test_fleets_leave_the_subnet_to_emr() -> None:
    both = ("subnet-1", "subnet-2")
    fleets = [{"primary": "m"}, {"primary": "n"}]
    assert places(fleets=fleets, subnets=SUBNETS) == (Placement(both, 0, True), Placement(both, 1, True))
    passed = {"Instances": {"InstanceFleets": []}}
    assert places(run_job_flow=passed, subnets=SUBNETS) == (Placement(both, 0, True),)


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("VALIDATION_ERROR", "INTERNAL_ERROR_EC2_INSUFFICIENT_CAPACITY_AZ"),
        ("INTERNAL_ERROR", "INTERNAL_ERROR_SPOT_NO_CAPACITY_PRIMARY"),
    ],
)
def test_the_same_try_goes_from_place_to_place_and_fails_after_the_last(
    aws: Any, make_task: Any, fired: Any, caplog: pytest.LogCaptureFixture, reason: str, error: str
) -> None:
    asked: list[dict[str, Any]] = []
    run_job_flow = aws._RunJobFlow
    aws._RunJobFlow = lambda body: asked.append(body["Instances"]) or run_job_flow(body)
    task = make_task(cluster={"release": "emr-7.13.0", "instances": GROUPS, "subnets": SUBNETS})
    deferred = task.execute()
    for number in range(1, 4):
        aws.end(f"j-{number:04d}", "TERMINATED_WITH_ERRORS", reason, "no machines", error)
        deferred = task.resume(deferred, fired(deferred))
    where = [(each["Ec2SubnetId"], each["InstanceGroups"][0]["InstanceType"]) for each in asked]
    assert where == [
        ("subnet-1", "m7g.xlarge"), ("subnet-2", "m7g.xlarge"), ("subnet-1", "m6g.xlarge"), ("subnet-2", "m6g.xlarge"),
    ]  # fmt: skip
    assert "going on at placement 4 of 4" in caplog.text
    aws.end("j-0004", "TERMINATED_WITH_ERRORS", reason, "no machines", error)
    with pytest.raises(TransientFault, match="CLUSTER_CAPACITY"):
        task.resume(deferred, fired(deferred))


def test_machines_that_the_spot_market_takes_back_are_a_reason_to_go_on_too(
    aws: Any, make_task: Any, fired: Any
) -> None:
    task = make_task(cluster={"release": "emr-7.13.0", "instances": GROUPS[0], "subnets": SUBNETS})
    deferred = task.execute()
    aws.end("j-0001", "TERMINATED_WITH_ERRORS", "INSTANCE_FAILURE", "Core nodes terminated due to spot interruption")
    task.resume(deferred, fired(deferred))
    assert list(aws.clusters) == ["j-0001", "j-0002"]

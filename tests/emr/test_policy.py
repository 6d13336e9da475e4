"""The policy allows each call that Sluicegate makes for clusters, and nothing that it does not make."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import Any

import pytest
from botocore.client import BaseClient

from sluicegate.doctor.policy import CALLS, Places, policy
from sluicegate.emr.client import EmrClient
from sluicegate.emr.connection import Aws
from sluicegate.emr.names import ANY_INSTALLATION, RunKey
from sluicegate.emr.orphans import TaskState
from sluicegate.emr.sweep import Sweep
from sluicegate.faults import FaultError
from sluicegate.pipeline.keys.cluster import Cluster
from tests.doctor.test_aws import Account, Wanted
from tests.doctor.test_aws import account as look_at

Made = set[tuple[str, str]]
CHANGING = {
    f"elasticmapreduce:{name}" for name in ("RunJobFlow", "AddTags", "TerminateJobFlows", "SetTerminationProtection")
} | {"iam:PassRole"}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    """The calls that boto3 was asked for: service and operation."""
    found: Made = set()
    call = BaseClient._make_api_call

    def noted(client: Any, operation: str, parameters: Any) -> Any:
        found.add((client.meta.service_model.service_name, operation))
        return call(client, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", noted)
    return found


class AllOver:
    def states(self, keys: Collection[RunKey]) -> Mapping[RunKey, TaskState]:
        return {key: TaskState("success") for key in keys}


def test_the_calls_of_a_step_and_of_the_janitor_are_those_of_the_table(
    aws: Any, make_task: Callable[..., Any], fired: Any, made: Made
) -> None:
    by_input = [{"from": 0, "core": 1}, {"from": "1GB", "core": 2}]
    groups = {"primary": "m7g.xlarge", "core": "m7g.xlarge"}
    cluster = {"release": "emr-7.13.0", "instances": groups, "by_input": by_input, "log_uri": "s3://logs/emr/"}
    task = make_task(cluster=cluster, reads={"flights": "s3://lake/flights/"}, log_wait=timedelta(0))
    aws.s3.put("s3://lake/flights/a.csv", "1")
    deferred = task.execute()
    (cluster_id,) = aws.live()
    aws.fail_step(cluster_id, stderr="Application application_1_1 failed 2 times")
    with pytest.raises(FaultError):
        task.resume(deferred, fired(deferred))
    task.clear()
    (cluster_id,) = aws.live()
    aws.clusters[cluster_id]["Protected"] = True
    Sweep(EmrClient(Aws("aws_default")), AllOver(), "sluicegate-testing", grace=-timedelta(hours=1)).end(
        Sweep(EmrClient(Aws("aws_default")), AllOver(), "sluicegate-testing", grace=-timedelta(hours=1)).look()
    )
    assert not aws.live()
    assert made == {(call.service, call.operation) for call in CALLS if not call.doctor}


def test_the_calls_of_the_doctor_are_those_of_the_table(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    from moto import mock_aws

    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    shape = {"release": "emr-7.13.0", "instances": {"primary": "m5.xlarge"}}
    clusters = [Cluster.model_validate(shape | more) for more in (
        {}, {"subnets": ["subnet-1"], "security_configuration": "x"},
    )]  # fmt: skip
    with mock_aws():
        account = Account()
        account.client("s3", attempts=1).create_bucket(
            Bucket="code", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        made.clear()
        list(look_at(account, Wanted(clusters, {"s3://code/": "artifacts"})))
    made.add(("iam", "SimulatePrincipalPolicy"))  # moto has none: the test's own answers
    also_by_steps = {(call.service, call.operation) for call in CALLS if not call.doctor}
    assert made - also_by_steps == {(call.service, call.operation) for call in CALLS if call.doctor} - also_by_steps


def test_every_action_of_the_table_is_in_the_policy() -> None:
    cluster = Cluster.model_validate({"release": "emr-7.13.0", "instances": {"primary": "m5.xlarge"}})
    places = Places("prod", [cluster], frozenset({"s3://code/"}), frozenset({"s3://logs/"}), frozenset({"lake"}))
    allowed = {action for one in policy(places)["Statement"] for action in one["Action"]}
    assert allowed == {call.action for call in CALLS} | {"iam:PassRole"}
    own = {action for one in policy(places, doctor=False)["Statement"] for action in one["Action"]}
    assert own == {call.action for call in CALLS if not call.doctor} | {"iam:PassRole"}
    for one in policy(places)["Statement"]:
        for action in one["Action"]:
            assert action not in CHANGING or "Condition" in one, action


def test_an_instance_profile_is_passed_as_its_role() -> None:
    profile = "arn:aws:iam::123456789012:instance-profile/data"
    shape = {"release": "emr-7.13.0", "instances": {"primary": "m5.xlarge"}, "job_flow_role": profile}
    places = Places("prod", [Cluster.model_validate(shape)], frozenset(), frozenset())
    [passed] = [one for one in policy(places)["Statement"] if one["Sid"] == "PassMachineRole"]
    assert passed["Resource"] == ["arn:aws:iam::123456789012:role/data"]


@pytest.mark.parametrize(("name", "condition"), [("prod", "StringEquals"), (ANY_INSTALLATION, "StringLike")])
def test_clusters_are_started_and_ended_by_the_tag_of_the_deployment(name: str, condition: str) -> None:
    found = {one["Sid"]: one for one in policy(Places(name, (), frozenset(), frozenset()))["Statement"]}
    for statement, key in (("StartClusters", "RequestTag"), ("EndClusters", "ResourceTag")):
        said = {condition: {f"elasticmapreduce:{key}/sluicegate:deployment": name}}
        assert found[statement]["Condition"] == said

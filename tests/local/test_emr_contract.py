"""The local EMR as a contract: what AWS refuses is refused, answers have EMR's shapes. No server, no process."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from sluicegate.local.aws.chaos import Chaos
from sluicegate.local.aws.clusters import Cluster, Failure, Step
from sluicegate.local.aws.emr import EmrApi
from sluicegate.local.aws.fleet import Fleet
from sluicegate.local.aws.model import operations, violations
from sluicegate.local.aws.step_runner import Cancellation
from tests.local.test_aws_emr import ASKED, script, wait_for

GROUPS = [
    {"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1, "Name": "primary"},
    {"InstanceRole": "CORE", "InstanceType": "m5.2xlarge", "InstanceCount": 2},
    {"InstanceRole": "TASK", "InstanceType": "m5.large", "InstanceCount": 3, "Market": "SPOT"},
]
FLEETS = [
    {
        "InstanceFleetType": "MASTER",
        "TargetOnDemandCapacity": 1,
        "InstanceTypeConfigs": [{"InstanceType": "m5.xlarge"}],
    },
    {
        "InstanceFleetType": "CORE",
        "TargetSpotCapacity": 8,
        "InstanceTypeConfigs": [{"InstanceType": "r5.xlarge", "WeightedCapacity": 4}, {"InstanceType": "r5.2xlarge"}],
        "LaunchSpecifications": {
            "SpotSpecification": {
                "TimeoutDurationMinutes": 20,
                "TimeoutAction": "TERMINATE_CLUSTER",
                "AllocationStrategy": "price-capacity-optimized",
            }
        },
    },
]


class Player:
    """A runner whose steps last until they are told to end, or are cancelled."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()

    def prepare(self, cluster: Cluster) -> None:
        """Nothing to prepare."""

    def run(self, cluster: Cluster, step: Step, cancellation: Cancellation, fails: bool = False) -> Failure | None:
        if fails:
            return Failure("Unknown Error.", "on purpose", "s3://logs/stderr.gz")
        cancellation.on_request(self.goes_on.set)
        self.goes_on.wait(180)
        return Failure("Unknown Error.", "stopped") if cancellation.requested else None


class Emr:
    """The API, with each answer held to its shape."""

    def __init__(self, state: Path) -> None:
        self.player = Player()
        self.chaos = Chaos()
        self.fleet = Fleet(self.player, state, slots=9)
        self._api = EmrApi(self.fleet, self.chaos)

    def ask(self, action: str, **asked: Any) -> tuple[int, dict[str, Any]]:
        headers = {"X-Amz-Target": f"ElasticMapReduce.{action}"}
        environ = EnvironBuilder(method="POST", headers=headers, data=json.dumps(asked)).get_environ()
        response = self._api.respond(Request(environ))
        body = json.loads(response.get_data())
        if response.status_code == 200 and (shape := operations()[action].output_shape):
            assert list(violations(shape, body, strict=True)) == []
        return response.status_code, body

    def answer(self, action: str, **asked: Any) -> dict[str, Any]:
        status, body = self.ask(action, **asked)
        assert status == 200, body
        return body

    def refusal(self, action: str, **asked: Any) -> str:
        status, body = self.ask(action, **asked)
        assert status == 400, body
        return f"{body['__type']}: {body['message']}"

    def start(self, **more: Any) -> str:
        return str(self.answer("RunJobFlow", **{**ASKED, **more})["JobFlowId"])

    def status(self, cluster: str) -> dict[str, Any]:
        found: dict[str, Any] = self.answer("DescribeCluster", ClusterId=cluster)["Cluster"]["Status"]
        return found

    def wait(self, cluster: str, state: str) -> dict[str, Any]:
        wait_for(lambda: self.status(cluster)["State"] == state)
        return self.status(cluster)

    def steps(self, cluster: str) -> list[dict[str, Any]]:
        return [step["Status"] for step in reversed(self.answer("ListSteps", ClusterId=cluster)["Steps"])]


@pytest.fixture
def emr(tmp_path: Path) -> Iterator[Emr]:
    made = Emr(tmp_path / "state")
    yield made
    made.player.goes_on.set()
    made.fleet.close()


def instances(**more: Any) -> dict[str, Any]:
    return {"Instances": more}


def without(name: str) -> dict[str, Any]:
    return {name: None}


def many(step: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    return [step | {"HadoopJarStep": step["HadoopJarStep"] | more}]


STEP = script("true")
WRONG_REQUESTS: list[tuple[dict[str, Any], str]] = [
    (
        without("Name"),
        "1 validation error detected: Value null at 'name' failed to satisfy constraint: Member must not",
    ),
    ({"Name": "n" * 257}, "at 'name' failed to satisfy constraint: Member must have length less than or equal to 256"),
    ({"Name": "\x00"}, "Member must satisfy regular expression pattern"),
    (without("Instances"), "Value null at 'instances'"),
    (without("ServiceRole"), "ServiceRole is required for creating cluster."),
    (without("JobFlowRole"), "InstanceProfile is required for creating cluster."),
    (without("ReleaseLabel"), "A release label is required"),
    ({"ReleaseLabel": "7.13"}, "The supplied release label is invalid: 7.13"),
    ({"ReleaseLabel": "emr-7.13"}, "The supplied release label is invalid: emr-7.13"),
    ({"LogUri": "/logs"}, "The log URI must be a location in Amazon S3"),
    ({"Steps": [STEP] * 257}, "A maximum of 256 steps are allowed in each job flow."),
    ({"Steps": many(STEP, Args=["x" * 10_300])}, "at 'steps.1.member.hadoopJarStep.args.1.member' failed"),
    ({"Steps": many(STEP, Args=["x" * 6_000] * 2)}, "cannot exceed a total of 10240 characters"),
    ({"Steps": [STEP | {"ActionOnFailure": "EXPLODE"}]}, "Member must satisfy enum value set: [TERMINATE_JOB_FLOW"),
    ({"Steps": [{"Name": "no jar"}]}, "Value null at 'steps.1.member.hadoopJarStep'"),
    ({"Tags": [{"Key": f"k{n}"} for n in range(51)]}, "50 tags at most"),
    ({"Tags": [{"Key": "k" * 129}]}, "1 to 128 characters"),
    ({"Tags": [{"Key": "k", "Value": "v" * 257}]}, "256 characters at most"),
    ({"Tags": [{"Key": "aws:k"}]}, "reserved"),
    ({"Tags": [{"Key": "k"}, {"Key": "k"}]}, "given 2 times"),
    ({"AutoTerminationPolicy": {"IdleTimeout": 59}}, "between 60 and 604800"),
    ({"StepConcurrencyLevel": 257}, "between 1 and 256"),
    (instances(), "A cluster needs instance groups"),
    (instances(InstanceGroups=GROUPS, InstanceFleets=FLEETS), "mutually exclusive"),
    (instances(InstanceGroups=GROUPS, InstanceCount=3), "exclude instance groups"),
    (instances(InstanceGroups=GROUPS[1:]), "exactly one MASTER instance group, not 0"),
    (instances(InstanceGroups=[*GROUPS, GROUPS[1]]), "one CORE instance group at most"),
    (instances(InstanceGroups=[GROUPS[0] | {"InstanceCount": 2}]), "1 or 3 instances"),
    (instances(InstanceGroups=[GROUPS[0] | {"Market": "CHEAP"}]), "enum value set: [ON_DEMAND, SPOT]"),
    (instances(InstanceFleets=FLEETS[1:]), "exactly one MASTER fleet"),
    (instances(InstanceFleets=[FLEETS[0] | {"TargetSpotCapacity": 1}]), "one of TargetSpotCapacity and"),
    (instances(InstanceGroups=GROUPS, Ec2SubnetIds=["subnet-1", "subnet-2"]), "Several subnets"),
    (instances(InstanceFleets=FLEETS, Ec2SubnetId="subnet-1", Ec2SubnetIds=["subnet-2"]), "Only one of Ec2SubnetId"),
    (instances(InstanceGroups=GROUPS, EmrManagedMasterSecurityGroup="sg-1"), "must both be specified"),
]


@pytest.mark.parametrize(("wrong", "says"), WRONG_REQUESTS)
def test_what_aws_refuses_is_refused(emr: Emr, wrong: dict[str, Any], says: str) -> None:
    said = emr.refusal("RunJobFlow", **{**ASKED, **wrong})
    assert said.startswith("ValidationException: ")
    assert says in said
    assert emr.answer("ListClusters")["Clusters"] == []


def test_a_value_of_another_type_cannot_be_read(emr: Emr) -> None:
    assert emr.refusal("RunJobFlow", Name=1, Instances={}).startswith("SerializationException: name: int found")
    assert emr.refusal("DescribeEverything").startswith("UnknownOperationException")
    assert emr.ask("DescribeStudio", StudioId="x")[0] == 501


def test_the_newer_actions_refuse_by_another_code(emr: Emr) -> None:
    cluster = emr.start(Instances={"InstanceGroups": GROUPS, "KeepJobFlowAliveWhenNoSteps": True})
    for action, asked, says in (
        ("DescribeCluster", {"ClusterId": "j-NONE"}, "Cluster id 'j-NONE' is not valid."),
        ("DescribeStep", {"ClusterId": cluster, "StepId": "s-NONE"}, "Step id 's-NONE' is not valid."),
        ("ListClusters", {"Marker": "j-NONE"}, "Marker 'j-NONE' is not valid."),
        ("ListSteps", {"ClusterId": cluster, "StepIds": ["s-1"] * 11}, "The maximum number of step ids allowed is 10"),
        ("ListInstanceFleets", {"ClusterId": cluster}, "does not support clusters that use instance groups"),
        ("AddTags", {"ResourceId": cluster, "Tags": [{"Key": "aws:x"}]}, "reserved"),
        ("AddTags", {"ResourceId": cluster, "Tags": [{"Key": f"k{n}"} for n in range(50)]}, "50 tags at most"),
    ):
        assert emr.refusal(action, **asked).startswith("InvalidRequestException: ")
        assert says in emr.refusal(action, **asked)
    assert emr.refusal("TerminateJobFlows", JobFlowIds=[cluster] * 11).startswith("ValidationException")
    assert emr.refusal("ListClusters", ClusterStates=["GONE"]).startswith("ValidationException: 1 validation error")


def test_a_cluster_shows_what_was_asked_for(emr: Emr) -> None:
    extra = {
        "Instances": {
            "InstanceGroups": GROUPS,
            "KeepJobFlowAliveWhenNoSteps": True,
            "Ec2SubnetId": "subnet-1",
            "Ec2KeyName": "key",
        },
        "BootstrapActions": [{"Name": "b", "ScriptBootstrapAction": {"Path": "s3://code/b.sh", "Args": ["1"]}}],
        "EbsRootVolumeSize": 40,
        "ScaleDownBehavior": "TERMINATE_AT_TASK_COMPLETION",
        "SecurityConfiguration": "sealed",
    }
    cluster = emr.start(**extra)
    emr.wait(cluster, "WAITING")
    shown = emr.answer("DescribeCluster", ClusterId=cluster)["Cluster"]
    assert shown["InstanceCollectionType"] == "INSTANCE_GROUP"
    assert shown["LogUri"] == "s3n://logs/emr/"  # as AWS shows it
    assert shown["AutoTerminate"] is False
    assert shown["NormalizedInstanceHours"] == 8 + 2 * 16 + 3 * 4
    attributes = shown["Ec2InstanceAttributes"]
    assert (attributes["Ec2SubnetId"], attributes["Ec2KeyName"]) == ("subnet-1", "key")
    assert attributes["IamInstanceProfile"] == "EMR_EC2_DefaultRole"
    for name in ("EbsRootVolumeSize", "ScaleDownBehavior", "SecurityConfiguration", "ServiceRole", "ReleaseLabel"):
        assert shown[name] == (extra | ASKED)[name]
    (action,) = emr.answer("ListBootstrapActions", ClusterId=cluster)["BootstrapActions"]
    assert action == {"Name": "b", "ScriptPath": "s3://code/b.sh", "Args": ["1"]}


def test_groups_and_their_instances_are_listed(emr: Emr) -> None:
    cluster = emr.start(Instances={"InstanceGroups": GROUPS, "KeepJobFlowAliveWhenNoSteps": True})
    emr.wait(cluster, "WAITING")
    groups = emr.answer("ListInstanceGroups", ClusterId=cluster)["InstanceGroups"]
    assert [group["InstanceGroupType"] for group in groups] == ["MASTER", "CORE", "TASK"]
    assert [group["Market"] for group in groups] == ["ON_DEMAND", "ON_DEMAND", "SPOT"]
    assert {group["Status"]["State"] for group in groups} == {"RUNNING"}
    tasks = emr.answer("ListInstances", ClusterId=cluster, InstanceGroupTypes=["TASK"])["Instances"]
    assert [task["InstanceGroupId"] for task in tasks] == [groups[2]["Id"]] * 3
    assert len(emr.answer("ListInstances", ClusterId=cluster)["Instances"]) == 6
    emr.answer("TerminateJobFlows", JobFlowIds=[cluster])
    emr.wait(cluster, "TERMINATED")
    assert emr.answer("ListInstances", ClusterId=cluster, InstanceStates=["RUNNING"])["Instances"] == []


def test_fleets_are_listed_with_their_capacity(emr: Emr) -> None:
    cluster = emr.start(Instances={"InstanceFleets": FLEETS, "Ec2SubnetIds": ["subnet-1", "subnet-2"],
                                   "KeepJobFlowAliveWhenNoSteps": True})  # fmt: skip
    emr.wait(cluster, "WAITING")
    shown = emr.answer("DescribeCluster", ClusterId=cluster)["Cluster"]
    assert shown["InstanceCollectionType"] == "INSTANCE_FLEET"
    assert shown["Ec2InstanceAttributes"]["RequestedEc2SubnetIds"] == ["subnet-1", "subnet-2"]
    _, core = emr.answer("ListInstanceFleets", ClusterId=cluster)["InstanceFleets"]
    assert (core["TargetSpotCapacity"], core["ProvisionedSpotCapacity"]) == (8, 8)
    assert core["InstanceTypeSpecifications"][0]["WeightedCapacity"] == 4
    listed = emr.answer("ListInstances", ClusterId=cluster, InstanceFleetType="CORE")["Instances"]
    assert len(listed) == 2
    said = emr.refusal("ListInstanceGroups", ClusterId=cluster)
    assert "The ListInstanceGroups operation does not support clusters that use instance fleets" in said


def test_settings_of_a_cluster_are_changed_and_shown(emr: Emr) -> None:
    cluster = emr.start(Instances={"InstanceGroups": GROUPS, "KeepJobFlowAliveWhenNoSteps": True})
    emr.wait(cluster, "WAITING")
    assert emr.answer("GetAutoTerminationPolicy", ClusterId=cluster) == {}
    emr.answer("PutAutoTerminationPolicy", ClusterId=cluster, AutoTerminationPolicy={"IdleTimeout": 60})
    assert emr.answer("GetAutoTerminationPolicy", ClusterId=cluster) == {"AutoTerminationPolicy": {"IdleTimeout": 60}}
    emr.answer("RemoveAutoTerminationPolicy", ClusterId=cluster)
    assert emr.answer("GetAutoTerminationPolicy", ClusterId=cluster) == {}
    limits = {"UnitType": "Instances", "MinimumCapacityUnits": 1, "MaximumCapacityUnits": 5}
    policy = {"ComputeLimits": limits}
    emr.answer("PutManagedScalingPolicy", ClusterId=cluster, ManagedScalingPolicy=policy)
    assert emr.answer("GetManagedScalingPolicy", ClusterId=cluster) == {"ManagedScalingPolicy": policy}
    emr.answer("RemoveManagedScalingPolicy", ClusterId=cluster)
    assert emr.answer("GetManagedScalingPolicy", ClusterId=cluster) == {}
    emr.answer("RemoveTags", ResourceId=cluster, TagKeys=["run", "other"])
    emr.answer("SetVisibleToAllUsers", JobFlowIds=[cluster], VisibleToAllUsers=False)
    emr.answer("SetUnhealthyNodeReplacement", JobFlowIds=[cluster], UnhealthyNodeReplacement=True)
    assert emr.answer("ModifyCluster", ClusterId=cluster, StepConcurrencyLevel=3) == {"StepConcurrencyLevel": 3}
    said = emr.refusal("AddJobFlowSteps", JobFlowId=cluster, Steps=[STEP])
    assert "ActionOnFailure TERMINATE_CLUSTER is not valid" in said
    shown = emr.answer("DescribeCluster", ClusterId=cluster)["Cluster"]
    assert shown["Tags"] == []
    assert (shown["VisibleToAllUsers"], shown["UnhealthyNodeReplacement"]) == (False, True)
    assert shown["StepConcurrencyLevel"] == 3
    emr.answer("SetKeepJobFlowAliveWhenNoSteps", JobFlowIds=[cluster], KeepJobFlowAliveWhenNoSteps=False)
    assert emr.wait(cluster, "TERMINATED")["StateChangeReason"]["Code"] == "ALL_STEPS_COMPLETED"


def test_a_step_that_runs_when_its_cluster_ends_is_interrupted(emr: Emr) -> None:
    cluster = emr.start(Steps=[STEP, STEP])
    wait_for(lambda: emr.steps(cluster)[0]["State"] == "RUNNING")
    emr.answer("TerminateJobFlows", JobFlowIds=[cluster])
    assert emr.wait(cluster, "TERMINATED")["StateChangeReason"]["Code"] == "USER_REQUEST"
    assert [step["State"] for step in emr.steps(cluster)] == ["INTERRUPTED", "CANCELLED"]


def test_an_idle_cluster_ends_after_its_idle_timeout(emr: Emr) -> None:
    cluster = emr.start(Instances={"InstanceGroups": GROUPS, "KeepJobFlowAliveWhenNoSteps": True})
    emr.wait(cluster, "WAITING")
    found = emr.fleet.get(cluster)
    assert found
    emr.fleet.change(found, lambda: setattr(found, "idle_timeout", 0.1))  # AWS takes no less than a minute
    emr.wait(cluster, "TERMINATED")


def test_every_state_is_passed_and_times_are_in_order(emr: Emr) -> None:
    seen: list[str] = []
    save: Callable[[Cluster], None] = emr.fleet._save
    emr.fleet._save = lambda cluster: (seen.append(cluster.state.value), save(cluster))  # type: ignore[method-assign, func-returns-value, assignment, return-value]
    emr.player.goes_on.set()
    cluster = emr.start(Steps=[STEP])
    timeline = emr.wait(cluster, "TERMINATED")["Timeline"]
    states = list(dict.fromkeys(seen))
    assert states == ["STARTING", "BOOTSTRAPPING", "RUNNING", "TERMINATING", "TERMINATED"]
    assert timeline["CreationDateTime"] <= timeline["ReadyDateTime"] <= timeline["EndDateTime"]
    assert abs(datetime.fromtimestamp(timeline["EndDateTime"], UTC) - datetime.now(UTC)) < timedelta(minutes=1)


def test_characters_beyond_16_bits_are_taken(emr: Emr) -> None:
    asked = deepcopy(ASKED) | {"Instances": {"InstanceGroups": GROUPS}, "Name": "naïve 🚀"}
    assert emr.answer("RunJobFlow", **asked)["ClusterArn"].startswith("arn:aws:elasticmapreduce:us-east-1:")


RECORDED = sorted((Path(__file__).parents[1] / "emr/requests").glob("*.json"))


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda path: path.stem)
def test_what_a_spark_step_asks_for_is_taken(emr: Emr, recorded: Path) -> None:
    assert emr.answer("RunJobFlow", **json.loads(recorded.read_text()))["JobFlowId"].startswith("j-")


def test_requests_were_recorded() -> None:
    assert RECORDED

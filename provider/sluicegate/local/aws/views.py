"""Clusters and steps as EMR shows them: `Cluster` and `Step` -> the shapes of botocore's model."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import cast

from sluicegate.local.aws.clusters import Cluster, Json, Step

# What DescribeCluster repeats of RunJobFlow under the same name.
_REPEATED = (
    "Applications",
    "AutoScalingRole",
    "Configurations",
    "CustomAmiId",
    "EbsRootVolumeSize",
    "LogUri",
    "ReleaseLabel",
    "ScaleDownBehavior",
    "SecurityConfiguration",
    "ServiceRole",
    "VisibleToAllUsers",
)


def summary_view(cluster: Cluster) -> Json:
    """EMR's ClusterSummary, without the ARN."""
    return {
        "Id": cluster.id,
        "Name": cluster.name,
        "NormalizedInstanceHours": 0,
        "Status": _cluster_status(cluster),
    }


def cluster_view(cluster: Cluster) -> Json:
    """EMR's Cluster, without the ARN."""
    repeated = {name: cluster.request[name] for name in _REPEATED if cluster.request.get(name) is not None}
    return {
        **repeated,
        **summary_view(cluster),
        "AutoTerminate": not cluster.keep_alive,
        "TerminationProtected": cluster.protected,
        "Tags": [{"Key": key, "Value": value} for key, value in cluster.tags.items()],
        "MasterPublicDnsName": "localhost",
        "StepConcurrencyLevel": 1,
        "Ec2InstanceAttributes": {"IamInstanceProfile": cluster.request.get("JobFlowRole") or ""},
    }


def instance_views(cluster: Cluster) -> list[Json]:
    """EMR's Instances: the machines that were asked for, as if each had been there from the start to the end."""
    state = "TERMINATED" if cluster.has_ended else "RUNNING" if cluster.ready else "PROVISIONING"
    times = _present(CreationDateTime=cluster.created, ReadyDateTime=cluster.ready, EndDateTime=cluster.ended)
    return [
        {
            "Id": f"ci-{cluster.id}-{number}",
            "Ec2InstanceId": f"i-{cluster.id}-{number}",
            "Market": market,
            "InstanceType": type_,
            "Status": {"State": state, "StateChangeReason": {}, "Timeline": times},
        }
        for number, (market, type_) in enumerate(_machines(cast("Json", cluster.request.get("Instances") or {})))
    ]


def _machines(asked: Json) -> Iterator[tuple[str, str]]:
    for group in cast("list[Json]", asked.get("InstanceGroups") or []):
        machine = (str(group.get("Market") or "ON_DEMAND"), str(group["InstanceType"]))
        yield from repeat(machine, cast("int", group["InstanceCount"]))
    for fleet in cast("list[Json]", asked.get("InstanceFleets") or []):
        # The first type is the one that is taken where all are to be had.
        type_ = cast("list[Json]", fleet.get("InstanceTypeConfigs") or [{"InstanceType": "unknown"}])[0]
        weight = cast("int", type_.get("WeightedCapacity") or 1)
        for market, target in (("ON_DEMAND", "TargetOnDemandCapacity"), ("SPOT", "TargetSpotCapacity")):
            capacity = cast("int", fleet.get(target) or 0)
            yield from repeat((market, str(type_["InstanceType"])), -(-capacity // weight))


def step_view(step: Step) -> Json:
    """EMR's Step, which is its StepSummary too."""
    config = {"Jar": step.jar, "Args": step.args, "Properties": step.properties, "MainClass": step.main_class}
    status: Json = {
        "State": step.state.value,
        "StateChangeReason": {"Message": step.message} if step.message else {},
        "Timeline": _present(CreationDateTime=step.created, StartDateTime=step.started, EndDateTime=step.ended),
    }
    if step.failure:
        details = {"Reason": step.failure.reason, "Message": step.failure.message}
        status["FailureDetails"] = details | _present(LogFile=step.failure.log_file)
    return {
        "Id": step.id,
        "Name": step.name,
        "Config": _present(**config),
        "ActionOnFailure": step.action_on_failure,
        "Status": status,
    }


def _cluster_status(cluster: Cluster) -> Json:
    status: Json = {
        "State": cluster.state.value,
        "StateChangeReason": _present(Code=cluster.reason.value if cluster.reason else None, Message=cluster.message),
        "Timeline": _present(CreationDateTime=cluster.created, ReadyDateTime=cluster.ready, EndDateTime=cluster.ended),
    }
    if cluster.error_code:
        status["ErrorDetails"] = [{"ErrorCode": cluster.error_code, "ErrorMessage": cluster.message or ""}]
    return status


def _present(**values: object) -> Json:
    return {name: value for name, value in values.items() if value is not None}

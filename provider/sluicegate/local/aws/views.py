"""Clusters and steps as EMR shows them: `Cluster` and `Step` -> the shapes of botocore's model."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import cast

from sluicegate.local.aws.clusters import Cluster, Json, Step
from sluicegate.local.aws.machines import machines_of, normalized_hours, uses_fleets

# What DescribeCluster repeats of RunJobFlow under the same name.
_REPEATED = (
    "Applications",
    "AutoScalingRole",
    "Configurations",
    "CustomAmiId",
    "EbsRootVolumeIops",
    "EbsRootVolumeSize",
    "EbsRootVolumeThroughput",
    "ExtendedSupport",
    "KerberosAttributes",
    "LogEncryptionKmsKeyId",
    "MonitoringConfiguration",
    "OSReleaseLabel",
    "ReleaseLabel",
    "RepoUpgradeOnBoot",
    "ScaleDownBehavior",
    "SecurityConfiguration",
    "ServiceRole",
)
_REPEATED_INSTANCES = (
    "AdditionalMasterSecurityGroups",
    "AdditionalSlaveSecurityGroups",
    "Ec2KeyName",
    "EmrManagedMasterSecurityGroup",
    "EmrManagedSlaveSecurityGroup",
    "ServiceAccessSecurityGroup",
)
ZONE = "us-east-1a"


def summary_view(cluster: Cluster) -> Json:
    """EMR's ClusterSummary, without the ARN."""
    return {
        "Id": cluster.id,
        "Name": cluster.name,
        "NormalizedInstanceHours": normalized_hours(cluster, datetime.now(UTC)),
        "Status": _cluster_status(cluster),
    }


def cluster_view(cluster: Cluster) -> Json:
    """EMR's Cluster, without the ARN."""
    request = cluster.request
    repeated = {name: request[name] for name in _REPEATED if request.get(name) is not None}
    if uri := request.get("LogUri"):
        repeated["LogUri"] = re.sub(r"^s3[an]?:", "s3n:", str(uri))  # as EMR shows it
    return {
        **repeated,
        **summary_view(cluster),
        "AutoTerminate": not cluster.keep_alive,
        "TerminationProtected": cluster.protected,
        "Tags": [{"Key": key, "Value": value} for key, value in cluster.tags.items()],
        "MasterPublicDnsName": "localhost",
        "StepConcurrencyLevel": cluster.concurrency,
        "VisibleToAllUsers": request.get("VisibleToAllUsers", True),
        "UnhealthyNodeReplacement": cluster.instances.get("UnhealthyNodeReplacement", False),
        "PlacementGroups": request.get("PlacementGroupConfigs") or [],
        "InstanceCollectionType": "INSTANCE_FLEET" if uses_fleets(cluster) else "INSTANCE_GROUP",
        "Ec2InstanceAttributes": _ec2_attributes(cluster),
    }


def bootstrap_views(cluster: Cluster) -> list[Json]:
    """EMR's Command, each."""
    found = []
    for action in cast("list[Json]", cluster.request.get("BootstrapActions") or []):
        script = cast("Json", action.get("ScriptBootstrapAction") or {})
        found.append({"Name": action["Name"], "ScriptPath": script.get("Path", ""), "Args": script.get("Args") or []})
    return found


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
        data = {"instance-type": machines_of(cluster)[0].type, "availability-zone": ZONE}
        error = {"ErrorCode": cluster.error_code, "ErrorData": [data], "ErrorMessage": cluster.message or ""}
        status["ErrorDetails"] = [error]
    return status


def _ec2_attributes(cluster: Cluster) -> Json:
    asked = cluster.instances
    one = asked.get("Ec2SubnetId")
    subnets = cast("list[str]", [one] if one else asked.get("Ec2SubnetIds") or [])
    zone = cast("Json", asked.get("Placement") or {}).get("AvailabilityZone") or ZONE
    return {
        **{name: asked[name] for name in _REPEATED_INSTANCES if asked.get(name)},
        **({"Ec2SubnetId": subnets[0]} if subnets else {}),
        "RequestedEc2SubnetIds": subnets,
        "Ec2AvailabilityZone": zone,
        "RequestedEc2AvailabilityZones": [],
        "IamInstanceProfile": cluster.request.get("JobFlowRole") or "",
    }


def _present(**values: object) -> Json:
    return {name: value for name, value in values.items() if value is not None}

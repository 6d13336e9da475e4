"""The least that the role of Airflow's AWS connections must be allowed, out of the calls that Sluicegate makes.

One table: which call needs which permission, and what on. `tests/doctor/test_policy.py` records the calls of the
operator, the trigger, the janitor, the logs, the artifacts and the doctor, and compares.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sluicegate.doctor.needs import bucket_of
from sluicegate.emr.names import ANY_INSTALLATION
from sluicegate.emr.tags import TAG, encoded
from sluicegate.pipeline.keys.cluster import Cluster

__all__ = ["CALLS", "Call", "Places", "policy"]


@dataclass(frozen=True)
class Call:
    """What a call of an API needs. `on`: a kind of resource, `""` where IAM knows none.

    `tagged`: only on clusters with our deployment's tag. `doctor`: only `sluicegate doctor` makes it.
    """

    service: str
    operation: str
    action: str
    on: str = ""
    tagged: bool = False
    doctor: bool = False


def _emr(operation: str, on: str = "", *, tagged: bool = False, doctor: bool = False) -> Call:
    return Call("emr", operation, f"elasticmapreduce:{operation}", on, tagged, doctor)


CALLS: tuple[Call, ...] = (
    _emr("RunJobFlow"),
    _emr("ListClusters"),
    _emr("DescribeCluster", "cluster"),
    _emr("ListSteps", "cluster"),
    _emr("ListInstances", "cluster"),
    _emr("AddTags", "cluster", tagged=True),
    _emr("TerminateJobFlows", "cluster", tagged=True),
    _emr("SetTerminationProtection", "cluster", tagged=True),
    Call("s3", "HeadObject", "s3:GetObject", "artifacts"),
    Call("s3", "PutObject", "s3:PutObject", "artifacts"),
    Call("s3", "GetObject", "s3:GetObject", "logs"),
    Call("s3", "ListObjectsV2", "s3:ListBucket", "log bucket"),
    Call("s3", "ListObjectsV2", "s3:ListBucket", "measured"),
    _emr("ListReleaseLabels", doctor=True),
    _emr("DescribeSecurityConfiguration", doctor=True),
    Call("s3", "HeadBucket", "s3:ListBucket", "artifact bucket", doctor=True),
    Call("s3", "PutObject", "s3:PutObject", "logs", doctor=True),
    Call("s3", "DeleteObject", "s3:DeleteObject", "probe", doctor=True),
    # Of a bucket that keeps versions: without it the probe would stay below a mark of its deletion.
    Call("s3", "DeleteObject", "s3:DeleteObjectVersion", "probe", doctor=True),
    Call("sts", "GetCallerIdentity", "sts:GetCallerIdentity", doctor=True),
    Call("iam", "GetRole", "iam:GetRole", doctor=True),
    Call("iam", "GetInstanceProfile", "iam:GetInstanceProfile", doctor=True),
    Call("iam", "SimulatePrincipalPolicy", "iam:SimulatePrincipalPolicy", doctor=True),
    Call("ec2", "DescribeSubnets", "ec2:DescribeSubnets", doctor=True),
    Call("ec2", "DescribeVpcs", "ec2:DescribeVpcs", doctor=True),
    Call("ec2", "DescribeInstanceTypes", "ec2:DescribeInstanceTypes", doctor=True),
    Call("service-quotas", "GetServiceQuota", "servicequotas:GetServiceQuota", doctor=True),
)


@dataclass(frozen=True)
class Places:
    """What the policy is about: names out of the pipelines' files, `*` where they are not known."""

    deployment: str
    clusters: Sequence[Cluster]
    artifacts: frozenset[str]
    log_uris: frozenset[str]
    measured: frozenset[str] = frozenset()
    account: str = "*"
    region: str = "*"
    partition: str = "aws"


def policy(places: Places, *, doctor: bool = True) -> dict[str, Any]:
    """The policy document.

    :param doctor: with what `sluicegate doctor` itself needs, as statements of their own
    """
    return {"Version": "2012-10-17", "Statement": list(_statements(places, doctor))}


def _statements(places: Places, doctor: bool) -> Iterator[dict[str, Any]]:
    clusters = [f"arn:{places.partition}:elasticmapreduce:{places.region}:{places.account}:cluster/*"]
    tag, is_any = f"{TAG}deployment", places.deployment == ANY_INSTALLATION
    equals, value = ("StringLike", ANY_INSTALLATION) if is_any else ("StringEquals", encoded(places.deployment))
    asked = {equals: {f"elasticmapreduce:RequestTag/{tag}": value}}
    ours = {equals: {f"elasticmapreduce:ResourceTag/{tag}": value}}
    yield _statement("StartClusters", ["elasticmapreduce:RunJobFlow"], ["*"], asked)
    # EMR asks for it when a cluster is started with tags, of which it has none yet.
    yield _statement("TagWhatIsStarted", ["elasticmapreduce:AddTags"], clusters, asked)
    yield _statement("EndClusters", _actions("cluster", tagged=True), clusters, ours)
    yield _statement("FindClusters", ["elasticmapreduce:ListClusters"], ["*"])
    yield _statement("ReadClusters", _actions("cluster", tagged=False), clusters)
    yield from _roles(places)
    yield from _buckets(places)
    if doctor:
        free = sorted({call.action for call in CALLS if call.doctor and not call.on})
        yield _statement("Doctor", free, ["*"])
        probes = [f"{folder}.sluicegate-doctor-*" for folder in _folders(places, places.artifacts | places.log_uris)]
        if probes:
            yield _statement("DoctorWrites", ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObject"], probes)


def _roles(places: Places) -> Iterator[dict[str, Any]]:
    passed = (
        ("Service", "elasticmapreduce.amazonaws.com", {one.service_role for one in places.clusters}),
        ("Machine", "ec2.amazonaws.com", {one.job_flow_role for one in places.clusters}),
    )
    for name, service, roles in passed:
        arns = sorted({_role(places, one) for one in roles})
        if arns:
            yield _statement(
                f"Pass{name}Role", ["iam:PassRole"], arns, {"StringEquals": {"iam:PassedToService": service}}
            )


def _role(places: Places, role: str) -> str:
    """Its ARN. What is passed is a role: that of an instance profile is taken to be called as the profile is."""
    if role.startswith("arn:"):
        return role.replace(":instance-profile/", ":role/")
    return f"arn:{places.partition}:iam::{places.account}:role/{role}"


def _buckets(places: Places) -> Iterator[dict[str, Any]]:
    artifacts, logs = _folders(places, places.artifacts), _folders(places, places.log_uris)
    if artifacts:
        yield _statement("KeepArtifacts", _actions("artifacts"), [f"{folder}*" for folder in artifacts])
    if logs:
        yield _statement("ReadLogs", _actions("logs"), [f"{folder}*" for folder in logs])
    if places.measured:
        arns = [f"arn:{places.partition}:s3:::{bucket}" for bucket in sorted(places.measured)]
        yield _statement("MeasureInput", _actions("measured"), arns)
    # Without it a missing object is a refusal, and a log that is not there yet looks like one that cannot be read.
    if buckets := sorted({folder.partition("/")[0] for folder in artifacts + logs}):
        yield _statement("ListBuckets", ["s3:ListBucket"], buckets)


def _actions(on: str, *, tagged: bool = False) -> list[str]:
    return sorted({call.action for call in CALLS if call.on == on and call.tagged == tagged and not call.doctor})


def _folders(places: Places, uris: frozenset[str]) -> list[str]:
    """`arn:aws:s3:::bucket/prefix/` of each."""
    found = (bucket_of(uri) for uri in sorted(uris))
    return [
        f"arn:{places.partition}:s3:::{bucket}/{prefix + '/' if prefix else ''}"
        for bucket, prefix in filter(None, found)
    ]


def _statement(
    sid: str, actions: Sequence[str], resources: Sequence[str], condition: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    found = {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    return found | ({"Condition": dict(condition)} if condition else {})

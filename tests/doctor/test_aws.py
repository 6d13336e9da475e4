"""The looks at AWS, at moto's: what is there and what is not, each with its remedy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto import mock_aws

from sluicegate.doctor.aws import _clock, _folder, account
from sluicegate.doctor.finding import Finding, Status
from sluicegate.doctor.machines import machines_of
from sluicegate.doctor.policy import Places
from sluicegate.local.aws import LocalAws
from sluicegate.pipeline.keys.cluster import Cluster

REGION = "eu-central-1"
TRUST = '{"Version": "2012-10-17", "Statement": []}'


@dataclass(frozen=True)
class Wanted:
    clusters: Sequence[Cluster] = ()
    folders: Mapping[str, str] = field(default_factory=dict)

    @property
    def places(self) -> Places:
        return Places("prod", self.clusters, frozenset(self.folders), frozenset({"s3://logs/emr/"}))


class Iam:
    """moto's, and a simulation of policies, which it does not have."""

    def __init__(self, real: Any, denied: frozenset[str]) -> None:
        self._real, self._denied = real, denied
        self.asked: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def get_paginator(self, operation: str) -> Iam:
        assert operation == "simulate_principal_policy"
        return self

    def paginate(self, **asked: Any) -> list[dict[str, Any]]:
        self.asked.append(asked)
        decisions = {name: "implicitDeny" if name in self._denied else "allowed" for name in asked["ActionNames"]}
        return [
            {"EvaluationResults": [{"EvalActionName": name, "EvalDecision": one} for name, one in decisions.items()]}
        ]


class Account:
    """An account in moto: boto3 clients, some of which refuse."""

    def __init__(self) -> None:
        self._session = boto3.Session(region_name=REGION)
        self.denied: frozenset[str] = frozenset()
        self.refusing: set[str] = set()
        self.iam = Iam(self._session.client("iam"), frozenset())

    def client(self, service: str, *, attempts: int) -> Any:
        if service == "iam":
            self.iam = Iam(self._session.client("iam"), self.denied)
            return Refusing() if "iam" in self.refusing else self.iam
        return self._session.client(service, config=Config(retries={"total_max_attempts": attempts}))


class Bucket:
    """S3 that refuses one operation with this status."""

    def __init__(self, refused: str, http: int) -> None:
        self._refused, self._http = refused, http
        self.meta = boto3.client("s3", region_name=REGION).meta

    def __getattr__(self, name: str) -> Any:
        def call(**_: Any) -> dict[str, Any]:
            if name == self._refused:
                answer: Any = {"Error": {"Code": "Refused"}, "ResponseMetadata": {"HTTPStatusCode": self._http}}
                raise ClientError(answer, name)
            return {}

        return call


class Refusing:
    def __getattr__(self, name: str) -> Any:
        def refuse(**_: Any) -> None:
            answer: Any = {"Error": {"Code": "AccessDenied", "Message": "no"}}
            raise ClientError(answer, name)

        return refuse


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield Account()


def cluster(**more: Any) -> Cluster:
    instances = {"primary": "m7g.xlarge", "core": {"type": "m5.xlarge", "count": 2}}
    return Cluster.model_validate({"release": "emr-6.14.0", "instances": instances} | more)


def by_check(aws: Account, *clusters: Cluster, now: Any = None, **folders: str) -> dict[str, Finding]:
    found = account(
        aws,
        Wanted(clusters, {f"s3://{bucket}/x/": purpose for bucket, purpose in folders.items()}),
        now=now or (lambda: datetime.now(UTC)),
    )
    return {one.check: one for one in found}


def status(found: Mapping[str, Finding], check: str) -> Status:
    one = found[check]
    assert one.detail
    assert one.remedy or one.status in (Status.OK, Status.SKIPPED)
    return one.status


def test_what_is_not_there_fails_with_a_remedy_and_stops_no_other_look(aws: Account) -> None:
    found = by_check(aws, cluster(subnets=["subnet-1"], security_configuration="encrypted"), nowhere="artifacts")
    for check in (
        "service role EMR_DefaultRole", "job flow role EMR_EC2_DefaultRole", "subnet subnet-1",
        "security configuration encrypted", "artifacts s3://nowhere/x/",
    ):  # fmt: skip
        assert status(found, check) is Status.FAIL, check
    for check in ("identity", "release emr-6.14.0", "permissions"):
        assert status(found, check) is Status.OK, check


def test_what_is_there_is_fine_and_leaves_nothing_behind(aws: Account) -> None:
    iam, ec2 = (boto3.client(name, region_name=REGION) for name in ("iam", "ec2"))
    iam.create_role(RoleName="EMR_DefaultRole", AssumeRolePolicyDocument=TRUST)
    iam.create_role(RoleName="machines", AssumeRolePolicyDocument=TRUST)
    iam.create_instance_profile(InstanceProfileName="EMR_EC2_DefaultRole")
    boto3.client("emr", region_name=REGION).create_security_configuration(
        Name="encrypted", SecurityConfiguration='{"EncryptionConfiguration": {}}'
    )
    s3 = boto3.client("s3", region_name=REGION)
    s3.create_bucket(Bucket="code", CreateBucketConfiguration={"LocationConstraint": REGION})
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    wide, narrow = (
        ec2.create_subnet(VpcId=vpc, CidrBlock=block)["Subnet"]["SubnetId"] for block in ("10.0.0.0/24", "10.0.1.0/28")
    )
    large = cluster(instances={"primary": "m5.xlarge", "core": {"type": "m5.xlarge", "count": 40}}, subnets=[narrow])
    found = by_check(aws, cluster(subnets=[wide], security_configuration="encrypted"), large, code="artifacts")
    for check in (
        "service role EMR_DefaultRole", f"subnet {wide}", "security configuration encrypted", "artifacts s3://code/x/",
    ):  # fmt: skip
        assert status(found, check) is Status.OK, check
    assert status(found, f"subnet {narrow}") is Status.FAIL
    assert "a cluster takes 41" in found[f"subnet {narrow}"].detail
    assert "has no role" in found["job flow role EMR_EC2_DefaultRole"].detail
    assert s3.list_objects_v2(Bucket="code").get("Contents", []) == []


def test_a_quota_that_is_smaller_than_a_cluster_is_found(aws: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    large = cluster(instances={"primary": "m5.xlarge", "core": {"type": "m5.xlarge", "count": 40}})
    monkeypatch.setattr(
        "moto.servicequotas.models.ServiceQuotasBackend.get_service_quota", lambda *_, **__: _value(100)
    )
    assert status(by_check(aws, large), "quota on_demand") is Status.FAIL
    assert "100 vCPUs; the largest cluster takes 164" in by_check(aws, large)["quota on_demand"].detail
    assert status(by_check(aws, cluster(instances={"primary": "no.such"})), "machine no.such") is Status.FAIL
    monkeypatch.setattr(
        "moto.servicequotas.models.ServiceQuotasBackend.get_service_quota", lambda *_, **__: _value(200)
    )
    assert status(by_check(aws, large), "quota on_demand") is Status.WARN


def _value(vcpus: float) -> dict[str, Any]:
    return {"Value": vcpus}


def test_a_look_that_is_not_allowed_is_skipped_and_says_so(aws: Account) -> None:
    aws.refusing = {"iam"}
    found = by_check(aws, cluster())
    assert status(found, "service role EMR_DefaultRole") is Status.SKIPPED
    assert "not allowed to look" in found["service role EMR_DefaultRole"].detail


@pytest.mark.parametrize(
    ("purpose", "refused", "expected"),
    [
        ("artifacts", "put_object", Status.FAIL),
        ("artifacts", "head_bucket", Status.FAIL),
        ("logs", "put_object", Status.SKIPPED),
        ("artifacts", "delete_object", Status.WARN),
    ],
)
def test_a_bucket_that_cannot_be_written_fails_where_a_step_writes_itself(
    purpose: str, refused: str, expected: Status
) -> None:
    [found] = _folder(Bucket(refused, 403), "s3://code/x/", purpose, local=False)
    assert (found.status, bool(found.remedy)) == (expected, True)


def test_actions_that_are_denied_are_named(aws: Account) -> None:
    aws.denied = frozenset({"iam:PassRole"})
    found = by_check(aws, cluster())
    assert status(found, "permissions") is Status.WARN
    assert found["permissions"].detail.endswith("iam:PassRole")


def test_permissions_are_simulated_on_what_a_step_uses_under_the_conditions_of_the_policy(aws: Account) -> None:
    by_check(aws, cluster(), code="artifacts")
    asked = {name: each for each in aws.iam.asked for name in each["ActionNames"]}
    [tagged] = asked["elasticmapreduce:TerminateJobFlows"]["ContextEntries"]
    assert tagged["ContextKeyName"] == "elasticmapreduce:ResourceTag/sluicegate:deployment"
    assert tagged["ContextKeyValues"] == ["prod"]
    assert asked["elasticmapreduce:TerminateJobFlows"]["ResourceArns"] == [
        f"arn:aws:elasticmapreduce:{REGION}:123456789012:cluster/sluicegate"
    ]
    assert asked["s3:PutObject"]["ResourceArns"] == ["arn:aws:s3:::code/x/sluicegate"]
    assert asked["iam:PassRole"]["ResourceArns"] == ["arn:aws:iam::123456789012:role/EMR_EC2_DefaultRole"]


def test_a_bucket_that_keeps_versions_keeps_none_of_the_probe(aws: Account) -> None:
    s3 = aws.client("s3", attempts=1)
    s3.create_bucket(Bucket="code", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket="code", VersioningConfiguration={"Status": "Enabled"})
    [found] = _folder(s3, "s3://code/x/", "artifacts", local=False)
    left = s3.list_object_versions(Bucket="code")
    assert (found.status, left.get("Versions", []), left.get("DeleteMarkers", [])) == (Status.OK, [], [])


def test_a_local_bucket_that_the_probe_made_is_taken_away(tmp_path: Path) -> None:
    known = {"aws_access_key_id": "local", "aws_secret_access_key": "local", "region_name": "us-east-1"}
    with LocalAws(tmp_path / "s3", create_buckets=True) as local:
        s3 = boto3.client("s3", endpoint_url=local.endpoint_url, **known)
        [found] = _folder(s3, "s3://code/x/", "artifacts", local=True)
        assert (found.status, s3.list_buckets()["Buckets"]) == (Status.OK, [])


@pytest.mark.parametrize(
    ("shape", "most"),
    [
        ({"instances": {"primary": "m", "core": "m", "task": "m"}, "scaling": {"min": 1, "max": 20}}, 21),
        (
            {
                "fleets": {"primary": "m", "core": {"types": {"type": "m", "weight": 4}, "on_demand": 4}},
                "scaling": {"min": 4, "max": 40},
            },
            11,
        ),
    ],
)
def test_a_cluster_counts_as_large_as_scaling_lets_it_grow(shape: dict[str, Any], most: int) -> None:
    found = Cluster.model_validate({"release": "emr-7.13.0"} | shape)
    assert sum(each.count for each in machines_of(found)) == most


@pytest.mark.parametrize(
    ("off", "expected"), [(0, Status.OK), (-90, Status.WARN), (400, Status.FAIL)]
)  # fmt: skip
def test_a_clock_that_is_off_is_seen_by_the_date_of_the_answer(off: int, expected: Status) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)

    class Emr:
        def list_clusters(self, **_: Any) -> dict[str, Any]:
            return {"ResponseMetadata": {"HTTPHeaders": {"date": "Thu, 01 Jan 2026 00:00:00 GMT"}}}

    [found] = _clock(Emr(), lambda: now + timedelta(seconds=off))
    assert found.status is expected

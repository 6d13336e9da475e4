"""What clusters need of AWS: an identity, a clock, roles, subnets, quotas, buckets, a release. It starts no cluster.

The only thing that it writes is a tiny object in each bucket, which it deletes again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Protocol
from urllib.parse import urlsplit
from uuid import uuid4

from botocore.exceptions import ClientError

from sluicegate.doctor.finding import Finding, Look, fail, looked, ok, skipped, warn
from sluicegate.doctor.machines import Machines, machines_of, types_of
from sluicegate.doctor.needs import bucket_of
from sluicegate.doctor.permissions import permissions
from sluicegate.doctor.policy import Places
from sluicegate.doctor.together import together
from sluicegate.pipeline.keys.cluster import Cluster

__all__ = ["PROBE", "Clients", "Wanted", "account"]

PROBE = ".sluicegate-doctor-"
"""How the objects are called that are written and deleted again."""

_PATIENCE = 30.0
"""Seconds for one look at an account that answers: some ask for many pages."""
_SKEW_WARN, _SKEW_FAIL = 60, 300
"""Seconds: AWS refuses signatures that are 15 minutes off; five are as much as a clock is let to drift."""

_QUOTAS = {"on_demand": "L-1216C47A", "spot": "L-34B43A08"}
"""EC2's quotas of vCPUs of standard machines, by market."""
_STANDARD = frozenset("acdhimrtz")
_MISSING = frozenset({"404", "NoSuchEntity", "InvalidInstanceType"})


class Clients(Protocol):
    """boto3 clients behind one connection."""

    def client(self, service: str, *, attempts: int) -> Any: ...


class Wanted(Protocol):
    """What is asked of an account."""

    @property
    def clusters(self) -> Sequence[Cluster]: ...
    @property
    def folders(self) -> Mapping[str, str]:
        """By `s3://` folder, what it is for: `artifacts` or `logs`."""

    @property
    def places(self) -> Places:
        """What the policy is about that a step needs."""


def account(
    aws: Clients, wanted: Wanted, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Iterator[Finding]:
    """All looks at one account, beside each other once AWS has answered at all."""
    s3, emr = aws.client("s3", attempts=2), aws.client("emr", attempts=2)
    local = not _is_aws(s3.meta.endpoint_url)
    identity = _Identity(aws)
    if local:
        yield skipped("identity, roles, subnets, quotas", f"{s3.meta.endpoint_url} is not AWS: it has none of them")
    else:
        for finding in together([("identity", identity.look)]):
            yield finding
            if not finding.reached:
                yield skipped("roles, subnets, quotas, buckets", "not looked at: AWS does not answer")
                return
    looks: list[tuple[str, Look]] = [("clock", partial(_clock, emr, now))]
    for folder, purpose in wanted.folders.items():
        looks.append((f"{purpose} {folder}", partial(_folder, s3, folder, purpose, local)))
    if not local:
        looks += _of_clusters(aws, emr, wanted.clusters)
        iam = aws.client("iam", attempts=2)
        looks.append(("permissions", lambda: permissions(iam, identity.arn, emr.meta.region_name, wanted.places)))
    yield from together(looks, patience=_PATIENCE)


def _of_clusters(aws: Clients, emr: Any, clusters: Sequence[Cluster]) -> Iterator[tuple[str, Look]]:
    iam, ec2 = aws.client("iam", attempts=2), aws.client("ec2", attempts=2)
    for role in sorted({one.service_role for one in clusters}):
        yield f"service role {role}", partial(_service_role, iam, role)
    for role in sorted({one.job_flow_role for one in clusters}):
        yield f"job flow role {role}", partial(_job_flow_role, iam, role)
    for subnet in sorted({subnet for one in clusters for subnet in one.subnets}):
        most = max(sum(some.count for some in machines_of(one)) for one in clusters if subnet in one.subnets)
        yield f"subnet {subnet}", partial(_subnet, ec2, subnet, most)
    if any(not one.subnets for one in clusters):
        yield "default VPC", partial(_default_vpc, ec2)
    for release in sorted({one.release for one in clusters}):
        yield f"release {release}", partial(_release, emr, release)
    for name in sorted({name for one in clusters if (name := one.security_configuration)}):
        yield f"security configuration {name}", partial(_security, emr, name)
    if clusters:
        yield "machines and quotas", partial(_quotas, ec2, aws.client("service-quotas", attempts=2), clusters)


class _Identity:
    """Who calls; known after the look."""

    def __init__(self, aws: Clients) -> None:
        self._sts = aws.client("sts", attempts=2)
        self.arn = ""

    def look(self) -> Iterator[Finding]:
        found = self._sts.get_caller_identity()
        self.arn = str(found["Arn"])
        yield ok("identity", f"{self.arn} in account {found['Account']}")


def _clock(emr: Any, now: Callable[[], datetime]) -> Iterator[Finding]:
    answer = emr.list_clusters(ClusterStates=["STARTING"])
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    if not date:
        yield skipped("clock", "the answer has no Date")
        return
    off = abs((now() - parsedate_to_datetime(date)).total_seconds())
    remedy = "Let NTP set this machine's clock: AWS refuses signatures that are 15 minutes off."
    if off > _SKEW_FAIL:
        yield fail("clock", f"{off:.0f} s off AWS's", remedy)
    elif off > _SKEW_WARN:
        yield warn("clock", f"{off:.0f} s off AWS's", remedy)
    else:
        yield ok("clock", "as AWS's")


def _folder(s3: Any, folder: str, purpose: str, local: bool) -> Iterator[Finding]:
    check, place = f"{purpose} {folder}", bucket_of(folder)
    if place is None:
        yield skipped(check, "not an s3:// folder that can be read from the file")
        return
    bucket, prefix = place
    key = "/".join(part for part in (prefix, f"{PROBE}{uuid4().hex}") if part)
    there = True
    try:
        # The local S3 makes a bucket when it is written to.
        there = not local or _there(lambda: s3.head_bucket(Bucket=bucket)) is not None
        region = None if local else s3.head_bucket(Bucket=bucket).get("BucketRegion")
        version = s3.put_object(Bucket=bucket, Key=key, Body=b"").get("VersionId")
    except ClientError as error:
        yield _unwritten(check, bucket, purpose, error)
        return
    left = _left(s3, bucket, key, version)
    if not there:
        s3.delete_bucket(Bucket=bucket)
    if left:
        yield warn(check, left, "Delete it, and allow s3:DeleteObject for the doctor (`sluicegate doctor --policy`).")
        return
    here = s3.meta.region_name
    if region and here and region != here:
        remedy = f"Use a bucket in {here}: each byte that clusters write there is paid for as transfer."
        yield warn(check, f"it can be written, and is in {region}, not in {here}", remedy)
    else:
        yield ok(check, "it can be written")


def _unwritten(check: str, bucket: str, purpose: str, error: ClientError) -> Finding:
    """A step puts artifacts there itself; logs are put there by the cluster's own role."""
    if _status(error) == 404:
        return fail(check, f"there is no bucket {bucket}", "Create it, or correct its name in defaults.yaml.")
    if _status(error) != 403:
        raise error
    if purpose == "artifacts":
        remedy = "Allow s3:PutObject and s3:ListBucket on it (`sluicegate doctor --policy`)."
        return fail(check, f"not allowed to write to {bucket}", remedy)
    return skipped(
        check, f"not allowed to write to {bucket}: the cluster's role does", "Is `job_flow_role` allowed to?"
    )


def _left(s3: Any, bucket: str, key: str, version: str | None) -> str:
    """What is left behind because it cannot be deleted; with its version, or the bucket would keep it."""
    try:
        s3.delete_object(Bucket=bucket, Key=key, **({"VersionId": version} if version else {}))
    except ClientError as error:
        return f"it can be written, and s3://{bucket}/{key} cannot be deleted again: {_code(error)}"
    return ""


def _service_role(iam: Any, role: str) -> Iterator[Finding]:
    check = f"service role {role}"
    if _there(lambda: iam.get_role(RoleName=role.rpartition("/")[2])) is None:
        yield fail(check, "there is none", "`aws emr create-default-roles` makes EMR's own; or correct `service_role`.")
    else:
        yield ok(check, "it is there")


def _job_flow_role(iam: Any, role: str) -> Iterator[Finding]:
    check = f"job flow role {role}"
    found = _there(lambda: iam.get_instance_profile(InstanceProfileName=role.rpartition("/")[2]))
    if found is None:
        remedy = "It has to be an instance profile: `aws emr create-default-roles`, or correct `job_flow_role`."
        yield fail(check, "there is no instance profile of that name", remedy)
    elif not found["InstanceProfile"]["Roles"]:
        yield fail(check, "the instance profile has no role", "`aws iam add-role-to-instance-profile` gives it one.")
    else:
        yield ok(check, f"it is there, with the role {found['InstanceProfile']['Roles'][0]['RoleName']}")


def _subnet(ec2: Any, subnet: str, machines: int) -> Iterator[Finding]:
    check = f"subnet {subnet}"
    found = _there(lambda: ec2.describe_subnets(SubnetIds=[subnet]))
    if found is None:
        yield fail(check, "there is none in this region", "Correct `subnets` of the cluster.")
        return
    free, zone = found["Subnets"][0]["AvailableIpAddressCount"], found["Subnets"][0]["AvailabilityZone"]
    if free < machines:
        remedy = "Name a larger subnet, or further ones: `subnets` are tried in turn."
        yield fail(check, f"{free} free addresses in {zone}, and a cluster takes {machines}", remedy)
    else:
        yield ok(check, f"{free} free addresses in {zone}")


def _default_vpc(ec2: Any) -> Iterator[Finding]:
    found = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    if found:
        yield ok("default VPC", f"{found[0]['VpcId']}; clusters without `subnets` start there")
    else:
        yield fail("default VPC", "there is none, and a cluster names no `subnets`", "Name subnets of a VPC.")


def _release(emr: Any, release: str) -> Iterator[Finding]:
    found = emr.list_release_labels(Filters={"Prefix": release})["ReleaseLabels"]
    if release in found:
        yield ok(f"release {release}", "EMR has it here")
    else:
        yield fail(
            f"release {release}", "EMR does not have it in this region", "`aws emr list-release-labels` lists all."
        )


def _security(emr: Any, name: str) -> Iterator[Finding]:
    check = f"security configuration {name}"
    if _there(lambda: emr.describe_security_configuration(Name=name)) is None:
        yield fail(check, "there is none", "`aws emr create-security-configuration`, or correct the cluster's.")
    else:
        yield ok(check, "it is there")


def _quotas(ec2: Any, quotas: Any, clusters: Sequence[Cluster]) -> Iterator[Finding]:
    vcpus: dict[str, int] = {}
    for type_ in sorted({type_ for one in clusters for type_ in types_of(one)}):
        found = _there(partial(ec2.describe_instance_types, InstanceTypes=[type_]))
        if found is None:
            yield fail(f"machine {type_}", "EC2 does not have it in this region", "Correct the cluster's machines.")
        else:
            vcpus[type_] = int(found["InstanceTypes"][0]["VCpuInfo"]["DefaultVCpus"])
    for market, code in _QUOTAS.items():
        most = max(_vcpus(machines_of(one), market, vcpus) for one in clusters)
        if most:
            yield from looked(f"quota {market}", partial(_quota, quotas, market, code, most))


def _quota(quotas: Any, market: str, code: str, most: int) -> Iterator[Finding]:
    check = f"quota {market}"
    allowed = int(quotas.get_service_quota(ServiceCode="ec2", QuotaCode=code)["Quota"]["Value"])
    seen = f"{allowed} vCPUs; the largest cluster takes {most}"
    remedy = f"Ask AWS for more (Service Quotas, EC2, {code}), or make the cluster smaller."
    if allowed < most:
        yield fail(check, seen, remedy)
    elif allowed < 2 * most:
        yield warn(check, f"{seen}: two at a time are too many", remedy)
    else:
        yield ok(check, seen)


def _vcpus(machines: Sequence[Machines], market: str, vcpus: Mapping[str, int]) -> int:
    """Virtual CPUs of the machines that count for the quota of standard ones."""
    standard = (some for some in machines if some.market == market and some.type[0] in _STANDARD)
    return sum(some.count * vcpus.get(some.type, 0) for some in standard)


def _there(call: Callable[[], Any]) -> Any:
    """What `call` returns; None when AWS says that there is no such thing."""
    try:
        return call()
    except ClientError as error:
        code = _code(error)
        if (
            "NotFound" in code
            or code == "404"
            or code in {"NoSuchEntity", "InvalidInstanceType"}
            or _says_missing(error, code)
        ):
            return None
        raise


def _says_missing(error: ClientError, code: str) -> bool:
    return code == "InvalidRequestException" and "does not exist" in str(error)


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _is_aws(endpoint: str) -> bool:
    return (urlsplit(endpoint).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn"))

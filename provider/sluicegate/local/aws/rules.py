"""What EMR refuses although its service model allows it: its limits, and what excludes what.

Each check gets a request and yields sentences. AWS's own words are known for a few of them only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import cast

from sluicegate.local.aws.clusters import Json

MOST_STEPS = 256
MOST_STEP_TEXT = 10_240
MOST_TAGS = 50
MOST_CLUSTERS = 10
"""In one TerminateJobFlows."""
MOST_STEP_IDS = 10
"""In one ListSteps."""

_RELEASE = re.compile(r"emr-(?:spark-)?\d+\.\d+\.\d+(?:[-.]\w+)*")
_IDLE = range(60, 604_801)
_CONCURRENCY = range(1, 257)
_SPOT_MINUTES = range(5, 1441)
_MOST_TASK_GROUPS = 48
_MOST_TYPES, _MOST_TYPES_WITH_STRATEGY = 5, 30


def run_job_flow(request: Json) -> Iterator[str]:
    yield from _release(request)
    for member, name in (("ServiceRole", "ServiceRole"), ("JobFlowRole", "InstanceProfile")):
        if not request.get(member):
            yield f"{name} is required for creating cluster."
    log_uri = request.get("LogUri")
    if log_uri and not re.match(r"s3[an]?://[^/]", str(log_uri)):
        yield f"The log URI must be a location in Amazon S3, not {log_uri!r}."
    yield from _instances(_dict(request, "Instances"))
    yield from steps(_list(request, "Steps"))
    yield from tags(_list(request, "Tags"))
    yield from auto_termination(_dict(request, "AutoTerminationPolicy"))
    yield from concurrency(request)


def add_job_flow_steps(request: Json, present: int, concurrency_level: int) -> Iterator[str]:
    """`present`: the steps that the cluster has, ended ones included."""
    added = _list(request, "Steps")
    yield from steps(added, present)
    if concurrency_level > 1:
        for step in added:
            if step.get("ActionOnFailure") != "CONTINUE":
                yield (
                    f"ActionOnFailure {step.get('ActionOnFailure')} is not valid for a cluster with a step "
                    f"concurrency level of {concurrency_level}: only CONTINUE is."
                )


def steps(added: list[Json], present: int = 0) -> Iterator[str]:
    if len(added) + present > MOST_STEPS:
        yield f"A maximum of {MOST_STEPS} steps are allowed in each job flow."
    for step in added:
        jar = _dict(step, "HadoopJarStep")
        properties = [str(row.get("Key", "")) + str(row.get("Value", "")) for row in _list(jar, "Properties")]
        words = [str(jar.get("Jar", "")), str(jar.get("MainClass", "")), *properties]
        words += [str(word) for word in cast("list[object]", jar.get("Args") or [])]
        if (size := sum(map(len, words))) > MOST_STEP_TEXT:
            yield (
                f"The string values passed into HadoopJarStep object cannot exceed a total of {MOST_STEP_TEXT} "
                f"characters: those of {step.get('Name')!r} have {size}."
            )


def tags(added: list[Json], present: tuple[str, ...] = ()) -> Iterator[str]:
    keys = [str(row.get("Key", "")) for row in added]
    if len({*keys, *present}) > MOST_TAGS:
        yield f"A resource can have {MOST_TAGS} tags at most."
    for key, count in Counter(keys).items():
        if count > 1:
            yield f"The tag key {key!r} is given {count} times."
    for row in added:
        key, value = str(row.get("Key", "")), str(row.get("Value") or "")
        if not 1 <= len(key) <= 128:
            yield f"A tag key has 1 to 128 characters: {key[:40]!r} has {len(key)}."
        if len(value) > 256:
            yield f"A tag value has 256 characters at most: that of {key!r} has {len(value)}."
        if key.lower().startswith("aws:"):
            yield f"Tag keys that begin with aws: are reserved: {key!r}."


def auto_termination(policy: Json) -> Iterator[str]:
    idle = policy.get("IdleTimeout")
    if idle is not None and idle not in _IDLE:
        yield f"IdleTimeout must be between {_IDLE.start} and {_IDLE.stop - 1} seconds, not {idle}."


def concurrency(request: Json) -> Iterator[str]:
    level = request.get("StepConcurrencyLevel")
    if level is not None and level not in _CONCURRENCY:
        yield f"StepConcurrencyLevel must be between 1 and 256, not {level}."


def at_most(request: Json, member: str, most: int, what: str) -> Iterator[str]:
    if len(_list(request, member)) > most:
        yield f"The maximum number of {what} allowed is {most}."


def _release(request: Json) -> Iterator[str]:
    label, ami = request.get("ReleaseLabel"), request.get("AmiVersion")
    if label and ami:
        yield f"Only one AMI version and release label may be specified. Provided AMI: {ami}, release label: {label}."
    elif not (label or ami):
        yield "A release label is required."
    elif label and not _RELEASE.fullmatch(str(label)):
        yield f"The supplied release label is invalid: {label}."


def _instances(asked: Json) -> Iterator[str]:
    groups, fleets = _list(asked, "InstanceGroups"), _list(asked, "InstanceFleets")
    simple = bool(asked.get("InstanceCount") or asked.get("MasterInstanceType"))
    if groups and fleets:
        yield "Instance fleets and instance groups are mutually exclusive."
    elif (groups or fleets) and simple:
        yield "InstanceCount and MasterInstanceType exclude instance groups and fleets."
    elif fleets:
        yield from _fleets(fleets)
    elif groups:
        yield from _groups(groups)
    elif not (asked.get("InstanceCount") and asked.get("MasterInstanceType")):
        yield "A cluster needs instance groups, instance fleets, or MasterInstanceType and InstanceCount."
    subnets = cast("list[object]", asked.get("Ec2SubnetIds") or [])
    if asked.get("Ec2SubnetId") and subnets:
        yield "Only one of Ec2SubnetId and Ec2SubnetIds may be specified."
    if len(subnets) > 1 and not fleets:
        yield "Several subnets are allowed for clusters with instance fleets only."
    if bool(asked.get("EmrManagedMasterSecurityGroup")) != bool(asked.get("EmrManagedSlaveSecurityGroup")):
        yield "EmrManagedMasterSecurityGroup and EmrManagedSlaveSecurityGroup must both be specified, or neither."


def _groups(groups: list[Json]) -> Iterator[str]:
    roles = Counter(str(group.get("InstanceRole")) for group in groups)
    if roles["MASTER"] != 1:
        yield f"A cluster has exactly one MASTER instance group, not {roles['MASTER']}."
    if roles["CORE"] > 1:
        yield f"A cluster has one CORE instance group at most, not {roles['CORE']}."
    if roles["TASK"] > _MOST_TASK_GROUPS:
        yield f"A cluster has {_MOST_TASK_GROUPS} TASK instance groups at most, not {roles['TASK']}."
    for group in groups:
        role, count = group.get("InstanceRole"), cast("int", group.get("InstanceCount", 0))
        if role == "MASTER" and count not in (1, 3):
            yield f"The MASTER instance group has 1 or 3 instances, not {count}."
        elif count < 1 and role != "TASK":
            yield f"The {role} instance group must have at least one instance."


def _fleets(fleets: list[Json]) -> Iterator[str]:
    kinds = Counter(str(fleet.get("InstanceFleetType")) for fleet in fleets)
    for kind in ("MASTER", "CORE", "TASK"):
        if kinds[kind] > 1 or (kind == "MASTER" and kinds[kind] != 1):
            yield f"A cluster has {'exactly' if kind == 'MASTER' else 'at most'} one {kind} fleet, not {kinds[kind]}."
    for fleet in fleets:
        yield from _fleet(fleet)


def _fleet(fleet: Json) -> Iterator[str]:
    kind = fleet.get("InstanceFleetType")
    spot, on_demand = fleet.get("TargetSpotCapacity") or 0, fleet.get("TargetOnDemandCapacity") or 0
    if kind == "MASTER" and sorted([cast("int", spot), cast("int", on_demand)]) != [0, 1]:
        yield "For a master instance fleet, one of TargetSpotCapacity and TargetOnDemandCapacity must be 1."
    if kind == "CORE" and not (spot or on_demand):
        yield "At least one of TargetSpotCapacity and TargetOnDemandCapacity should be greater than 0."
    launch = _dict(fleet, "LaunchSpecifications")
    strategies = [
        _dict(launch, name).get("AllocationStrategy") for name in ("SpotSpecification", "OnDemandSpecification")
    ]
    most = _MOST_TYPES_WITH_STRATEGY if any(strategies) else _MOST_TYPES
    if (types := len(_list(fleet, "InstanceTypeConfigs"))) > most:
        yield f"The {kind} fleet has {types} instance types; {most} are allowed."
    minutes = _dict(launch, "SpotSpecification").get("TimeoutDurationMinutes")
    if minutes is not None and minutes not in _SPOT_MINUTES:
        yield f"TimeoutDurationMinutes must be between 5 and 1440, not {minutes}."


def first(found: Iterator[str]) -> str | None:
    return next(found, None)


def _dict(value: Json, name: str) -> Json:
    return cast("Json", value.get(name) or {})


def _list(value: Json, name: str) -> list[Json]:
    return cast("list[Json]", value.get(name) or [])

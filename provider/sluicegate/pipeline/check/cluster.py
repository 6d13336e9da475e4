"""What contradicts itself in what a cluster is made of, or is outside what AWS documents. Pure.

`sluicegate check` and Airflow show all of it with its place. A hand-written DAG gets the first of it before AWS is
asked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sluicegate.pipeline.check.machines import machine_errors
from sluicegate.pipeline.check.unsound import Unsound
from sluicegate.pipeline.diagnostics import Where, did_you_mean
from sluicegate.pipeline.keys.cluster import Cluster

__all__ = ["TAG", "cluster_errors"]

TAG = "sluicegate:"
"""Our tags begin with this."""

OUR_TAGS = 16
"""So many of a cluster's tags are kept for ours: 13 that each has, two of `by_input`, one that says who ended it."""
_MOST_TAGS = 50
_LONGEST_KEY, _LONGEST_VALUE = 128, 256
_TAG_TEXT = re.compile(r"[\w .:/=+@-]*")
_MOST_BOOTSTRAP_ACTIONS = 16
"""EMR takes 16, of which the `watchdog` is one."""
_MOST_SUBNETS = 16
_IDLE = 60, 7 * 86400
_MOST_TYPES_WITHOUT_STRATEGY = 5
_RELEASE = re.compile(r"emr-(spark-)?\d+\.\d+\.\d+([.-]\w+)*")
_S3 = re.compile(r"s3://[a-z0-9][a-z0-9.-]+(/.*)?")
_ROLE = re.compile(r"arn:aws[\w-]*:iam::\d{12}:(role|instance-profile)/[\w+=,.@/-]+|[\w+=,.@-]{1,128}", re.ASCII)
_SUBNET = re.compile(r"subnet-[0-9a-z]+")

_RESERVED = {
    "Name": "by its name a cluster is found again",
    "Steps": "they are the jobs of the step",
    "Tags": "by its tags a cluster is known to be ours: say `tags:`",
    "Instances.KeepJobFlowAliveWhenNoSteps": "a cluster ends with its jobs",
    "Instances.TerminationProtected": "a cluster that is protected would outlive its jobs",
    "StepConcurrencyLevel": "jobs run one after the other, and the first that fails ends the cluster",
}
"""What is Sluicegate's to set, and why."""

_OURS = {
    "ReleaseLabel": "release", "Applications": "applications", "Instances.InstanceGroups": "instances",
    "Instances.InstanceFleets": "fleets", "ManagedScalingPolicy": "scaling", "Instances.Ec2SubnetId": "subnets",
    "Instances.Ec2SubnetIds": "subnets", "Configurations": "configurations", "BootstrapActions": "bootstrap_actions",
    "LogUri": "log_uri", "ServiceRole": "service_role", "JobFlowRole": "job_flow_role",
    "SecurityConfiguration": "security_configuration", "EbsRootVolumeSize": "root_volume",
    "CustomAmiId": "custom_ami", "Instances.Ec2KeyName": "ec2_key",
}  # fmt: skip
"""What of RunJobFlow has a key of its own: whichever says it, one does."""

_CLASSIFICATIONS = (
    "capacity-scheduler", "container-log4j", "core-site", "emrfs-site", "hadoop-env", "hadoop-log4j", "hbase-site",
    "hdfs-env", "hdfs-site", "hive-env", "hive-site", "iceberg-defaults", "delta-defaults", "hudi-defaults",
    "livy-conf", "livy-env", "mapred-env", "mapred-site", "spark", "spark-defaults", "spark-env", "spark-hive-site",
    "spark-log4j2", "spark-metrics", "yarn-env", "yarn-site",
)  # fmt: skip


def cluster_errors(cluster: Cluster) -> Iterator[Unsound]:
    yield from _kinds_of_machines(cluster)
    yield from machine_errors(cluster)
    yield from _passed_through(cluster)
    yield from _places(cluster)
    yield from _roles(cluster)
    yield from _configurations(cluster.configurations, ("configurations",))
    yield from _bootstrap_actions(cluster)
    yield from _tags(cluster.tags)


def in_request(request: Mapping[str, Any], path: str) -> Any:
    """What is at `Instances.InstanceGroups`; None if nothing is."""
    node: Any = request
    for part in path.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return node


def _kinds_of_machines(cluster: Cluster) -> Iterator[Unsound]:
    passed = [key for key in ("InstanceGroups", "InstanceFleets") if _passes(cluster, f"Instances.{key}")]
    said = [key for key in ("instances", "fleets") if getattr(cluster, key)]
    if cluster.instances and cluster.fleets:
        yield Unsound(
            ("fleets",), "EMR takes instance groups or fleets, never both: leave out `instances` or this", key=True
        )
    elif len(passed) + len(said) == 0:
        yield Unsound((), "`instances` is missing, or `fleets`: the machines", key=True, code="missing-key")
    elif len(passed) > 1:
        at = ("run_job_flow", "Instances", "InstanceFleets")
        yield Unsound(at, "EMR takes instance groups or fleets, never both: leave one out", key=True)
    elif said and passed and _OURS[f"Instances.{passed[0]}"] != said[0]:
        at = ("run_job_flow", "Instances", passed[0])
        yield Unsound(at, f"`{said[0]}` says the machines already, and EMR takes one of both: leave one out", key=True)


def _passes(cluster: Cluster, path: str) -> bool:
    return in_request(cluster.run_job_flow, path) is not None


def _passed_through(cluster: Cluster) -> Iterator[Unsound]:
    for path, why in _RESERVED.items():
        if _passes(cluster, path):
            message = f"`run_job_flow` of a cluster must not set {path}: {why}; leave it out"
            yield Unsound(_in_run_job_flow(path), message, key=True)
    for path, key in _OURS.items():
        if _passes(cluster, path) and key in cluster.model_fields_set and getattr(cluster, key):
            message = f"`{key}` says this already: leave one of the two out"
            yield Unsound(_in_run_job_flow(path), message, key=True)
    idle = in_request(cluster.run_job_flow, "AutoTerminationPolicy.IdleTimeout")
    if isinstance(idle, int) and not _IDLE[0] <= idle <= _IDLE[1]:
        message = f"EMR takes from {_IDLE[0]} seconds to seven days ({_IDLE[1]}) here, not {idle}"
        yield Unsound(_in_run_job_flow("AutoTerminationPolicy.IdleTimeout"), message)
    groups = [f"EmrManaged{role}SecurityGroup" for role in ("Master", "Slave")]
    said = [key for key in groups if _passes(cluster, f"Instances.{key}")]
    if len(said) == 1:
        message = f"EMR takes {' and '.join(groups)} together or neither: say both"
        yield Unsound(_in_run_job_flow(f"Instances.{said[0]}"), message, key=True)
    yield from _passed_machines(cluster)


def _passed_machines(cluster: Cluster) -> Iterator[Unsound]:
    for key, role, types in (
        ("InstanceGroups", "InstanceRole", None),
        ("InstanceFleets", "InstanceFleetType", "InstanceTypeConfigs"),
    ):
        found = in_request(cluster.run_job_flow, f"Instances.{key}")
        for index, each in enumerate(found if isinstance(found, Sequence) and not isinstance(found, str) else ()):
            if not isinstance(each, Mapping):
                continue
            at = ("run_job_flow", "Instances", key, index)
            if each.get(role) == "MASTER" and each.get("InstanceCount", 1) != 1:
                message = "EMR protects a cluster of several primary nodes and keeps it alive: a run's has one"
                yield Unsound((*at, "InstanceCount"), message)
            if each.get(role) == "MASTER" and (each.get("Market") == "SPOT" or each.get("TargetSpotCapacity")):
                message = (
                    f"a spot primary node that AWS takes back ends the cluster: say it in `{_OURS[f'Instances.{key}']}`"
                )
                yield Unsound(at, f"{message}, with `interruptible: true`")
            several = each.get(types) if types else None
            if isinstance(several, Sequence) and len(several) > _MOST_TYPES_WITHOUT_STRATEGY and not _strategy(each):
                message = (
                    f"EMR takes {_MOST_TYPES_WITHOUT_STRATEGY} types in a fleet without an AllocationStrategy, "
                    f"not {len(several)}: say the fleet in `fleets`, which takes 30"
                )
                yield Unsound((*at, types or ""), message, key=True)


def _strategy(fleet: Mapping[str, Any]) -> bool:
    specifications = fleet.get("LaunchSpecifications")
    found = specifications.values() if isinstance(specifications, Mapping) else ()
    return any(isinstance(each, Mapping) and each.get("AllocationStrategy") for each in found)


def _in_run_job_flow(path: str) -> Where:
    return ("run_job_flow", *path.split("."))


def _places(cluster: Cluster) -> Iterator[Unsound]:
    if not _RELEASE.fullmatch(cluster.release):
        message = f"expected a release of EMR, such as emr-7.13.0 or emr-spark-8.0.0, not {cluster.release!r}"
        yield Unsound(("release",), message)
    if cluster.log_uri is not None and not _S3.fullmatch(cluster.log_uri):
        yield Unsound(("log_uri",), f"expected s3://<bucket>/, not {cluster.log_uri!r}: EMR writes its logs to S3 only")
    for subnet, count in Counter(cluster.subnets).items():
        index = cluster.subnets.index(subnet)
        at = ("subnets", index)
        if not _SUBNET.fullmatch(subnet):
            yield Unsound(at, f"expected the id of a subnet, such as subnet-0a1b2c3d, not {subnet!r}")
        elif count > 1:
            again = cluster.subnets.index(subnet, index + 1)
            yield Unsound(("subnets", again), f"{subnet} is there already: name each subnet once")
    if len(cluster.subnets) > _MOST_SUBNETS:
        yield Unsound(("subnets",), f"EMR takes {_MOST_SUBNETS} subnets, not {len(cluster.subnets)}: leave some out")


def _roles(cluster: Cluster) -> Iterator[Unsound]:
    for key in ("service_role", "job_flow_role"):
        if not _ROLE.fullmatch(role := getattr(cluster, key)):
            yield Unsound(
                (key,), f"expected the name of a role or its ARN (arn:aws:iam::<account>:role/<name>), not {role!r}"
            )


def _configurations(found: Mapping[str, Mapping[str, Any]], at: Where) -> Iterator[Unsound]:
    for classification, properties in found.items():
        where = (*at, classification)
        meant = None if classification in _CLASSIFICATIONS else did_you_mean(classification, _CLASSIFICATIONS)
        if meant is not None and len(at) == 1:
            yield Unsound(where, f"EMR has no classification {classification!r}: did you mean {meant}?", key=True)
        for name, value in properties.items():
            if isinstance(value, Mapping):
                inner = ((*where, name, inside) for inside, each in value.items() if not _is_property(each))
                yield from (Unsound(place, _NO_PROPERTY) for place in inner)
            elif not _is_property(value):
                yield Unsound((*where, name), _NO_PROPERTY)


_NO_PROPERTY = (
    "expected text, a number, true or false: `configurations: {spark-defaults: {spark.executor.memory: 4g}}`; "
    "a classification inside is keys and values, as `{spark-env: {export: {NAME: value}}}`"
)


def _is_property(value: object) -> bool:
    return isinstance(value, str | int | float | bool)


def _bootstrap_actions(cluster: Cluster) -> Iterator[Unsound]:
    actions = cluster.bootstrap_actions
    most = _MOST_BOOTSTRAP_ACTIONS - cluster.watchdog
    if len(actions) > most:
        beside = " beside the watchdog" if cluster.watchdog else ""
        message = f"EMR takes {most} bootstrap actions{beside}, not {len(actions)}: put some into one script"
        yield Unsound(("bootstrap_actions",), message)
    for index, action in enumerate(actions):
        if "://" in action.path and not _S3.fullmatch(action.path):
            message = f"expected a file below the dags root or an s3:// URI, not {action.path!r}"
            yield Unsound(("bootstrap_actions", index, "path"), message)


def _tags(tags: Mapping[str, str]) -> Iterator[Unsound]:
    if len(tags) > _MOST_TAGS - OUR_TAGS:
        message = f"AWS takes {_MOST_TAGS} tags, {OUR_TAGS} of which are Sluicegate's: {len(tags)} are too many"
        yield Unsound(("tags",), message)
    for key, value in tags.items():
        at = ("tags", key)
        if key.startswith(TAG):
            yield Unsound(at, f"`tags` of a cluster must not set {key}: {TAG} is Sluicegate's own", key=True)
        elif key.lower().startswith("aws:"):
            yield Unsound(at, "tags that begin with `aws:` are AWS's own: choose another key", key=True)
        elif not key:
            yield Unsound(at, "a tag needs a key: write one, as in `tags: {team: data}`", key=True)
        elif len(key) > _LONGEST_KEY or len(value) > _LONGEST_VALUE:
            message = f"AWS takes keys of {_LONGEST_KEY} characters and values of {_LONGEST_VALUE}: shorten it"
            yield Unsound(at, message)
        elif not (_TAG_TEXT.fullmatch(key) and _TAG_TEXT.fullmatch(value)):
            yield Unsound(at, "AWS takes letters, digits, spaces and _ . : / = + - @ in tags: write it with those")

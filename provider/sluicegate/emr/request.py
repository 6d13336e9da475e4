"""What RunJobFlow is asked for: one cluster that runs all jobs of a step and then ends by itself.

Values in, a dictionary out. It starts nothing and reads no clock.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from sluicegate.emr.tags import LONGEST_VALUE, TAG
from sluicegate.faults import fault
from sluicegate.pipeline.keys.model import Cluster, Job

__all__ = ["Submit", "cluster_request", "flags", "not_after", "plain_job", "refuse_reserved", "step_command"]

KILL_AFTER = timedelta(seconds=60)
"""How long a job that ran too long has to end after SIGTERM."""

STARTUP = timedelta(hours=1)
"""The longest that a cluster may take to start and to end, beside its jobs."""

IDLE = timedelta(hours=1)
"""EMR's own AutoTerminationPolicy: the net below `KeepJobFlowAliveWhenNoSteps=False`."""

_RESERVED = (
    "Name",
    "Steps",
    "Tags",
    "Instances.KeepJobFlowAliveWhenNoSteps",
    "Instances.TerminationProtected",
)
_UNFIT_FOR_TAG = re.compile(r"[^\w .:/=+@-]")


@dataclass(frozen=True)
class Submit:
    """One spark-submit: the job file's `s3://` URI and its own arguments. `bound`: whether it gets the datasets too."""

    uri: str
    args: tuple[str, ...] = ()
    bound: bool = True


def plain_job(job: Job | Mapping[str, Any] | str) -> dict[str, Any]:
    """A job as plain values, which Airflow can render and show."""
    if isinstance(job, str):
        return {"path": job, "args": []}
    plain = job.model_dump() if isinstance(job, Job) else dict(job)
    return {"path": plain["path"], "args": [str(arg) for arg in plain.get("args", ())]}


def flags(bindings: Mapping[str, object]) -> list[str]:
    """`--<binding> <uri>` for each binding; several URIs are one value, joined by commas.

    That is how Spark itself takes several paths (`spark.read.parquet(*flights.split(","))`), and how a
    job with `argparse` gets one value whether there is one or many.

    :raises FatalFault: WRONG_USE when one of several URIs has a comma, which would read as two, or when
        a value is not a URI (a template that was not rendered).
    """
    words: list[str] = []
    for binding, value in bindings.items():
        uris = [value] if isinstance(value, str) else value
        if not isinstance(uris, list | tuple) or not all(isinstance(uri, str) for uri in uris):
            raise fault("WRONG_USE", f"{binding} is bound to {value!r}, which is not a URI (expected `scheme://…`)")
        if len(uris) > 1 and (torn := next((uri for uri in uris if "," in uri), None)):
            raise fault("WRONG_USE", f"--{binding} has several URIs and {torn!r} has a comma in it", uri=torn)
        words += [f"--{binding}", ",".join(uris)]
    return words


def step_command(submit: Submit, bindings: Mapping[str, object], max_runtime: timedelta) -> list[str]:
    """The words that command-runner runs: `spark-submit` under coreutils' `timeout`, on the cluster itself.

    A job that hangs is ended there, also when Airflow is gone: SIGTERM after `max_runtime`, then SIGKILL.
    """
    seconds = max(1, int(max_runtime.total_seconds()))
    return [
        *("timeout", "--signal=TERM", f"--kill-after={int(KILL_AFTER.total_seconds())}", str(seconds)),
        *("spark-submit", "--deploy-mode", "client", submit.uri),
        *(flags(bindings) if submit.bound else ()),
        *submit.args,
    ]


def not_after(now: datetime, max_runtime: timedelta, jobs: int) -> datetime:
    """When a cluster that is started `now` must be gone, each of its jobs having had `max_runtime`."""
    return now + STARTUP + jobs * (max_runtime + KILL_AFTER)


def cluster_request(
    *,
    name: str,
    cluster: Cluster,
    submits: Sequence[Submit],
    bindings: Mapping[str, object],
    max_runtime: timedelta,
    tags: Mapping[str, str],
) -> dict[str, Any]:
    """The arguments of RunJobFlow. `tags` are ours (`emr/tags.py`); the cluster's own are added.

    Whatever `cluster.run_job_flow` says is merged over it, mappings key by key, except what makes the
    cluster findable and makes it end.

    :raises FatalFault: WRONG_USE when `run_job_flow` sets one of those, or `tags` one of ours.
    """
    request: dict[str, Any] = {
        "ReleaseLabel": cluster.release,
        "Applications": [{"Name": "Spark"}],
        "Instances": _instances(cluster),
        "ServiceRole": cluster.service_role,
        "JobFlowRole": cluster.job_flow_role,
        "AutoTerminationPolicy": {"IdleTimeout": int(IDLE.total_seconds())},
        "VisibleToAllUsers": True,
    }
    if cluster.log_uri:
        request["LogUri"] = cluster.log_uri
    refuse_reserved(cluster)
    request = _merged(request, cluster.run_job_flow)
    if "InstanceFleets" in request["Instances"]:
        # EMR takes groups or fleets, never both: a file that sets fleets wants fleets.
        request["Instances"].pop("InstanceGroups", None)
    return request | {
        "Name": name,
        "Steps": [
            {
                "Name": PurePosixPath(submit.uri).name,
                "ActionOnFailure": "TERMINATE_CLUSTER",
                "HadoopJarStep": {
                    "Jar": "command-runner.jar",
                    "Args": step_command(submit, bindings, max_runtime),
                },
            }
            for submit in submits
        ],
        "Tags": [
            *({"Key": key, "Value": value} for key, value in tags.items()),
            *({"Key": key, "Value": _tag_value(value)} for key, value in cluster.tags.items()),
        ],
    }


def _instances(cluster: Cluster) -> dict[str, Any]:
    groups = [
        {
            "Name": "primary",
            "InstanceRole": "MASTER",
            "InstanceType": cluster.instances.primary,
            "InstanceCount": 1,
        }
    ]
    if (core := cluster.instances.core) is not None:
        groups.append({"Name": "core", "InstanceRole": "CORE", "InstanceType": core.type, "InstanceCount": core.count})
    subnet = {"Ec2SubnetId": cluster.subnet} if cluster.subnet else {}
    return {
        "InstanceGroups": groups,
        "KeepJobFlowAliveWhenNoSteps": False,
        "TerminationProtected": False,
        **subnet,
    }


def refuse_reserved(cluster: Cluster) -> None:
    """Whether the pipeline file sets something that is Sluicegate's to set.

    :raises FatalFault: WRONG_USE; its fact `key` is the key in `run_job_flow` or in `tags`.
    """
    for path in _RESERVED:
        node: object = cluster.run_job_flow
        for part in path.split("."):
            node = node.get(part) if isinstance(node, Mapping) else None
        if node is not None:
            raise fault("WRONG_USE", f"`run_job_flow` of the cluster must not set {path}: Sluicegate does", key=path)
    if ours := next((key for key in cluster.tags if key.startswith(TAG)), None):
        raise fault("WRONG_USE", f"`tags` of the cluster must not set {ours}: {TAG} is Sluicegate's own", key=ours)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` over `below`: mappings merge, everything else replaces."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        both = isinstance(value, Mapping) and isinstance(under, Mapping)
        merged[key] = _merged(under, value) if both and isinstance(under, Mapping) else _plain(value)
    return merged


def _plain(value: Any) -> Any:
    """`value` out of frozen models as what botocore takes: dicts and lists."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value


def _tag_value(value: str) -> str:
    return _UNFIT_FOR_TAG.sub("_", value)[:LONGEST_VALUE]

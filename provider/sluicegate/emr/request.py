"""What RunJobFlow is asked for: one cluster that runs all jobs of a step and then ends by itself.

Values in, a dictionary out. It starts nothing and reads no clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from pathlib import PurePosixPath
from typing import Any

from sluicegate.emr.limits import refuse_oversized
from sluicegate.emr.machines import fleet_request, group_request, scaling_request
from sluicegate.emr.placement import Placement, placements
from sluicegate.faults import fault
from sluicegate.pipeline.check.cluster import cluster_errors
from sluicegate.pipeline.check.jobs import job_errors
from sluicegate.pipeline.diagnostics import dotted
from sluicegate.pipeline.keys.base import one_or_more
from sluicegate.pipeline.keys.cluster import BootstrapAction, Cluster
from sluicegate.pipeline.keys.model import Job

__all__ = [
    "Command",
    "Submit",
    "as_property",
    "cluster_request",
    "flags",
    "not_after",
    "plain_job",
    "require_sound",
    "step_command",
]

KILL_AFTER = timedelta(seconds=60)
"""How long a job that ran too long has to end after SIGTERM."""

STARTUP = timedelta(hours=1)
"""The longest that a cluster may take to start and to end, beside its jobs."""

IDLE = timedelta(hours=1)
"""EMR's own AutoTerminationPolicy: the net below `KeepJobFlowAliveWhenNoSteps=False`."""

_LONGEST_IDLE = timedelta(days=7)
"""The most that EMR takes there."""


@dataclass(frozen=True)
class Submit:
    """One spark-submit: the job file's `s3://` URI and its own arguments.

    `bound`: whether it gets the datasets too. `options` go before the file, as spark-submit's own.
    """

    uri: str
    args: tuple[str, ...] = ()
    bound: bool = True
    options: tuple[str, ...] = ()
    name: str = ""

    @property
    def title(self) -> str:
        return self.name or PurePosixPath(self.uri).name


@dataclass(frozen=True)
class Command:
    """Words that the primary node runs as they are."""

    words: tuple[str, ...]
    name: str = ""

    @property
    def title(self) -> str:
        return self.name or PurePosixPath(self.words[0]).name


def plain_job(job: Job | Mapping[str, Any] | str) -> dict[str, Any]:
    """A job as plain values, which Airflow can render and show: without the keys that say nothing."""
    if isinstance(job, str):
        return {"path": job, "args": []}
    plain = job.model_dump() if isinstance(job, Job) else dict(job)
    lists = {
        key: [str(word) for word in one_or_more(value)]  # type: ignore[attr-defined]
        for key, value in plain.items()
        if key in ("command", "args", "py_files", "jars", "files", "packages") and value
    }
    others = {key: value for key, value in plain.items() if key in ("path", "name", "conf", "options") and value}
    if not lists.get("command"):
        lists.setdefault("args", [])
    return {**others, **lists}


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


def step_command(step: Submit | Command, bindings: Mapping[str, object], max_runtime: timedelta) -> list[str]:
    """The words that command-runner runs: a command under coreutils' `timeout`, on the cluster itself.

    A job that hangs is ended there, also when Airflow is gone: SIGTERM after `max_runtime`, then SIGKILL.
    """
    seconds = max(1, int(max_runtime.total_seconds()))
    limit = ["timeout", "--signal=TERM", f"--kill-after={int(KILL_AFTER.total_seconds())}", str(seconds)]
    if isinstance(step, Command):
        return [*limit, *step.words]
    words = (*step.options, step.uri, *(flags(bindings) if step.bound else ()), *step.args)
    return [*limit, "spark-submit", "--deploy-mode", "client", *words]


def not_after(now: datetime, max_runtime: timedelta, jobs: int) -> datetime:
    """When a cluster that is started `now` must be gone, each of its jobs having had `max_runtime`."""
    return now + STARTUP + jobs * (max_runtime + KILL_AFTER)


def cluster_request(
    *,
    name: str,
    cluster: Cluster,
    steps: Sequence[Submit | Command],
    bindings: Mapping[str, object],
    max_runtime: timedelta,
    tags: Mapping[str, str],
    placement: Placement | None = None,
    bootstrap_uris: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The arguments of RunJobFlow. `tags` are ours (`emr/tags.py`); the cluster's own are added.

    Whatever `cluster.run_job_flow` says is merged over it, mappings key by key, except what makes the
    cluster findable and makes it end.

    :param placement: one of `placements(cluster)`; the first if it is not given
    :param bootstrap_uris: where the bootstrap actions that are local files were uploaded to, by their paths
    :raises FatalFault: WRONG_USE when the cluster contradicts itself, or is more than AWS takes
    """
    require_sound(cluster)
    placement = placement or placements(cluster)[0]
    request: dict[str, Any] = {
        "ReleaseLabel": cluster.release,
        "Applications": [{"Name": name} for name in cluster.applications],
        "Instances": _instances(cluster, placement),
        "ServiceRole": cluster.service_role,
        "JobFlowRole": cluster.job_flow_role,
        "AutoTerminationPolicy": {"IdleTimeout": int(_idle(steps, max_runtime).total_seconds())},
        "VisibleToAllUsers": True,
        **_said(cluster, bootstrap_uris or {}),
    }
    request = _merged(request, cluster.run_job_flow) | {
        "Name": name,
        "Steps": [
            {
                "Name": step.title,
                "ActionOnFailure": "TERMINATE_CLUSTER",
                "HadoopJarStep": {"Jar": "command-runner.jar", "Args": step_command(step, bindings, max_runtime)},
            }
            for step in steps
        ],
        "Tags": [{"Key": key, "Value": value} for key, value in {**tags, **cluster.tags}.items()],
    }
    refuse_oversized(request)
    return request


def _idle(steps: Sequence[Submit | Command], max_runtime: timedelta) -> timedelta:
    """How long the cluster may be without a YARN application, which is what EMR calls idle: a command needs none."""
    if not any(isinstance(step, Command) for step in steps):
        return IDLE
    return min(max(IDLE, max_runtime + KILL_AFTER), _LONGEST_IDLE)


def _instances(cluster: Cluster, placement: Placement) -> dict[str, Any]:
    found = {"KeepJobFlowAliveWhenNoSteps": False, "TerminationProtected": False, **placement.request}
    if cluster.instances:
        found["InstanceGroups"] = group_request(cluster.instances[placement.machines])
    if cluster.fleets:
        found["InstanceFleets"] = fleet_request(cluster.fleets[placement.machines])
    if cluster.ec2_key is not None:
        found["Ec2KeyName"] = cluster.ec2_key
    return found


def _said(cluster: Cluster, bootstrap_uris: Mapping[str, str]) -> dict[str, Any]:
    """What is in the request only if the cluster says it."""
    optional: dict[str, Any] = {
        "LogUri": cluster.log_uri,
        "SecurityConfiguration": cluster.security_configuration,
        "EbsRootVolumeSize": cluster.root_volume,
        "CustomAmiId": cluster.custom_ami,
        "Configurations": [_configuration(name, all_of) for name, all_of in cluster.configurations.items()],
        "BootstrapActions": [_bootstrap_action(action, bootstrap_uris) for action in cluster.bootstrap_actions],
    }
    if cluster.scaling is not None:
        optional["ManagedScalingPolicy"] = scaling_request(cluster.scaling, by_fleets=bool(cluster.fleets))
    return {key: value for key, value in optional.items() if value}


def _configuration(classification: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    inner = {name: value for name, value in properties.items() if isinstance(value, Mapping)}
    found: dict[str, Any] = {
        "Classification": classification,
        "Properties": {name: as_property(value) for name, value in properties.items() if name not in inner},
    }
    if inner:
        found["Configurations"] = [_configuration(name, all_of) for name, all_of in inner.items()]
    return found


def as_property(value: str | int | float | bool) -> str:
    """As Hadoop and Spark write it: `true`, not `True`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _bootstrap_action(action: BootstrapAction, uris: Mapping[str, str]) -> dict[str, Any]:
    script: dict[str, Any] = {"Path": uris.get(action.path, action.path)}
    if action.args:
        script["Args"] = list(action.args)
    return {"Name": action.name or PurePosixPath(action.path).name, "ScriptBootstrapAction": script}


def require_sound(cluster: Cluster, jobs: Sequence[Job] = ()) -> None:
    """Refuse what `sluicegate check` refuses, for DAGs that no check has seen.

    :raises FatalFault: WRONG_USE with the first of `cluster_errors` and `job_errors`
    """
    found = chain(
        (("cluster", wrong) for wrong in cluster_errors(cluster)),
        (("jobs", wrong) for wrong in job_errors(jobs, cluster)),
    )
    if (first := next(found, None)) is not None:
        what, wrong = first
        place = dotted((what, *wrong.where))
        raise fault("WRONG_USE", f"{place}: {wrong.message}", key=place)


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

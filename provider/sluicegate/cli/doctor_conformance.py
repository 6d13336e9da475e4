"""`sluicegate doctor --conformance`: a tiny job on the EMR behind the AWS connection, compared with the local EMR."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import typer

from sluicegate.cli.places import wrong_use

if TYPE_CHECKING:
    from sluicegate.doctor.needs import Needs
    from sluicegate.pipeline.keys.cluster import Cluster

__all__ = ["conformance"]

_MAX_RUNTIME = timedelta(minutes=10)
_LEFT_OUT = frozenset({"Applications", "BootstrapActions", "ManagedScalingPolicy", "AutoScalingRole"})
"""Of a `run_job_flow`: what makes the cluster larger, or brings the pipelines' own code onto it."""
POLL = 10.0
"""Seconds between two looks at the cluster."""


def conformance(needs: Needs, state: Path, deployment: str, *, yes: bool, as_json: bool) -> None:
    """Run it, print the differences, and end with 1 where there are some."""
    from sluicegate.cli.console import stop_on_sigterm
    from sluicegate.cli.doctor_places import aws_of
    from sluicegate.cli.faulting import failing_faults
    from sluicegate.doctor.conformance import compare, talk
    from sluicegate.doctor.reference import local_conversation
    from sluicegate.local.stack.extra import require_extra

    chosen = next(((name, clusters[0]) for name, clusters in needs.clusters.items() if clusters), None)
    if chosen is None:
        wrong_use("doctor", "no pipeline has a spark step: there is no cluster to try")
    connection, cluster = chosen
    small = _small(cluster)
    if not yes:
        where = f"{small.release}, {_machine(small)}, for about ten minutes"
        typer.confirm(
            f"This starts one cluster through the connection {connection}: {where}, at AWS's price for that, and a "
            "minute of S3. It is ended in any case. Go on?",
            abort=True, err=True,
        )  # fmt: skip
    stop_on_sigterm()
    with failing_faults("AWS_UNAVAILABLE", "AWS_DENIED", "TIMED_OUT"):
        require_extra()
        aws = aws_of(connection, state)
        request = _request(small, aws.client("s3", attempts=3), sorted(needs.artifacts)[0], deployment)
        heard = talk(
            aws.client("emr", attempts=8),
            request,
            poll=POLL,
            told=lambda words: typer.echo(words, err=True),
            starter=aws.client("emr", attempts=1),
        )
        differences = compare(heard, local_conversation(request))
    if as_json:
        typer.echo(json.dumps([one.as_json() for one in differences], indent=2))
    for one in () if as_json else differences:
        typer.echo(str(one))
    if not as_json and not differences:
        typer.echo("It answers as the local EMR does.")
    raise typer.Exit(int(bool(differences)))


def _small(cluster: Cluster) -> Cluster:
    """`cluster` with its primary node alone, and none of its own code on it."""
    from sluicegate.pipeline.keys.cluster import Fleets, Instances

    return cluster.model_copy(
        update={
            "instances": tuple(Instances(primary=one.primary) for one in cluster.instances[:1]),
            "fleets": tuple(Fleets(primary=one.primary) for one in cluster.fleets[:1]),
            "by_input": (),
            "scaling": None,
            "bootstrap_actions": (),
            "applications": ("Spark",),
            "run_job_flow": _small_request(cluster.run_job_flow),
        }
    )


def _small_request(said: Mapping[str, Any]) -> dict[str, Any]:
    """What a `run_job_flow` says, with the primary node alone as well: the rest goes to both EMRs as it is."""
    kept = {name: value for name, value in said.items() if name not in _LEFT_OUT}
    if isinstance(instances := said.get("Instances"), Mapping):
        small = {name: value for name, value in instances.items() if name != "SlaveInstanceType"}
        for name, kind in (("InstanceGroups", "InstanceRole"), ("InstanceFleets", "InstanceFleetType")):
            if name in small:
                small[name] = [one for one in small[name] if one.get(kind) == "MASTER"]
        kept["Instances"] = small | ({"InstanceCount": 1} if "InstanceCount" in small else {})
    return kept


def _machine(cluster: Cluster) -> str:
    from sluicegate.doctor.machines import types_of

    return f"one machine ({' or '.join(sorted(types_of(cluster)))})"


def _request(cluster: Cluster, s3: Any, artifacts: str, deployment: str) -> dict[str, Any]:
    from sluicegate.doctor.conformance import JOB, conformance_request
    from sluicegate.emr.artifacts import upload_content
    from sluicegate.emr.request import Submit, cluster_request, not_after
    from sluicegate.emr.tags import NOT_AFTER, TAG, encoded

    job = upload_content(s3, JOB, "conformance.py", artifacts=artifacts)
    end = not_after(datetime.now(UTC), _MAX_RUNTIME, 2)
    return conformance_request(
        cluster_request(
            name=f"sluicegate-conformance-{uuid4().hex[:12]}",
            cluster=cluster,
            steps=[Submit(job, name="ends well"), Submit(job, ("--fail",), name="fails")],
            bindings={},
            max_runtime=_MAX_RUNTIME,
            tags={f"{TAG}deployment": encoded(deployment), NOT_AFTER: encoded(end.isoformat(timespec="seconds"))},
        )
    )

"""`sluicegate health`: what the endpoint of the api-server says, for a person. It changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sluicegate.cli.airflow_options import (
    AirflowOptions,
    StateOption,
    TokenFileOption,
    UrlOption,
    UserOption,
    connected,
)
from sluicegate.cli.clusters_options import UNREACHED, Places
from sluicegate.cli.console import console, failing
from sluicegate.cli.faulting import failing_faults
from sluicegate.cli.places import wrong_use

if TYPE_CHECKING:
    from sluicegate.api import Client

__all__ = ["health"]

_NOT_FOUND, _UNWELL = 404, 503
_DEADLINE = 20.0
"""Seconds after which an Airflow that does not answer is given up: somebody waits for this at night."""


def health(
    pipelines: Annotated[
        list[str] | None, typer.Argument(metavar="[PIPELINE]...", help="Only these; else all, and Airflow itself.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="List the pipelines too with which all is well.")] = False,
    clusters: Annotated[
        bool, typer.Option("--clusters", help="Ask AWS too, for EMR clusters that no task needs any more.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what the endpoint answers.")] = False,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    user: UserOption = None,
    state: StateOption = Path(".sluicegate"),
) -> None:
    """Show how pipelines are: what is late, failing or stalled, and what to do about it.

    Exit 0 if nothing has to be done now (warnings alone do not count), 1 if something has to; 2 for a pipeline that
    does not exist; 3 if Airflow does not say how it is.
    """
    with failing():
        with connected(AirflowOptions(url, token_file, user, state), deadline=_DEADLINE) as client:
            found = (
                _together([_asked(client, name) for name in dict.fromkeys(pipelines)]) if pipelines else _asked(client)
            )
        if clusters:
            with failing_faults(*UNREACHED):
                found = _with_orphans(found, Places(url=url, token_file=token_file, user=user, state=state))
        if as_json:
            typer.echo(json.dumps(found, indent=2))
        else:
            from sluicegate.cli.health_view import print_health

            print_health(console(), found, everything=everything or bool(pipelines))
        raise typer.Exit(0 if found["status"] == "well" else 1)


def _asked(client: Client, pipeline: str | None = None) -> dict[str, Any]:
    """What the endpoint says of one pipeline, or of everything.

    :raises ApiError: when Airflow has no such endpoint
    """
    from sluicegate.api.client import path
    from sluicegate.api.errors import Refused, UnexpectedAnswer

    where = path("health", pipeline) if pipeline is not None else "/health"
    try:
        answer = client.get_plugin(where, meant=frozenset({_UNWELL}))
    except UnexpectedAnswer as page:
        raise _no_plugin(client.url) from page
    except Refused as refused:
        if refused.status != _NOT_FOUND:
            raise
        if pipeline is None or "that you may read" not in refused.message:
            raise _no_plugin(client.url) from refused
        wrong_use("health", f"there is no pipeline {pipeline} that you may read")
    if not isinstance(answer, dict) or "version" not in answer:
        raise _no_plugin(client.url)
    return answer


def _with_orphans(found: dict[str, Any], places: Places) -> dict[str, Any]:
    """The answer with a problem for each orphaned cluster: it costs money, and the endpoint asks no AWS.

    :raises FaultError: when AWS does not answer
    """
    from sluicegate.emr.orphans import Kind

    with places.sweep() as sweep:
        orphans = [each for each in sweep.look() if each.kind is Kind.ORPHAN]
    findings = [
        {
            "what": "orphaned_cluster",
            "severity": "problem",
            "pipeline": None if each.owner is None else each.owner.pipeline,
            "step": None if each.owner is None else each.owner.key.task_id,
            "detail": f"the cluster {each.cluster.cluster_id} ({each.cluster.name}) runs for no task: {each.reason}",
            "remedy": "sluicegate clusters sweep",
            "since": each.cluster.created.isoformat(),
        }
        for each in orphans
    ]
    problems = found["counts"]["problems"] + len(findings)
    return {
        **found,
        "status": "unwell" if findings else found["status"],
        "counts": {**found["counts"], "problems": problems},
        "findings": [*findings, *found["findings"]],
    }


def _no_plugin(url: str) -> Exception:
    from sluicegate.api.errors import UnexpectedAnswer

    return UnexpectedAnswer(
        f"The Airflow at {url} has no /sluicegate/health: its api-server does not have Sluicegate's plugin.",
        "Install airflow-provider-sluicegate where the api-server runs, and start it again; "
        "`airflow plugins` there lists `sluicegate`.",
    )


def _together(answers: list[dict[str, Any]]) -> dict[str, Any]:
    """Several answers as one."""
    first = answers[0]
    return {
        **first,
        "status": "well" if all(each["status"] == "well" for each in answers) else "unwell",
        "counts": {name: sum(each["counts"][name] for each in answers) for name in first["counts"]},
        "pipelines": [pipeline for each in answers for pipeline in each["pipelines"]],
        "findings": [finding for each in answers for finding in each["findings"]],
    }

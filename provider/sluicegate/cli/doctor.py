"""`sluicegate doctor`: what pipelines need and do not have, before they run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
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
from sluicegate.cli.places import existing, root_of, wrong_use

if TYPE_CHECKING:
    from sluicegate.doctor.finding import Finding
    from sluicegate.doctor.needs import Needs

__all__ = ["doctor"]

PATIENCE = 20.0
"""Seconds for which Airflow's API may leave a question unanswered."""


def doctor(
    aws: Annotated[bool, typer.Option("--aws", help="Look at AWS too; it writes and deletes a tiny object.")] = False,
    policy: Annotated[
        bool, typer.Option("--policy", help="Print the least IAM policy for the pipelines' AWS connection instead.")
    ] = False,
    conformance: Annotated[
        bool,
        typer.Option(
            "--conformance", help="Run a tiny job on the EMR behind the connection and compare it with the local EMR."
        ),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="With --conformance: do not ask before a cluster is started.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what is found as a JSON array.")] = False,
    root: Annotated[Path | None, typer.Option(help="The dags root; `dags` if it is not given.")] = None,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    user: UserOption = None,
    state: StateOption = Path(".sluicegate"),
) -> None:
    """Look at what the pipelines need: Airflow, connections, pools; with --aws roles, subnets, quotas, buckets.

    Exit code 0 when nothing failed, 1 when something did, 2 for wrong use, 3 when what failed did not answer.
    """
    from sluicegate.cli.doctor_places import deployment_of, needs_below
    from sluicegate.cli.doctor_view import print_findings
    from sluicegate.doctor.finding import exit_code

    # Airflow's hooks log each call, between the findings.
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "WARNING")
    if aws + policy + conformance > 1:
        wrong_use("doctor", "--aws, --policy and --conformance are three things: give one of them")
    [given] = existing([root] if root else None, root, "doctor")
    tree, needs = needs_below(root_of(given))
    if policy:
        from sluicegate.cli.doctor_places import policy_places
        from sluicegate.doctor.policy import policy as policy_of

        typer.echo(json.dumps(policy_of(policy_places(needs, deployment_of(state))), indent=2))
        return
    if conformance:
        from sluicegate.cli.doctor_conformance import conformance as compared

        compared(needs, state, deployment_of(state), yes=yes, as_json=as_json)
        return
    options = AirflowOptions(url, token_file, user, state)
    findings: list[Finding] = []
    for finding in _findings(tree, needs, options, aws=aws):
        findings.append(finding)
        if not as_json:
            print_findings([finding])
    if as_json:
        from sluicegate.doctor.finding import as_json as plain

        typer.echo(json.dumps(plain(findings), indent=2))
    raise typer.Exit(exit_code(findings))


def _findings(tree: object, needs: Needs, options: AirflowOptions, *, aws: bool) -> Iterator[Finding]:
    from sluicegate.cli.connections import find_connection
    from sluicegate.cli.doctor_places import accounts, deployment_of
    from sluicegate.cli.home import airflow_home
    from sluicegate.doctor.installation import files, installation

    yield from files(tree)  # type: ignore[arg-type]
    with airflow_home():
        found = list(
            installation(needs, deployment_of(options.state), lambda name: find_connection(name, options.state))
        )
    yield from found
    yield from _of_airflow(needs, options)
    if aws:
        yield from accounts(needs, options.state, deployment_of(options.state))


def _of_airflow(needs: Needs, options: AirflowOptions) -> Iterator[Finding]:
    from sluicegate.api.errors import ApiError
    from sluicegate.doctor.finding import Finding, Status, skipped
    from sluicegate.doctor.installation import running_airflow
    from sluicegate.faults import fault
    from sluicegate.local.stack.errors import NotRunning, StackError

    with ExitStack() as stack:
        try:
            client = stack.enter_context(connected(options, deadline=PATIENCE))
        except NotRunning as nowhere:
            yield skipped("Airflow's components and pools", nowhere.message, nowhere.remedy)
            return
        except (ApiError, StackError) as unreached:
            yield Finding("Airflow's API", Status.FAIL, unreached.message, unreached.remedy, reached=False)
            return

        def ask(where: str, query: Mapping[str, Any] | None = None) -> object:
            try:
                return client.get(where, query)
            except ApiError as unanswered:
                raise fault("NETWORK", unanswered.message) from unanswered

        yield from running_airflow(needs, ask)

"""`sluicegate doctor`: what pipelines need and do not have, before they run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
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

PATIENCE = 8.0
"""Seconds for which Airflow's API may leave a question unanswered."""
_LONGEST = 25.0
"""Seconds for a look at a connection, or at all of Airflow."""


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
    from sluicegate.doctor.finding import looked
    from sluicegate.doctor.installation import connections, files, installation
    from sluicegate.doctor.together import together

    yield from files(tree)  # type: ignore[arg-type]
    with airflow_home():
        found = list(installation(deployment_of(options.state)))
        looks = list(connections(needs, lambda name: find_connection(name, options.state)))
        if options.user is None:
            looks.append(("Airflow's API", lambda: _of_airflow(needs, options)))
        found += together(looks, patience=_LONGEST, waiting=_say_waiting)
    yield from found
    if options.user is not None:  # its password may be asked for: not beside the others
        yield from looked("Airflow's API", lambda: _of_airflow(needs, options))
    if aws:
        yield from accounts(needs, options.state, deployment_of(options.state))


def _say_waiting(checks: Sequence[str]) -> None:
    typer.echo(f"waiting for {', '.join(checks)}", err=True)


def _of_airflow(needs: Needs, options: AirflowOptions) -> Iterator[Finding]:
    from sluicegate.api.errors import ApiError
    from sluicegate.doctor.finding import Unfit, skipped
    from sluicegate.doctor.installation import running_airflow
    from sluicegate.local.stack.errors import NotRunning, StackError

    with ExitStack() as stack:
        try:
            client = stack.enter_context(connected(options, deadline=PATIENCE))
        except NotRunning as nowhere:
            yield skipped("Airflow's components and pools", nowhere.message, nowhere.remedy)
            return
        except (ApiError, StackError) as unfit:
            raise Unfit(unfit.message, unfit.remedy, reached=_was_reached(unfit)) from unfit

        def ask(where: str, query: Mapping[str, Any] | None = None) -> object:
            try:
                return client.get(where, query)
            except ApiError as unfit:
                remedy = unfit.remedy or "Is that the address of an Airflow, and does it run?"
                raise Unfit(unfit.message, remedy, reached=_was_reached(unfit)) from unfit

        yield from running_airflow(needs, ask)


def _was_reached(error: Exception) -> bool:
    """Whether something has answered: a wrong password is to be corrected, and not to be waited for."""
    from sluicegate.api.errors import NotReachable, Refused
    from sluicegate.local.stack.errors import StackError

    return not isinstance(error, NotReachable | StackError) and not (isinstance(error, Refused) and error.status >= 500)

"""`sluicegate recover status`: the plans that are or were carried out in an Airflow, from their markers."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sluicegate.cli.airflow_options import (
    AirflowOptions,
    StateOption,
    TokenFileOption,
    UrlOption,
    UserOption,
    connected,
)
from sluicegate.cli.console import console, failing

if TYPE_CHECKING:
    from sluicegate.recovery.marker import Claim

__all__ = ["status"]


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    user: UserOption = None,
    state: StateOption = Path(".sluicegate"),
) -> None:
    """List the plans that are or were carried out in this Airflow, the newest first."""
    from sluicegate.recovery.marker import claims
    from sluicegate.recovery.site_rest import RestSite

    with failing():
        with connected(AirflowOptions(url, token_file, user, state)) as client:
            found = sorted(claims(RestSite(client)).values(), key=lambda each: each.since, reverse=True)
        if as_json:
            typer.echo(json.dumps([asdict(each) for each in found], indent=2))
            return
        out = console()
        if not found:
            out.print("No plan is or was carried out here.")
        for claim in found:
            for line in _lines(claim):
                out.print(line)


def _lines(claim: Claim) -> list[str]:
    from sluicegate.recovery.marker import is_silent

    silent = " (no sign of life: its process may be dead)" if is_silent(claim, datetime.now(UTC)) else ""
    counts = ", ".join(f"{number} {name}" for name, number in claim.counts.items())
    return [
        f"{claim.plan}: {claim.state}{silent}",
        f"  by {claim.who} on {claim.host} since {claim.since}, last seen {claim.seen}",
        f"  reason: {claim.reason}",
        f"  {len(claim.dags)} DAGs, {claim.waves} waves over" + (f"; {counts}" if counts else ""),
    ]

"""`sluicegate clusters list`: what runs, for whom, and until when. It changes nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated

import typer

from sluicegate.cli.clusters_options import UNREACHED, Places
from sluicegate.cli.console import console
from sluicegate.cli.dead_letters_options import with_options
from sluicegate.cli.faulting import failing_faults

__all__ = ["list_clusters"]


@with_options
def list_clusters(
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Those too that are not of this deployment; they are never ended.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as a JSON array.")] = False,
    places: Places,
) -> None:
    """List the clusters that run, the oldest first: whom they work for, until when, and which no task needs."""
    from sluicegate.cli.clusters_view import plain, print_table
    from sluicegate.emr.orphans import Kind

    with failing_faults(*UNREACHED):
        with places.sweep() as sweep:
            found = [each for each in sweep.look() if everything or each.kind is not Kind.FOREIGN]
        if as_json:
            typer.echo(json.dumps([plain(each) for each in found], indent=2))
            return
        if not found:
            typer.echo(f"No cluster of the deployment {sweep.deployment} runs.")
            return
        print_table(console(), found, datetime.now(UTC))

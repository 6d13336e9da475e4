"""`sluicegate alerts list`: what the journal says of alerts. Changes nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from sluicegate.cli.console import console
from sluicegate.cli.dead_letters_options import Place, with_options
from sluicegate.cli.faulting import failing_faults
from sluicegate.cli.journal_options import journal_conninfo

if TYPE_CHECKING:
    from sluicegate.alerts.listing import AlertRow

__all__ = ["list_alerts"]

_COMMAND = "alerts list"


@with_options
def list_alerts(
    *,
    pipeline: Annotated[str | None, typer.Option("--pipeline", "-p", help="Only those of this pipeline.")] = None,
    run: Annotated[str | None, typer.Option(help="Only those of this run, by its id.")] = None,
    since: Annotated[str | None, typer.Option(help="Only since then: 2026-01-05T02:00, or 12h ago.")] = None,
    undelivered: Annotated[bool, typer.Option("--undelivered", help="Only what a channel does not have.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="At most so many; 0 means all.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as a JSON array.")] = False,
    place: Place,
) -> None:
    """List alerts, the newest first: when, of what, by which channel, and what came of it."""
    from sluicegate.alerts.listing import Chosen, rows_of, table_of_alerts
    from sluicegate.recovery.request import moment

    with failing_faults():
        moment_ = None if since is None else moment(since, datetime.now(UTC))
        chosen = Chosen(pipeline, run, moment_, undelivered, limit or None)
        conninfo = journal_conninfo(_COMMAND, place, pipeline, without="the logs of its tasks say what was sent")
        with table_of_alerts(conninfo, application=f"sluicegate {_COMMAND}") as connection:
            found = [] if connection is None else rows_of(connection, chosen)
    if as_json:
        typer.echo(json.dumps([row.as_dict() for row in found], indent=2))
        return
    out = console()
    for row in found:
        out.print(_line(row))
        if row.reason:
            out.print(f"    {row.reason}")
    if not found:
        out.print("No alert matches.")


def _line(row: AlertRow) -> str:
    others = f" (and {row.times - 1:,} more)" if row.times > 1 else ""
    when = row.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{when}  {row.state:<11}  {row.channel:<12}  {row.message.get('title', row.dedupe_key)}{others}"

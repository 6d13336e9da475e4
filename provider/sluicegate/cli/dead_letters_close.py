"""`sluicegate dead-letters discard` and `resolve`: a person closes letters, and says why."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from sluicegate.cli.dead_letters_options import Chosen, PipelineOption, Place, with_options
from sluicegate.cli.faulting import failing_faults
from sluicegate.cli.places import wrong_use

if TYPE_CHECKING:
    from sluicegate.cli.dead_letters_options import Where
    from sluicegate.ledger.letters import LetterStatus, Selection

__all__ = ["discard", "resolve"]

ReasonOption = Annotated[str, typer.Option(help="Why; it is kept with each letter.")]
ByOption = Annotated[str | None, typer.Option(help="Who; by default the user of this process.")]
AllOption = Annotated[bool, typer.Option("--all", help="All open ones, where nothing else narrows them.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say how many it would be.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")]


@with_options
def discard(
    *,
    reason: ReasonOption,
    pipeline: PipelineOption = None,
    chosen: Chosen,
    everything: AllOption = False,
    by: ByOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    place: Place,
) -> None:
    """Close open dead letters whose records are not needed. They stay in the ledger, and no replay takes them again."""
    from sluicegate.ledger.letters import LetterStatus

    with failing_faults():
        where = place.where("dead-letters discard", pipeline, chosen.step)
        narrow = everything or chosen.narrows
        _close(where, chosen.selection(pipeline), LetterStatus.DISCARDED, reason, by, narrow, yes, dry_run, as_json)


@with_options
def resolve(
    *,
    reason: ReasonOption,
    pipeline: PipelineOption = None,
    chosen: Chosen,
    everything: AllOption = False,
    by: ByOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    place: Place,
) -> None:
    """Close open dead letters that were seen to by other means, such as a correction in the table itself."""
    from sluicegate.ledger.letters import LetterStatus

    with failing_faults():
        where = place.where("dead-letters resolve", pipeline, chosen.step)
        narrow = everything or chosen.narrows
        _close(where, chosen.selection(pipeline), LetterStatus.RESOLVED, reason, by, narrow, yes, dry_run, as_json)


def _close(
    where: Where,
    meant: Selection,
    status: LetterStatus,
    reason: str,
    by: str | None,
    narrow: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    from sluicegate.ledger.letters import Closed
    from sluicegate.recovery.planning import myself
    from sluicegate.targets.postgres.ledgers import close_letters, open_ledger

    if not reason.strip():
        wrong_use(where.command, "--reason says nothing")
    if not narrow:
        wrong_use(where.command, "nothing says which: --rule, --window, --id and the like, or --all")
    how = Closed(status, by or myself(), reason)
    conninfo = where.conninfo()
    with open_ledger(conninfo, application=where.command) as ledger:
        count = 0 if ledger is None else ledger.letters.count(meant)
    if count and not (yes or dry_run):
        if not sys.stdin.isatty():
            wrong_use(where.command, f"{count:,} dead letters match; without a terminal, say --yes")
        typer.confirm(f"Close {count:,} dead letters as {status}: {reason}?", abort=True, err=True)
    closed = close_letters(conninfo, meant, how, application=where.command) if count and not dry_run else 0
    if as_json:
        outcome = {"matching": count, "closed": closed, "status": str(status), "by": how.who, "dry_run": dry_run}
        typer.echo(json.dumps(outcome))
        return
    word = f"{count:,} dead letters would be {status}" if dry_run else f"{closed:,} dead letters are {status}"
    typer.echo(word if count else "No open dead letter matches.")

"""`sluicegate clusters sweep`: ends the clusters that no task needs any more, on a person's word."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from sluicegate.cli.clusters_options import UNREACHED, Places
from sluicegate.cli.dead_letters_options import with_options
from sluicegate.cli.faulting import failing_faults

if TYPE_CHECKING:
    from sluicegate.emr.orphans import Judged
    from sluicegate.emr.sweep import Ending

__all__ = ["sweep"]

_LEFT_OVER = 1


@with_options
def sweep(
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="End them; without it, it is only said which.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
    places: Places,
) -> None:
    """Say which clusters no task needs any more; with --yes, end them. Each is looked at again right before its end.

    Ends with 1 when one is left over: it was not to be ended yet, or could not be.
    """
    from sluicegate.emr.orphans import Kind

    with failing_faults(*UNREACHED):
        with places.sweep() as one:
            found = one.look()
            orphans = [each for each in found if each.kind is Kind.ORPHAN]
            endings = one.end(orphans) if yes else []
        unknown = [each for each in found if each.kind is Kind.UNKNOWN]
        if as_json:
            _show_json(one.deployment, orphans, endings, unknown)
        else:
            _show_lines(one.deployment, orphans, endings, unknown)
        if any(each.fault for each in endings) or (orphans and not yes):
            raise typer.Exit(_LEFT_OVER)


def _show_json(deployment: str, orphans: list[Judged], endings: list[Ending], unknown: list[Judged]) -> None:
    from sluicegate.cli.clusters_view import plain

    became = {each.orphan.cluster.cluster_id: each for each in endings}
    rows: list[dict[str, object]] = []
    for each in orphans:
        ending = became.get(each.cluster.cluster_id)
        rows.append(plain(each) | {"ended": bool(ending and ending.done), "outcome": ending.reason if ending else None})
    outcome = {"deployment": deployment, "orphans": rows, "unknown": [plain(each) for each in unknown]}
    typer.echo(json.dumps(outcome, indent=2))


def _show_lines(deployment: str, orphans: list[Judged], endings: list[Ending], unknown: list[Judged]) -> None:
    for each in unknown:
        typer.echo(f"left alone  {_named(each)}: {each.reason}")
    for ending in endings:
        word = "ended      " if ending.done else "NOT ENDED  " if ending.fault else "left alone "
        typer.echo(f"{word} {_named(ending.orphan)}: {ending.reason}")
    if not orphans:
        typer.echo(f"No live cluster of the deployment {deployment} is an orphan.")
    elif not endings:
        for each in orphans:
            typer.echo(f"would end   {_named(each)}: {each.reason}")
        typer.echo("Nothing was ended: say --yes.", err=True)


def _named(each: Judged) -> str:
    cluster, owner = each.cluster, each.owner
    if owner is None:
        return f"{cluster.cluster_id} {cluster.name}"
    return f"{cluster.cluster_id} {owner.pipeline}.{owner.key.task_id} of {owner.key.run_id} ({cluster.state})"

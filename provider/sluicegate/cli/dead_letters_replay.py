"""`sluicegate dead-letters replay`: letters once more, by the way of a load, with the pipeline as its file is now."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sluicegate.cli.console import stop_on_sigterm
from sluicegate.cli.dead_letters_options import Chosen, Place, Where, with_options
from sluicegate.cli.faulting import failing_faults
from sluicegate.cli.places import wrong_use
from sluicegate.cli.reading import load_memory_limit

if TYPE_CHECKING:
    from sluicegate.ledger.letters import Selection
    from sluicegate.load.replay.mend import Mending
    from sluicegate.load.replay.report import ReplayReport

__all__ = ["replay"]

_COMMAND = "dead-letters replay"
_LEFT = 1


@with_options
def replay(
    *,
    pipeline: Annotated[str, typer.Option("--pipeline", "-p", help="The pipeline whose letters are meant.")],
    chosen: Chosen,
    limit: Annotated[int, typer.Option(min=0, help="At most so many of each step; 0 means all.")] = 0,
    fix: Annotated[
        str | None,
        typer.Option(metavar="MODULE:FUNCTION", help="A function that mends a record, found from the dags root."),
    ] = None,
    edited: Annotated[
        Path | None, typer.Option("--from", help="An exported file whose records were edited: those, and only those.")
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Without newest_by: replace rows though nothing says which is newer."),
    ] = False,
    reason: Annotated[str | None, typer.Option(help="Why; it is kept with each letter that goes in.")] = None,
    by: Annotated[str | None, typer.Option(help="Who; by default the user of this process.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would become of them; nothing is kept.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
    place: Place,
) -> None:
    """Bring open dead letters in by the way of a load: same checks, same merge. It may be killed and run again.

    Ends with 1 when some of them are still bad or were left as they are.
    """
    stop_on_sigterm()
    with failing_faults():
        if fix is not None and edited is not None:
            wrong_use(_COMMAND, "--fix and --from are given: choose one")
        if edited is not None and (limit or not edited.is_file()):
            wrong_use(_COMMAND, "--limit does not go with --from" if limit else f"there is no file {edited}")
        where = place.where(_COMMAND, pipeline, chosen.step)
        meant = chosen.selection(pipeline)
        with _mending(fix, place.dags) as mending:
            reports = _replay(where, meant, mending, edited, limit, overwrite, reason, by, dry_run)
        _show(reports, as_json=as_json)
    if any(report.still_bad or report.left for report in reports.values()):
        raise typer.Exit(_LEFT)


def _replay(
    where: Where,
    meant: Selection,
    mending: Mending,
    edited: Path | None,
    limit: int,
    overwrite: bool,
    reason: str | None,
    by: str | None,
    dry_run: bool,
) -> dict[str, ReplayReport]:
    """By step. Each with its own configuration; an edited file is read once for each."""
    from dataclasses import replace

    from sluicegate.load.replay.of_step import for_window, request_of_step
    from sluicegate.load.replay.replay import Replay
    from sluicegate.recovery.planning import myself
    from sluicegate.storage import Storage
    from sluicegate.targets.open import target_named
    from sluicegate.targets.postgres.ledgers import open_ledger
    from sluicegate.targets.target import Target

    pipeline, others = where.read()
    memory_limit = load_memory_limit()
    reports: dict[str, ReplayReport] = {}
    for place in where.places():
        conninfo = where.conninfo() if where.connection or where.url_env else where.of_place(place)
        with open_ledger(conninfo, application=_COMMAND) as ledger:
            if ledger is None:
                continue
        request = request_of_step(pipeline, place.step, others, dry_run=dry_run, memory_limit=memory_limit)
        storage = Storage(place.aws, connection=place.source)
        application = f"{_COMMAND} {pipeline.name}.{place.step.name}"

        def target(name: str, conninfo: str = conninfo, application: str = application, aws: str = place.aws) -> Target:
            return target_named(
                name, conninfo, application=application, storage=Storage(aws), memory_limit=memory_limit
            )

        replay = Replay(
            request, storage, target, target("sluicegate.dead_letters").ledger,
            who=by or myself(), reason=reason, mending=mending, overwrite=overwrite,
            for_window=for_window(pipeline, place.step, others),
        )  # fmt: skip
        selection = replace(meant, step=place.step.name)
        if edited is not None:
            reports[place.step.name] = replay.run_edited(edited, selection)
        else:
            reports[place.step.name] = replay.run(selection, limit or None)
    return reports


@contextmanager
def _mending(fix: str | None, dags: Path) -> Iterator[Mending]:
    from sluicegate.load.replay.mend import AsItIs, Fixed
    from sluicegate.runtime.code import find_function, on_path

    if fix is None:
        yield AsItIs()
        return
    root = str(dags.absolute())
    with on_path(root):
        yield Fixed(find_function(fix, root), fix, root)


def _show(reports: dict[str, ReplayReport], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({step: report.as_dict() for step, report in reports.items()}, indent=2))
        return
    for step, report in reports.items():
        typer.echo(f"{step}: {report.line()}")
    if not reports:
        typer.echo("Nothing was loaded there yet, so there is nothing to replay.")

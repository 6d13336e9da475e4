"""`sluicegate runs diff`: why a number changed between two runs, in words."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from sluicegate.cli.console import console
from sluicegate.cli.dead_letters_options import Place, with_options
from sluicegate.cli.faulting import failing_faults
from sluicegate.cli.places import wrong_use
from sluicegate.cli.runs_options import PipelineOption, ZoneOption, find_run, known_zone, open_journal
from sluicegate.graph.cron import zone

__all__ = ["diff"]


@with_options
def diff(
    *,
    before: Annotated[str, typer.Argument(metavar="A", help="A run: its id or a part of it, a day, or `latest`.")],
    after: Annotated[str, typer.Argument(metavar="B", help="Another one, to which A is compared.")],
    pipeline: PipelineOption = None,
    timezone: ZoneOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers and the reasons as JSON.")] = False,
    place: Place,
) -> None:
    """Say what differs from the run A to the run B: first the numbers, then the reasons, the likeliest first.

    Exits with 0 where nothing differs, and with 1 where something does.
    """
    from sluicegate.receipts.differences import difference
    from sluicegate.receipts.page import window_words

    command = "runs diff"
    with failing_faults():
        with open_journal(command, place, pipeline) as receipts:
            runs = [
                find_run(command, receipts, said, pipeline, known_zone(command, timezone)) for said in (before, after)
            ]
        if len(names := sorted({run.pipeline for run in runs})) > 1:
            wrong_use(command, f"the runs are of {' and '.join(names)}: runs of one pipeline are compared, say -p")
        found = difference(*runs)
        if as_json:
            both = {
                name: {"pipeline": run.pipeline, "run_id": run.run_id} for name, run in zip("ab", runs, strict=True)
            }
            typer.echo(json.dumps({**both, **found.as_dict()}, indent=1, ensure_ascii=False))
        else:
            out = console()
            for name, run in zip("AB", runs, strict=True):
                window = "" if run.window is None else f" ({window_words(run.window, zone(timezone or run.timezone))})"
                out.print(f"{name}  {run.pipeline}  {run.run_id}{window}")
            for line in ("", *found.numbers) if found.numbers else ():
                out.print(line)
            out.print(f"\n{found.conclusion}")
            for number, reason in enumerate(found.reasons, 1):
                out.print(f"{number:3}. {reason.words}")
            if found.unknown:
                out.print(f"\nNot known, and so not compared: {'; '.join(found.unknown)}.")
        if found.numbers or found.reasons:
            raise typer.Exit(1)

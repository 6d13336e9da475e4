"""`sluicegate runs list` and `show`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sluicegate.cli.console import console
from sluicegate.cli.dead_letters_options import Place, with_options
from sluicegate.cli.faulting import failing_faults
from sluicegate.cli.places import wrong_use
from sluicegate.cli.runs_options import PipelineOption, ZoneOption, find_run, known_zone, open_journal, span_of
from sluicegate.graph.cron import zone

if TYPE_CHECKING:
    from sluicegate.ledger.postgres.receipts import Chosen, PostgresReceipts
    from sluicegate.receipts.run import RunReceipt

__all__ = ["list_runs", "show"]

_PAGE = 100
_STATUSES = ("running", "succeeded", "skipped", "failed")
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Its id or a part of it, a day, or `latest`.")]


@with_options
def list_runs(
    *,
    pipeline: PipelineOption = None,
    status: Annotated[str | None, typer.Option(help="Only those: running, succeeded, skipped or failed.")] = None,
    since: Annotated[str | None, typer.Option(help="Only those that began then or later: 2026-01-01.")] = None,
    window: Annotated[
        str | None, typer.Option(help="Only those whose window begins in it: 2026-01-01..2026-01-07, or one day.")
    ] = None,
    timezone: ZoneOption = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many; 0 means all.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as a JSON array.")] = False,
    place: Place,
) -> None:
    """List the runs of which receipts are kept, the latest first."""
    from sluicegate.ledger.postgres.receipts import Chosen

    command = "runs list"
    with failing_faults():
        if status is not None and status not in _STATUSES:
            wrong_use(command, f"--status {status!r}: expected one of {', '.join(_STATUSES)}")
        known_zone(command, timezone)
        if since is not None and ".." in since:
            wrong_use(command, f"--since {since!r}: expected one day or time; --window takes two")
        of_window = None if window is None else span_of(command, "--window", window)
        of_start = None if since is None else replace(span_of(command, "--since", since), end=None)
        begin, end = of_window.wide if of_window else (None, None)
        chosen = Chosen(pipeline, None, begin, end, of_start.wide[0] if of_start else None)

        def wanted(run: RunReceipt) -> bool:
            own = timezone or run.timezone
            return (
                (status is None or run.status == status)
                and (of_window is None or (run.window is not None and of_window.holds(run.window.start, own)))
                and (of_start is None or of_start.holds(run.started_at, own))
            )

        with open_journal(command, place, pipeline) as receipts:
            runs = _each(receipts, chosen, wanted, limit or None, status is not None)
            if as_json:
                typer.echo(json.dumps([_row(run) for run in runs], indent=1, ensure_ascii=False))
            else:
                _print(runs, timezone)


@with_options
def show(
    *,
    run: RunArgument,
    pipeline: PipelineOption = None,
    timezone: ZoneOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all that is known of it, as JSON.")] = False,
    place: Place,
) -> None:
    """Show what code, configuration and input made a run, then each step with its counts, seconds and faults."""
    from sluicegate.receipts.page import page_of
    from sluicegate.receipts.run import summary

    command = "runs show"
    with failing_faults(), open_journal(command, place, pipeline) as receipts:
        found = find_run(command, receipts, run, pipeline, known_zone(command, timezone))
        if as_json:
            typer.echo(json.dumps(summary(found), indent=1, ensure_ascii=False))
            return
        out = console()
        for line in page_of(found, timezone):
            out.print(line)


def _each(
    receipts: PostgresReceipts | None,
    chosen: Chosen,
    wanted: Callable[[RunReceipt], bool],
    limit: int | None,
    few: bool,
) -> Iterator[RunReceipt]:
    from sluicegate.receipts.run import RunReceipt

    # Each page counts all runs: where most are left out, few pages are read.
    most = 20 * _PAGE if few else _PAGE
    skip = count = 0
    while receipts is not None and count != limit:
        page = receipts.runs(chosen, most, skip)
        for some in page:
            run = RunReceipt(tuple(some))
            if wanted(run) and count != limit:
                count += 1
                yield run
        if len(page) < most:
            return
        skip += most


def _row(run: RunReceipt) -> dict[str, Any]:
    window = run.window
    return {
        "pipeline": run.pipeline,
        "run_id": run.run_id,
        "status": str(run.status),
        "window": None if window is None else {"start": window.start.isoformat(), "end": window.end.isoformat()},
        "timezone": run.timezone,
        "started_at": run.started_at.isoformat(),
        "ended_at": None if run.ended_at is None else run.ended_at.isoformat(),
        "counts": dict(run.counts),
        "faults": {name: found.get("code") for name, found in run.faults.items()},
    }


def _print(runs: Iterable[RunReceipt], timezone: str | None) -> None:
    """A table on a terminal, tabs between values elsewhere."""
    from rich.table import Table
    from rich.text import Text

    from sluicegate.receipts.page import count_words, moment, seconds_words, status_words, window_words

    out = console()
    table = Table("pipeline", "run", "status", "window", "began", "took", "records", box=None, pad_edge=False)
    count = 0
    for count, run in enumerate(runs, 1):  # noqa: B007 - whether there was one
        took = "" if run.ended_at is None else seconds_words((run.ended_at - run.started_at).total_seconds())
        place = zone(timezone or run.timezone)
        row = (
            run.pipeline, run.run_id, status_words(run), "" if run.window is None else window_words(run.window, place),
            moment(run.started_at, place), took, count_words(run.counts),
        )  # fmt: skip
        if out.is_terminal:
            table.add_row(*map(Text, row))
        else:
            typer.echo("\t".join(row))
    if out.is_terminal and count:
        out.print(table)
    if not count:
        typer.echo("No run matches.", err=True)

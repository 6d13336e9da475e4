"""`sluicegate runs list` and `show`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sluicegate.cli.console import console
from sluicegate.cli.dead_letters_options import Place, window_of, with_options
from sluicegate.cli.faulting import failing_faults
from sluicegate.cli.places import wrong_use
from sluicegate.cli.runs_options import PipelineOption, find_run, open_journal

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
    since: Annotated[str | None, typer.Option(help="Only those that began then or later, in UTC: 2026-01-01.")] = None,
    window: Annotated[
        str | None, typer.Option(help="Only those whose window begins in it: 2026-01-01..2026-01-07, or one day.")
    ] = None,
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
        begin, end = (None, None) if window is None else window_of(window)
        chosen = Chosen(pipeline, None, begin, end, None if since is None else _moment(command, since))
        with open_journal(command, place, pipeline) as receipts:
            runs = _each(receipts, chosen, status, limit or None)
            if as_json:
                typer.echo(json.dumps([_row(run) for run in runs], indent=1, ensure_ascii=False))
            else:
                _print(runs)


@with_options
def show(
    *,
    run: RunArgument,
    pipeline: PipelineOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all that is known of it, as JSON.")] = False,
    place: Place,
) -> None:
    """Show what code, configuration and input made a run, then each step with its counts, seconds and faults."""
    from sluicegate.receipts.page import page_of
    from sluicegate.receipts.run import summary

    command = "runs show"
    with failing_faults(), open_journal(command, place, pipeline) as receipts:
        found = find_run(command, receipts, run, pipeline)
        if as_json:
            typer.echo(json.dumps(summary(found), indent=1, ensure_ascii=False))
            return
        out = console()
        for line in page_of(found):
            out.print(line)


def _each(
    receipts: PostgresReceipts | None, chosen: Chosen, status: str | None, limit: int | None
) -> Iterator[RunReceipt]:
    from sluicegate.receipts.run import RunReceipt

    # Each page counts all runs: where most are left out, few pages are read.
    most = _PAGE if status is None else 20 * _PAGE
    skip = count = 0
    while receipts is not None and count != limit:
        page = receipts.runs(chosen, most, skip)
        for some in page:
            run = RunReceipt(tuple(some))
            if (status is None or run.status == status) and count != limit:
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
        "started_at": run.started_at.isoformat(),
        "ended_at": None if run.ended_at is None else run.ended_at.isoformat(),
        "counts": dict(run.counts),
        "faults": {name: found.get("code") for name, found in run.faults.items()},
    }


def _print(runs: Iterable[RunReceipt]) -> None:
    """A table on a terminal, tabs between values elsewhere."""
    from rich.table import Table
    from rich.text import Text

    from sluicegate.receipts.page import count_words, moment, seconds_words, status_words, window_words

    out = console()
    table = Table("pipeline", "run", "status", "window", "began", "took", "records", box=None, pad_edge=False)
    count = 0
    for count, run in enumerate(runs, 1):  # noqa: B007 - whether there was one
        took = "" if run.ended_at is None else seconds_words((run.ended_at - run.started_at).total_seconds())
        row = (
            run.pipeline, run.run_id, status_words(run), "" if run.window is None else window_words(run.window),
            moment(run.started_at), took, count_words(run.counts),
        )  # fmt: skip
        if out.is_terminal:
            table.add_row(*map(Text, row))
        else:
            typer.echo("\t".join(row))
    if out.is_terminal and count:
        out.print(table)
    if not count:
        typer.echo("No run matches.", err=True)


def _moment(command: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        wrong_use(command, f"--since {text!r}: expected a day or a time, such as 2026-01-01 or 2026-01-01T06:00")
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)

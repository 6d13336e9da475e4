"""How the commands about runs find the journal, and a run in it by what a person says of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Annotated

import typer

from sluicegate.cli.dead_letters_options import Place
from sluicegate.cli.journal_options import journal_conninfo
from sluicegate.cli.places import wrong_use
from sluicegate.graph.cron import zone

if TYPE_CHECKING:
    from sluicegate.ledger.postgres.receipts import PostgresReceipts
    from sluicegate.ledger.receipts import Receipt
    from sluicegate.receipts.run import RunReceipt

__all__ = [
    "PipelineOption", "Span", "ZoneOption", "find_run", "known_zone", "open_journal", "span_of", "whole",
]  # fmt: skip

PipelineOption = Annotated[str | None, typer.Option("--pipeline", "-p", help="Only runs of this pipeline.")]
ZoneOption = Annotated[
    str | None,
    typer.Option(
        "--timezone", metavar="NAME", help="In which days and times are meant and shown, not each pipeline's."
    ),
]
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_MOST = 20
_MOST_OF_A_DAY = 200
_FURTHEST = timedelta(hours=15)
"""Which no time zone is away from UTC."""


@contextmanager
def open_journal(command: str, place: Place, pipeline: str | None) -> Iterator[PostgresReceipts | None]:
    """The receipts in the pipeline's journal, or in that which all pipelines have in common."""
    from sluicegate.ledger.postgres.receipts import open_receipts

    without = "what its steps did is in their XCom sluicegate_receipt"
    conninfo = journal_conninfo(command, place, pipeline, without=without)
    with open_receipts(conninfo, application=command) as receipts:
        yield receipts


@dataclass(frozen=True)
class Span:
    """From one moment to before another one, if there is one; in each pipeline's time zone where they name none."""

    begin: datetime
    end: datetime | None

    @property
    def wide(self) -> tuple[datetime, datetime | None]:
        """What it is within, in whichever time zone."""
        end = None if self.end is None else _in(self.end, UTC) + _FURTHEST
        return _in(self.begin, UTC) - _FURTHEST, end

    def holds(self, moment: datetime, timezone: str) -> bool:
        """Whether `moment` is in it, in a pipeline with that time zone."""
        place = zone(timezone)
        return _in(self.begin, place) <= moment and (self.end is None or moment < _in(self.end, place))


def _in(moment: datetime, place: tzinfo) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=place)


def span_of(command: str, option: str, text: str) -> Span:
    """The span of a day, of all days from one to another (`2026-01-01..2026-01-07`), or between two times."""
    first, _, last = text.partition("..")
    try:
        begin, end = (datetime.fromisoformat(part.strip()) for part in (first, last or first))
    except ValueError as error:
        wrong_use(command, f"{option} {text!r}: expected a day, two or two times, 2026-01-01..2026-01-07: {error}")
    if (begin.tzinfo is None) is not (end.tzinfo is None):
        wrong_use(command, f"{option} {text!r}: one of the two times has a time zone, and the other one does not")
    return Span(begin, end + timedelta(days=1) if len((last or first).strip()) <= len("2026-01-01") else end)


def known_zone(command: str, timezone: str | None) -> str | None:
    """`timezone`, once it is clear that there is one of that name."""
    try:
        if timezone is not None:
            zone(timezone)
    except (ValueError, OSError, KeyError):
        wrong_use(command, f"--timezone {timezone!r}: expected the IANA name of a time zone, such as Europe/Berlin")
    return timezone


def find_run(
    command: str, receipts: PostgresReceipts | None, said: str, pipeline: str | None, timezone: str | None = None
) -> RunReceipt:
    """The run that `said` names: its id or a part of it, the day of its window, or `latest`.

    :param timezone: in which the day is meant; that of each pipeline unless given
    """
    from sluicegate.ledger.postgres.receipts import Chosen

    found: list[Sequence[Receipt]] = []
    if receipts is not None:
        if said == "latest":
            found = list(receipts.runs(Chosen(pipeline), 1))
        elif _DAY.fullmatch(said):  # before ids: Airflow puts the day into them after which a run began
            found = list(_of_day(receipts, pipeline, span_of(command, "", said), timezone))
        if not found:
            found = list(receipts.runs(Chosen(pipeline, run=said), _MOST))
            found = [run for run in found if run[0].attempt.run_id == said] or found
    if receipts is None or not found:
        wrong_use(command, f"there is no run {said}{f' of {pipeline}' if pipeline else ''} in the journal")
    if len(found) > 1:
        names = ", ".join(f"{run[0].attempt.pipeline} {run[0].attempt.run_id}" for run in found[:5])
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        wrong_use(command, f"several runs match {said}: {names}{more}; say the whole id, or -p PIPELINE")
    return whole(receipts, found[0][0].attempt.pipeline, found[0][0].attempt.run_id)


def _of_day(
    receipts: PostgresReceipts, pipeline: str | None, day: Span, timezone: str | None
) -> Iterator[Sequence[Receipt]]:
    from sluicegate.ledger.postgres.receipts import Chosen
    from sluicegate.receipts.run import RunReceipt

    begin, end = day.wide
    for some in receipts.runs(Chosen(pipeline, since=begin, until=end), _MOST_OF_A_DAY):
        run = RunReceipt(tuple(some))
        if run.window is not None and day.holds(run.window.start, timezone or run.timezone):
            yield some


def whole(receipts: PostgresReceipts, pipeline: str, run_id: str) -> RunReceipt:
    """The run with all of its documents, and what its pipeline said when it ended."""
    from sluicegate.receipts.run import RunReceipt

    run = RunReceipt(tuple(receipts.run(pipeline, run_id)))
    digest = run.latest.configuration
    return run if digest is None else RunReceipt(run.receipts, receipts.configuration(digest))

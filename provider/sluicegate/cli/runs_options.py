"""How the commands about runs find the journal, and a run in it by what a person says of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from sluicegate.cli.dead_letters_options import Place
from sluicegate.cli.journal_options import journal_conninfo
from sluicegate.cli.places import wrong_use

if TYPE_CHECKING:
    from sluicegate.ledger.postgres.receipts import PostgresReceipts
    from sluicegate.ledger.receipts import Receipt
    from sluicegate.receipts.run import RunReceipt

__all__ = ["PipelineOption", "find_run", "open_journal", "whole"]

PipelineOption = Annotated[str | None, typer.Option("--pipeline", "-p", help="Only runs of this pipeline.")]
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_MOST = 20


@contextmanager
def open_journal(command: str, place: Place, pipeline: str | None) -> Iterator[PostgresReceipts | None]:
    """The receipts in the pipeline's journal, or in that which all pipelines have in common."""
    from sluicegate.ledger.postgres.receipts import open_receipts

    without = "what its steps did is in their XCom sluicegate_receipt"
    conninfo = journal_conninfo(command, place, pipeline, without=without)
    with open_receipts(conninfo, application=command) as receipts:
        yield receipts


def find_run(command: str, receipts: PostgresReceipts | None, said: str, pipeline: str | None) -> RunReceipt:
    """The run that `said` names: its id or a part of it, the day of its window, or `latest`."""
    from sluicegate.ledger.postgres.receipts import Chosen

    found: list[Sequence[Receipt]] = []
    if receipts is not None:
        if said == "latest":
            found = list(receipts.runs(Chosen(pipeline), 1))
        elif _DAY.fullmatch(said):  # before ids: Airflow puts the day into them after which a run began
            day = datetime.fromisoformat(said).replace(tzinfo=UTC)
            found = list(receipts.runs(Chosen(pipeline, since=day, until=day + timedelta(days=1)), _MOST))
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


def whole(receipts: PostgresReceipts, pipeline: str, run_id: str) -> RunReceipt:
    """The run with all of its documents, and what its pipeline said when it ended."""
    from sluicegate.receipts.run import RunReceipt

    run = RunReceipt(tuple(receipts.run(pipeline, run_id)))
    digest = run.latest.configuration
    return run if digest is None else RunReceipt(run.receipts, receipts.configuration(digest))

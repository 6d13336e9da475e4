"""How the commands about runs find the journal, and a run in it by what a person says of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from sluicegate.cli.dead_letters_options import Place
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

    where = place.where(command, pipeline)
    if place.url_env is not None or place.connection is not None:
        conninfo = where.conninfo()
    else:
        conninfo = where.of_connection(_journal(command, place, pipeline))
    with open_receipts(conninfo, application=command) as receipts:
        yield receipts


def _journal(command: str, place: Place, pipeline: str | None) -> str:
    """The Airflow connection of the journal."""
    from sluicegate.graph.journal import journal_of
    from sluicegate.pipeline.tree import read_tree

    if pipeline is not None:
        journal = journal_of(place.where(command, pipeline).read()[0])
        if journal is None:
            wrong_use(
                command,
                f"{pipeline} has no journal: it loads into no table, and `connections.ledger` is not said; what its "
                "steps did is in their XCom sluicegate_receipt",
            )
        return journal
    if not place.dags.is_dir():
        wrong_use(command, f"there is no folder {place.dags}: say --dags, --connection ID or --url-env NAME")
    journals = {journal_of(each) for each in read_tree(place.dags).readable.values()} - {None}
    if len(journals) != 1:
        found = f"have {len(journals)} journals ({', '.join(sorted(map(str, journals)))})" if journals else "have none"
        wrong_use(command, f"the pipelines below {place.dags} {found}: say -p PIPELINE or --connection ID")
    return str(journals.pop())


def find_run(command: str, receipts: PostgresReceipts | None, said: str, pipeline: str | None) -> RunReceipt:
    """The run that `said` names: its id or a part of it, the day of its window, or `latest`."""
    from sluicegate.ledger.postgres.receipts import Chosen

    found: list[Sequence[Receipt]] = []
    if receipts is not None:
        if said == "latest":
            found = list(receipts.runs(Chosen(pipeline), 1))
        else:
            found = list(receipts.runs(Chosen(pipeline, run=said), _MOST))
            found = [run for run in found if run[0].attempt.run_id == said] or found
        if not found and _DAY.fullmatch(said):
            day = datetime.fromisoformat(said).replace(tzinfo=UTC)
            found = list(receipts.runs(Chosen(pipeline, since=day, until=day + timedelta(days=1)), _MOST))
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

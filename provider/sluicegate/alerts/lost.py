"""The steps of a run whose processes were killed: Airflow calls no callback of theirs, only that of the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sluicegate.alerts.context import airflow_address, masked, playbook_address
from sluicegate.alerts.message import Alert
from sluicegate.alerts.written import what_was_written
from sluicegate.faults import fault
from sluicegate.faults.section import Playbook
from sluicegate.ledger.receipts import Receipt, Status
from sluicegate.runtime.journal import in_journal, journal_from

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg
    from airflow.sdk import Context

__all__ = ["alerts_of_lost"]


def alerts_of_lost(context: Context, *, pipeline: str, owner: str = "") -> Iterator[Alert]:
    """One alert for each step of a failed run that has begun and not ended, by its receipts. Nothing without a journal.

    :param context: that of the run's callback
    """
    run_id = str(context["run_id"])

    def work(connection: psycopg.Connection[tuple[Any, ...]]) -> Sequence[Receipt]:
        from sluicegate.ledger.postgres.receipts import PostgresReceipts

        return PostgresReceipts(connection).run(pipeline, run_id)

    receipts = in_journal(journal_from(context), "which steps were killed", work) or ()
    last = {(each.attempt.step, each.attempt.map_index): each for each in sorted(receipts, key=lambda one: one.attempt)}
    for receipt in last.values():
        if receipt.status is Status.RUNNING:
            yield _alert(receipt, context.get("dag"), owner)


def _alert(receipt: Receipt, dag: Any, owner: str) -> Alert:
    attempt, document = receipt.attempt, receipt.document
    worker: Mapping[str, Any] = document.get("worker") or {}
    place = f"its process {worker.get('pid')} on {worker.get('host')}" if worker else "its process"
    error = fault("WORKER_LOST", f"{place} was killed, most likely by the system for its memory")
    kind = str(document.get("operator") or "").rpartition(".")[2]
    return Alert(
        attempt.pipeline,
        error.fault,
        detail=error.detail,
        step=attempt.step,
        run_id=attempt.run_id,
        map_index=attempt.map_index,
        window=receipt.window,
        params={name: masked(str(value)) for name, value in (document.get("params") or {}).items()},
        written=what_was_written(kind, error),
        playbook=playbook_address(Playbook.of(dag, attempt.pipeline), error.code),
        owner=owner,
        tries=attempt.try_number,
        airflow=airflow_address(),
    )

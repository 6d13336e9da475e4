"""The steps of a run whose processes were killed: Airflow calls no callback of theirs, only that of the run."""

from __future__ import annotations

import time
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

SETTLES_WITHIN = 5.0
"""Seconds from a heartbeat until a process that a person has ended has left its trace."""


def alerts_of_lost(context: Context, *, pipeline: str, owner: str = "") -> Iterator[Alert]:
    """One alert for each step of a failed run that has begun and not ended, by its receipts. Nothing without a journal.

    :param context: that of the run's callback
    """
    lost = _lost(journal_from(context), pipeline, str(context["run_id"]))
    if not lost:
        return
    # A step that a person has marked fails its run at once, and its process learns of it by its next heartbeat.
    until = time.monotonic() + _heartbeat() + SETTLES_WITHIN
    while lost and time.monotonic() < until:
        time.sleep(min(1.0, SETTLES_WITHIN))
        lost = _lost(journal_from(context), pipeline, str(context["run_id"]))
    for receipt in lost:
        yield _alert(receipt, context.get("dag"), owner)


def _lost(journal: str | None, pipeline: str, run_id: str) -> list[Receipt]:
    """The last try of each step of the run that has begun and not ended."""

    def work(connection: psycopg.Connection[tuple[Any, ...]]) -> Sequence[Receipt]:
        from sluicegate.ledger.postgres.receipts import PostgresReceipts

        return PostgresReceipts(connection).run(pipeline, run_id)

    receipts = in_journal(journal, "which steps were killed", work) or ()
    last = {(each.attempt.step, each.attempt.map_index): each for each in sorted(receipts, key=lambda one: one.attempt)}
    return [receipt for receipt in last.values() if receipt.status is Status.RUNNING]


def _heartbeat() -> float:
    from airflow.sdk.configuration import conf

    return float(conf.getint("workers", "min_heartbeat_interval", fallback=5))


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

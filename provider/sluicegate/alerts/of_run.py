"""What only the callback of a run knows: that the run took too long, and which steps' processes were killed. Airflow
calls nothing of these steps.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sluicegate.alerts.context import airflow_address, masked, playbook_address, round_of, run_address
from sluicegate.alerts.message import Alert
from sluicegate.alerts.written import what_was_written
from sluicegate.faults import FaultError, fault
from sluicegate.faults.section import Playbook
from sluicegate.ledger.killed import closed, lost_worker
from sluicegate.ledger.receipts import Receipt, Status
from sluicegate.runtime.journal import in_journal, journal_from
from sluicegate.runtime.operator import run_window

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg
    from airflow.sdk import Context

__all__ = ["alerts_of_run"]

SETTLES_WITHIN = 5.0
"""Seconds from a heartbeat until a process that a person has ended has left its trace."""


_begun: dict[int, float] = {}
"""By process, when it was first asked."""
_OF_THE_RUN = {
    "timed_out": ("TIMED_OUT", "the run took longer than `dagrun_timeout`; what ran was stopped"),
    "all_tasks_deadlocked": ("UNKNOWN", "no task of the run can go on: each waits for one that will not run"),
}
"""Why a run fails although none of its tasks does, in Airflow's word for it."""


def alerts_of_run(context: Context, *, pipeline: str, owner: str = "") -> Iterator[Alert]:
    """The alert of a failed run that is not one of a step's, and one for each step that has begun and not ended: by its
    receipt, so without a journal none.

    :param context: that of the run's callback
    """
    if (known := _OF_THE_RUN.get(str(context.get("reason")))) is not None:
        yield _alert_of_all(context, fault(*known), pipeline, owner)
        return
    lost = _lost(journal_from(context), pipeline, str(context["run_id"]))
    if not lost:
        return
    # A step that a person has marked fails its run at once, and its process learns of it by its next heartbeat. All
    # runs whose callbacks one process of Airflow's calls had failed when it began: it waits once.
    until = _begun.setdefault(os.getpid(), time.monotonic()) + _heartbeat() + SETTLES_WITHIN
    while lost and time.monotonic() < until:
        time.sleep(min(1.0, SETTLES_WITHIN))
        lost = _lost(journal_from(context), pipeline, str(context["run_id"]))
    _close(journal_from(context), lost)
    for receipt in lost:
        yield replace(_alert(receipt, context.get("dag"), owner), round=round_of(context))


def _lost(journal: str | None, pipeline: str, run_id: str) -> list[Receipt]:
    """The last try of each step of the run that has begun and not ended."""

    def work(connection: psycopg.Connection[tuple[Any, ...]]) -> Sequence[Receipt]:
        from sluicegate.ledger.postgres.receipts import PostgresReceipts

        return PostgresReceipts(connection).run(pipeline, run_id)

    receipts = in_journal(journal, "which steps were killed", work) or ()
    last = {(each.attempt.step, each.attempt.map_index): each for each in sorted(receipts, key=lambda one: one.attempt)}
    return [receipt for receipt in last.values() if receipt.status is Status.RUNNING]


def _close(journal: str | None, lost: Sequence[Receipt]) -> None:
    """Say so in their receipts: the watch alerts what is there as failed, should this process die now."""

    def work(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        from sluicegate.ledger.postgres.receipts import PostgresReceipts

        for each in lost:
            PostgresReceipts(connection).close(closed(each, datetime.now(UTC), lost_worker(each)))

    if lost:
        in_journal(journal, "that steps were killed", work)


def _alert_of_all(context: Context, error: FaultError, pipeline: str, owner: str) -> Alert:
    zone = getattr(context.get("dag"), "window_timezone", "UTC")
    window = None
    with suppress(Exception):  # Airflow gives a task's context, or next to nothing
        window = run_window(context).in_zone(zone)
    return Alert(
        pipeline,
        error.fault,
        detail=error.detail,
        run_id=str(context["run_id"]),
        window=window,
        log=run_address(pipeline, str(context["run_id"])),
        playbook=playbook_address(Playbook.of(context.get("dag"), pipeline), error.code),
        owner=owner,
        round=round_of(context),
        airflow=airflow_address(),
    )


def _heartbeat() -> float:
    from airflow.sdk.configuration import conf

    return float(conf.getint("workers", "min_heartbeat_interval", fallback=5))


def _alert(receipt: Receipt, dag: Any, owner: str) -> Alert:
    attempt, document = receipt.attempt, receipt.document
    error = lost_worker(receipt)
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
        log=run_address(attempt.pipeline, attempt.run_id, attempt.step, attempt.map_index, attempt.try_number),
        playbook=playbook_address(Playbook.of(dag, attempt.pipeline), error.code),
        owner=owner,
        tries=attempt.try_number,
        airflow=airflow_address(),
    )

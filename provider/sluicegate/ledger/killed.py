"""The end of a try whose process was killed: it is said by those who notice. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sluicegate.faults.errors import FaultError, fault
from sluicegate.ledger.receipts import Receipt, Status

__all__ = ["FROM_OUTSIDE", "closed", "lost_worker", "settled"]

FROM_OUTSIDE = "it was ended from outside"
"""Why a try failed that a person has marked, cleared or stopped."""
_ENDED = frozenset({"success", "skipped", "upstream_failed", "removed"})


def lost_worker(receipt: Receipt) -> FaultError:
    """WORKER_LOST, with the process that the try had."""
    worker: Mapping[str, Any] = receipt.part("worker")
    place = f"its process {worker.get('pid')} on {worker.get('host')}" if worker else "its process"
    return fault("WORKER_LOST", f"{place} was killed, most likely by the system for its memory")


def closed(receipt: Receipt, at: datetime, error: FaultError | None = None) -> Receipt:
    """The receipt as one that has failed with `error`; without one, a person has ended it."""
    why: dict[str, Any] = {"reason": FROM_OUTSIDE}
    if error is not None:
        why = {"fault": {"code": error.code, "class": str(error.fault.kind), "detail": error.detail}}
    return replace(receipt, status=Status.FAILED, ended_at=at, document={**receipt.document, **why})


def settled(receipt: Receipt, state: str | None, at: datetime) -> Receipt | None:
    """The receipt of a try that has left no end, closed by the state that Airflow has its task in; None where it may
    still go on.
    """
    if state == "failed":
        return closed(receipt, at, lost_worker(receipt) if receipt.status is Status.RUNNING else None)
    return closed(receipt, at) if state in _ENDED else None

"""What becomes of the receipt of a try that has left no end, by the state that Airflow has its task in."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sluicegate.ledger.killed import FROM_OUTSIDE, settled
from sluicegate.ledger.receipts import Attempt, Receipt, Status

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "state", "why"),
    [
        (Status.RUNNING, "failed", "WORKER_LOST"),
        (Status.DEFERRED, "failed", FROM_OUTSIDE),  # no process of ours had died: a person has marked it
        (Status.RUNNING, "success", FROM_OUTSIDE),
        (Status.RUNNING, "running", None),
        (Status.RUNNING, "up_for_retry", None),
        (Status.RUNNING, None, None),
    ],
)
def test_a_try_has_ended_once_airflow_says_so(status: Status, state: str | None, why: str | None) -> None:
    found = settled(Receipt(Attempt("orders", "r", "load", -1, 1), status, NOW), state, NOW)
    assert (None if found is None else found.fault or found.document["reason"]) == why
    assert found is None or (found.status, found.ended_at) == (Status.FAILED, NOW)

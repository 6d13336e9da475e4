"""Steps whose processes were killed: Airflow calls nothing of theirs, and the run's callback finds them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from sluicegate.alerts.callback import RunCallback
from sluicegate.ledger.postgres.receipts import PostgresReceipts
from sluicegate.ledger.receipts import Attempt, Receipt, Status
from sluicegate.runtime.dag import PipelineDAG
from sluicegate.runtime.interrupt import InterruptObserver
from sluicegate.runtime.journal import in_journal
from sluicegate.runtime.lifecycle import Interrupted, Life
from sluicegate.runtime.step import StepContext
from tests.alerts.servers import Http
from tests.alerts.test_callback import ORDERS, context_of, dag
from tests.alerts.test_claims import kept
from tests.alerts.test_message import WINDOW
from tests.alerts.test_send import HOOK
from tests.discovery.conftest import root
from tests.load.conftest import warehouse

__all__ = ["ORDERS", "dag", "kept", "root", "warehouse"]

pytestmark = pytest.mark.system

RUN = "scheduled__1"


@dataclass
class Clock:
    """Time passes only where it is slept, and what `meanwhile` does is done then."""

    now: float = 0.0
    meanwhile: Callable[[], object] = lambda: None

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.meanwhile()


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr("sluicegate.alerts.of_run.time", found)
    monkeypatch.setattr("sluicegate.alerts.of_run._begun", {})
    return found


def begin(step: str, try_number: int = 1, status: Status = Status.RUNNING, map_index: int = -1) -> None:
    attempt = Attempt("orders", RUN, step, map_index, try_number)
    document = {
        "operator": "sluicegate.load.operator.LoadOperator",
        "params": {"carrier": "AA", "api_token": "***"},
        "worker": {"host": "worker-1", "pid": 7},
    }
    receipt = Receipt(attempt, status, datetime.now(UTC), window=WINDOW, document=document)
    in_journal("journal", "a receipt", lambda connection: PostgresReceipts(connection).begin(receipt, None))


def run_fails(clear_number: int = 0) -> None:
    run = SimpleNamespace(clear_number=clear_number)
    dag = PipelineDAG("orders", journal="journal")
    context: Any = {"dag": dag, "run_id": RUN, "reason": "task_failure", "dag_run": run}
    RunCallback("orders", {"hook": HOOK}, "sales-data")(context)


def test_a_step_that_never_ended_has_an_alert_once_its_run_has_failed(kept: Any, http: Http) -> None:
    begin("load")
    run_fails()
    [alert] = http.bodies
    assert (alert["fault"]["code"], alert["step"], alert["owner"]) == ("WORKER_LOST", "load", "sales-data")
    assert "7 on worker-1 was killed" in alert["fault"]["detail"]
    assert alert["window"]["start"] == WINDOW.start.isoformat()
    assert alert["params"] == {"carrier": "AA", "api_token": "***"}
    assert "or nothing" in alert["written"][0]


def test_the_receipt_of_a_killed_step_says_so(kept: Any, http: Http) -> None:
    begin("load")
    begin("other", status=Status.SUCCEEDED)
    run_fails()
    rows = kept.rows(
        "SELECT step, status, document -> 'fault' ->> 'code', ended_at FROM sluicegate.receipts ORDER BY 1"
    )
    assert [row[:3] for row in rows] == [("load", "failed", "WORKER_LOST"), ("other", "succeeded", None)]
    assert rows[0][3] is not None


def test_a_step_that_is_killed_again_after_a_clear_is_said_again(kept: Any, http: Http) -> None:
    begin("load")
    run_fails()
    begin("load", 2)
    run_fails(clear_number=1)
    assert [alert["tries"] for alert in http.bodies] == [1, 2]


def test_several_are_one_message_and_what_ended_in_any_way_is_none(kept: Any, http: Http) -> None:
    for index in range(3):
        begin("each", map_index=index)
    for step, status in (("a", Status.FAILED), ("b", Status.SUCCEEDED), ("c", Status.SKIPPED)):
        begin(step, status=status)
    begin("retried", 1)
    begin("retried", 2, Status.SUCCEEDED)
    run_fails()
    assert [alert["step"] for alert in http.bodies] == ["each"]
    assert kept.one("SELECT times FROM sluicegate.alerts") == 3


def test_a_process_that_still_ends_in_order_was_not_killed(kept: Any, http: Http, clock: Clock) -> None:
    begin("load")
    clock.meanwhile = lambda: kept.rows("UPDATE sluicegate.receipts SET status = 'failed'")
    run_fails()
    assert http.requests == []


def test_runs_that_fail_together_are_waited_for_once(kept: Any, http: Http, clock: Clock) -> None:
    begin("load")
    run_fails()
    assert (waited := clock.now) >= 10
    for _ in range(4):
        run_fails()
    assert clock.now == waited
    assert len(http.requests) == 1


def life(dag: Any, state: str) -> Iterator[Life]:
    context: Any = context_of(dag, "load", states={"load": state})
    context["dag"].journal = "journal"
    step = StepContext("orders", "load", RUN, 1, -1, WINDOW)
    yield Life(dag.get_task("load"), context, step)


@pytest.mark.parametrize(("state", "alerts"), [("failed", 0), ("running", 1)])
def test_a_kill_by_a_person_leaves_a_trace_and_that_of_a_worker_that_stops_does_not(
    kept: Any, http: Http, dag: Any, state: str, alerts: int
) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        begin("load")
        observer = InterruptObserver()
        [alive] = life(dag, state)
        observer.began(alive)
        os.kill(os.getpid(), signal.SIGTERM)
        until = time.monotonic() + 120
        while state == "failed" and status() == "running" and time.monotonic() < until:
            time.sleep(0.02)
        observer.ended(alive, Interrupted())
        os.kill(os.getpid(), signal.SIGTERM)
        assert heard == [signal.SIGTERM] * 2
    finally:
        signal.signal(signal.SIGTERM, before)
    run_fails()
    assert len(http.requests) == alerts


def test_what_cancelled_work_fails_with_after_a_person_s_mark_is_not_kept_as_a_fault(kept: Any, dag: Any) -> None:
    begin("load")
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        [alive] = life(dag, "failed")
        observer = InterruptObserver()
        observer.began(alive)
        os.kill(os.getpid(), signal.SIGTERM)
        kept.rows("""UPDATE sluicegate.receipts SET status = 'failed', document = '{"fault": {"code": "TIMED_OUT"}}'""")
        observer.ended(alive, Interrupted())
    finally:
        signal.signal(signal.SIGTERM, before)
    assert kept.one("SELECT document ->> 'fault' FROM sluicegate.receipts") is None
    assert kept.one("SELECT document ->> 'reason' FROM sluicegate.receipts") == "it was ended from outside"


def status() -> Any:
    return in_journal(
        "journal", "x", lambda connection: connection.execute("SELECT status FROM sluicegate.receipts").fetchone()
    )[0]  # type: ignore[index]

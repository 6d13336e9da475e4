"""What is read of a real journal: for the endpoint, and for the watch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Json, Jsonb

from sluicegate.alerts.message import Alert
from sluicegate.faults import CATALOGUE
from sluicegate.graph.window import Window
from sluicegate.health import WatchOperator, journals, unsent
from sluicegate.health.alerts import late_alert
from sluicegate.health.journals import read_facts, read_journal
from sluicegate.health.unsent import unalerted, undelivered
from sluicegate.ledger.postgres import receipts
from sluicegate.ledger.postgres.migrations import migrate
from sluicegate.ledger.receipts import Attempt, Receipt, Status
from sluicegate.runtime.step import StepContext, StepResult
from sluicegate.testing.warehouse import Warehouse
from tests.alerts.servers import http_server

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
WINDOW = Window(NOW - 24 * HOUR, NOW)


@pytest.fixture
def journal(warehouse: Warehouse) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(warehouse.conninfo, autocommit=True) as connection:
        with connection.transaction():
            migrate(connection)
        yield connection


def load(
    journal: psycopg.Connection[Any],
    read: int,
    source: str = "s3://in/a.csv",
    status: str = "loaded",
    run_id: str | None = None,
    age: timedelta = timedelta(),
) -> None:
    journal.execute(
        "INSERT INTO sluicegate.loads (target, source, source_version, config_digest, status, pipeline, step, run_id,"
        " loaded_at, read, inserted, updated, unchanged, stale, deduplicated, dead, rejected, seconds)"
        " VALUES ('public.orders', %s, 'v', 'd', %s, 'orders', 'load', %s, %s, %s, %s, 0, 0, 0, 0, 0, 0, 1)",
        (source, status, run_id, datetime.now(UTC) - age, read, read),
    )


def alert(journal: psycopg.Connection[Any], sent: Alert, *, age: timedelta = HOUR, at: datetime | None = None) -> None:
    journal.execute(
        "INSERT INTO sluicegate.alerts (dedupe_key, channel, pipeline, run_id, fault, severity, group_key, steps,"
        " message, claimed_by, claimed_at, sent_at, reason) VALUES (%s, 'chat', %s, %s, %s, %s, 'g', '{}', %s, 'x',"
        " %s, %s, 'HTTP 404')",
        (
            sent.dedupe_key, sent.pipeline, sent.run_id or None, sent.code, sent.severity, Jsonb(sent.as_dict()),
            datetime.now(UTC) - age, at,
        ),
    )  # fmt: skip


def receipt(
    journal: psycopg.Connection[Any],
    run_id: str,
    status: str,
    *,
    number: int = 1,
    code: str | None = None,
    cleared: int = 0,
) -> None:
    fault: dict[str, Any] = {} if code is None else {"fault": {"code": code, "class": "data", "detail": "bad"}}
    fault |= {"trigger": {"type": "scheduled"} | ({"cleared": cleared} if cleared else {})}
    journal.execute(
        "INSERT INTO sluicegate.receipts (pipeline, run_id, step, map_index, try_number, status, started_at, ended_at,"
        " window_start, window_end, version, document)"
        " VALUES ('orders', %s, 'load', -1, %s, %s, %s, %s, %s, %s, 1, %s)",
        (run_id, number, status, NOW - 2 * HOUR, NOW - HOUR, WINDOW.start, WINDOW.end, Json(fault)),
    )


def test_a_journal_says_how_many_records_came_and_what_is_open(journal: psycopg.Connection[Any]) -> None:
    for read in (100, 101, 99):
        load(journal, read)
    load(journal, 7, source="dead-letters:abc")
    load(journal, 8, status="failed")
    alert(journal, late_alert("orders", WINDOW, HOUR))
    alert(journal, late_alert("orders", Window(NOW, NOW), HOUR), age=timedelta(minutes=1))
    found = read_facts(journal, "warehouse")
    (loads,), (unsent,) = found.loads, found.alerts
    assert (loads.pipeline, loads.step, loads.read, loads.before) == ("orders", "load", 99, (101, 100))
    assert (unsent.channel, unsent.count, unsent.reason) == ("chat", 1, "HTTP 404")
    assert (found.letters, found.circuits, found.unread) == ((), (), "")


def test_the_items_of_a_mapped_step_are_one_load(journal: psycopg.Connection[Any]) -> None:
    for run_id, age in (("a", 2 * HOUR), ("b", HOUR)):
        for read in (4_000, 10):
            load(journal, read, run_id=run_id, age=age)
    load(journal, 7, run_id="still running")
    (found,) = read_facts(journal, "warehouse").loads
    assert (found.read, found.before) == (4_010, (4_010,))


def test_circuits_that_are_open_are_said_with_their_reason_until_they_are_out_of_date(
    journal: psycopg.Connection[Any],
) -> None:
    for name, state, until in (("host:a", "open", HOUR), ("host:b", "closed", HOUR), ("host:c", "open", -30 * HOUR)):
        journal.execute(
            "INSERT INTO sluicegate.circuits (name, state, until, last_fault, last_detail)"
            " VALUES (%s, %s, %s, 'F', 'x')",
            (name, state, datetime.now(UTC) + until),
        )
    (circuit,) = read_facts(journal, "warehouse").circuits
    assert (circuit.name, circuit.state, circuit.fault) == ("host:a", "open", "F: x")


def test_a_database_without_a_ledger_says_nothing(warehouse: Warehouse) -> None:
    with psycopg.connect(warehouse.conninfo, autocommit=True) as connection:
        found = read_facts(connection, "warehouse")
        assert (found.loads, found.letters, found.circuits, found.alerts) == ((), (), (), ())
        assert (unalerted(connection), undelivered(connection)) == ([], [])
        assert connection.execute("SELECT to_regnamespace('sluicegate')").fetchone() == (None,)


def test_reading_changes_nothing_and_goes_by_the_connection(
    journal: psycopg.Connection[Any], warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(journal, 5)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", warehouse.connection)
    found = read_journal("warehouse")
    assert found.unread == ""
    assert [each.read for each in found.loads] == [5]


@pytest.mark.parametrize(
    ("statement", "values", "index"),
    [
        (journals._FAILURES, None, "receipts_begun"),
        (unsent._UNALERTED, (1, 1), "receipts_begun"),
        (
            receipts._END,
            receipts._facts(Receipt(Attempt("p1", "r", "load", -1, 1), Status.RUNNING, NOW)) | {"keep": HOUR},
            "Index Cond: ((pipeline = 'p1'::text) AND (started_at <",
        ),
        ("SELECT FROM sluicegate.receipts WHERE configuration = 'x'", None, "receipts_configuration"),
    ],
)
def test_what_is_asked_often_reads_no_whole_table(
    journal: psycopg.Connection[Any], statement: Any, values: Any, index: str
) -> None:
    journal.execute(
        "INSERT INTO sluicegate.receipts SELECT 'p' || n %% 9, 'r' || n, 'load', -1, 1, 'failed',"
        " now() - n * interval '1 hour', NULL, NULL, NULL, 1, 'c' || n %% 50, '{}' FROM generate_series(1, %s) AS n",
        (5_000,),
    )
    journal.execute("ANALYZE sluicegate.receipts")
    plan = "\n".join(row[0] for row in journal.execute("EXPLAIN " + statement, values))
    assert index in plan


def test_a_journal_that_does_not_answer_is_given_up(
    journal: psycopg.Connection[Any], warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", warehouse.connection)
    monkeypatch.setattr("sluicegate.health.journals._LONGEST", 0.5)
    with journal.transaction():
        journal.execute("LOCK TABLE sluicegate.loads IN ACCESS EXCLUSIVE MODE")
        assert read_journal("warehouse").unread.startswith("no answer within")


def test_a_run_that_failed_without_an_alert_is_found_once(journal: psycopg.Connection[Any]) -> None:
    receipt(journal, "alerted", "failed", code="BAD_RECORDS")
    alert(journal, Alert("orders", CATALOGUE["SCHEMA_MISMATCH"], run_id="alerted"), at=NOW)
    receipt(journal, "lost", "retrying", code="SCHEMA_MISMATCH")
    receipt(journal, "lost", "failed", number=2, code="SCHEMA_MISMATCH")
    receipt(journal, "mended", "failed", code="SCHEMA_MISMATCH")
    receipt(journal, "mended", "succeeded", number=2)
    receipt(journal, "ended_by_a_person", "failed")
    failures = {(each.run_id, each.code) for each in read_facts(journal, "warehouse").failures}
    assert failures == {("alerted", "BAD_RECORDS"), ("lost", "SCHEMA_MISMATCH"), ("mended", "SCHEMA_MISMATCH")}
    (found,) = unalerted(journal)
    assert (found.alert.run_id, found.alert.step, found.alert.code) == ("lost", "load", "SCHEMA_MISMATCH")
    assert found.alert.window == WINDOW
    assert (found.alert.tries, found.channel) == (2, None)


def test_what_fails_after_a_clear_without_an_alert_is_found_again(journal: psycopg.Connection[Any]) -> None:
    receipt(journal, "lost", "failed", code="SCHEMA_MISMATCH")
    alert(journal, Alert("orders", CATALOGUE["SCHEMA_MISMATCH"], run_id="lost"), at=NOW)
    assert unalerted(journal) == []
    receipt(journal, "lost", "failed", number=2, code="SCHEMA_MISMATCH", cleared=1)
    (found,) = unalerted(journal)
    assert (found.alert.round, found.alert.tries) == (1, 2)
    journal.execute("UPDATE sluicegate.alerts SET round = 1")
    assert unalerted(journal) == []


def test_a_try_that_was_killed_is_closed_and_alerted_by_the_watch(
    journal: psycopg.Connection[Any], warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", warehouse.connection)
    monkeypatch.setattr("sluicegate.health.own_airflow.OwnAirflow", lambda: SimpleNamespace(
        count=lambda *_: 1, states=lambda *_: {"killed": {"load": "failed"}, "alive": {"load": "running"}}
    ))  # fmt: skip
    (tmp_path / "orders.yaml").write_text(ORDERS)
    for run_id in ("killed", "alive"):
        receipt(journal, run_id, "running")
    assert watch(tmp_path).value["killed"] == ["orders.load"]
    found = dict(journal.execute("SELECT run_id, status FROM sluicegate.receipts").fetchall())
    assert found == {"killed": "failed", "alive": "running"}
    journal.execute("UPDATE sluicegate.receipts SET ended_at = ended_at - interval '10 minutes'")
    (unsent,) = unalerted(journal)
    assert (unsent.alert.code, unsent.alert.run_id) == ("WORKER_LOST", "killed")


def test_an_alert_that_is_sent_again_is_the_same_alert(journal: psycopg.Connection[Any]) -> None:
    late = late_alert("orders", WINDOW, HOUR, owner="sales")
    failed = Alert("orders", CATALOGUE["SCHEMA_MISMATCH"], detail="bad", step="load", run_id="r", window=WINDOW,
                   params={"a": "b"}, written=("Nothing.",), tries=3)  # fmt: skip
    alert(journal, late)
    alert(journal, failed)
    found = undelivered(journal)
    assert [each.channel for each in found] == ["chat", "chat"]
    again = {each.alert.dedupe_key: each.alert for each in found}
    for before in (late, failed):
        assert again[before.dedupe_key].as_dict() == before.as_dict()


def owed(journal: psycopg.Connection[Any]) -> tuple[int, int]:
    """What the watch would send again, and what health shows as not delivered."""
    return len(undelivered(journal)), sum(each.count for each in read_facts(journal, "warehouse").alerts)


def test_what_the_watch_sends_again_is_what_health_shows(journal: psycopg.Connection[Any]) -> None:
    for age in (71 * HOUR, 73 * HOUR):
        alert(journal, replace(late_alert("orders", Window(NOW - age, NOW), HOUR), at=NOW - age))
    assert owed(journal) == (1, 1)


def test_an_alert_of_what_has_succeeded_since_is_not_sent_any_more(journal: psycopg.Connection[Any]) -> None:
    failed = Alert("orders", CATALOGUE["SCHEMA_MISMATCH"], step="load", run_id="r", at=NOW - 3 * HOUR)
    alert(journal, failed)
    receipt(journal, "r", "failed", code="SCHEMA_MISMATCH")
    receipt(journal, "other", "succeeded")
    assert owed(journal) == (1, 1)
    receipt(journal, "r", "succeeded", number=2)
    journal.execute("UPDATE sluicegate.receipts SET started_at = started_at + interval '1 second' WHERE try_number = 2")
    assert owed(journal) == (0, 0)


def test_the_watch_sends_again_what_a_channel_did_not_take_and_then_has_nothing_to_send(
    journal: psycopg.Connection[Any], warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with http_server() as hook:
        monkeypatch.setenv("AIRFLOW_CONN_CHAT", hook.connection())
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", warehouse.connection)
        monkeypatch.setattr("sluicegate.health.own_airflow.OwnAirflow", AllIsWell)
        (tmp_path / "orders.yaml").write_text(ORDERS)
        receipt(journal, "lost", "failed", code="SCHEMA_MISMATCH")
        late = late_alert("orders", WINDOW, HOUR)
        alert(journal, late)
        first, again = (watch(tmp_path) for _ in range(2))
    assert {each["dedupe_key"] for each in hook.bodies} == {late.dedupe_key, "orders/lost/SCHEMA_MISMATCH"}
    assert len(hook.bodies) == 2
    assert (first.value["unalerted"], first.value["sent_again"]) == (["lost"], [late.dedupe_key])
    assert (again.value["unalerted"], again.value["sent_again"]) == ([], [])
    assert read_facts(journal, "warehouse").alerts == ()


ORDERS = """\
sluicegate: 1
schedule: {cron: '@daily', start: 2026-01-01}
alerts: {chat: {notifier: sluicegate.alerts.webhook.WebhookNotifier, with: {http_conn_id: chat}}}
steps: {load: {load: "s3://in/{{ ds }}.csv", into: table://warehouse/public.orders, key: id}}
"""


class AllIsWell:
    def count(self, *_: object) -> int:
        return 1


def watch(root: Path) -> StepResult:
    step = StepContext("watch", "watch", "r", 1, -1, Window(NOW, NOW), {}, False, False, None, None)
    operator = WatchOperator(task_id="watch", root=str(root), patience=timedelta())
    return operator.run({}, step)  # type: ignore[typeddict-item]

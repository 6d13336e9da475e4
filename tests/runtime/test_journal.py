"""What is kept in the journal never makes a step fail, and never makes it wait long."""

from __future__ import annotations

import time
from typing import Any

import pytest

from sluicegate.runtime import journal
from sluicegate.runtime.journal import in_journal
from tests.load.conftest import warehouse

__all__ = ["warehouse"]

pytestmark = pytest.mark.system


@pytest.fixture
def kept(warehouse: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AIRFLOW_CONN_JOURNAL", warehouse.connection)
    return warehouse


def backend(connection: Any) -> int:
    return int(connection.execute("SELECT pg_backend_pid()").fetchone()[0])


def test_work_finds_the_tables_and_is_committed(kept: Any) -> None:
    in_journal("journal", "a note", lambda c: c.execute("CREATE TABLE sluicegate.notes (n int)"))
    assert kept.one("SELECT count(*) FROM sluicegate.notes") == 0


def test_one_connection_serves_several_works(kept: Any) -> None:
    assert in_journal("journal", "a note", backend) == in_journal("journal", "a note", backend)


def test_work_that_fails_is_a_warning_and_leaves_nothing(kept: Any, caplog: pytest.LogCaptureFixture) -> None:
    def half(connection: Any) -> None:
        connection.execute("CREATE TABLE sluicegate.half (n int)")
        raise ValueError("password=hunter2")

    assert in_journal("journal", "the receipt", half) is None
    assert "the receipt" in caplog.text
    assert "hunter2" not in caplog.text
    assert kept.one("SELECT to_regclass('sluicegate.half')") is None


def test_a_connection_that_the_server_closed_meanwhile_is_opened_anew(kept: Any) -> None:
    before = in_journal("journal", "a note", backend)
    kept.rows("SELECT pg_terminate_backend(%s)", before)
    after = in_journal("journal", "a note", backend)
    assert after is not None
    assert after != before


def test_a_journal_that_is_not_reached_is_asked_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_JOURNAL", "postgres://nobody@127.0.0.1:1/none")
    for _ in range(5):
        assert in_journal("journal", "a note", backend) is None
    assert caplog.text.count("Not kept in the journal") == 1


def test_a_server_that_does_not_answer_any_more_is_left_after_a_while(
    kept: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def frozen(connection: Any) -> None:
        connection.execute("SET LOCAL statement_timeout = 0; SELECT pg_sleep(60)")

    monkeypatch.setattr(journal, "_LONGEST", 0.3)
    began = time.monotonic()
    assert in_journal("journal", "the receipt", frozen) is None
    assert in_journal("journal", "the receipt", frozen) is None
    assert time.monotonic() - began < 50
    assert caplog.text.count("no answer within") == 1


def test_what_is_sent_into_a_connection_that_a_firewall_forgot_is_soon_lost(kept: Any) -> None:
    options = in_journal("journal", "a note", lambda c: c.info.get_parameters())
    assert options is not None
    assert options["tcp_user_timeout"] == "3000"


@pytest.mark.parametrize("connection", ["", "redshift://nobody@127.0.0.1:1/none"])
def test_what_is_not_a_postgres_is_no_journal(
    connection: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if connection:
        monkeypatch.setenv("AIRFLOW_CONN_JOURNAL", connection)
    assert in_journal("journal" if connection else None, "a note", backend) is None
    assert caplog.text == ""

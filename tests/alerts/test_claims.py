"""One of many sends, and what a process that died had claimed is sent by another."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from sluicegate.alerts.claims import FileClaims, JournalClaims
from sluicegate.alerts.send import send
from sluicegate.runtime import journal
from tests.alerts.servers import Http
from tests.alerts.test_message import ALERT
from tests.alerts.test_send import BROKEN, HOOK
from tests.load.conftest import warehouse

__all__ = ["warehouse"]


@pytest.fixture
def kept(warehouse: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AIRFLOW_CONN_JOURNAL", warehouse.connection)
    return warehouse


def rows(kept: Any) -> list[Any]:
    found: list[Any] = kept.rows(
        "SELECT channel, steps, times, sent_at IS NOT NULL, reason FROM sluicegate.alerts ORDER BY channel, round"
    )
    return found


def test_fifty_at_once_on_one_machine_send_one_message(http: Http) -> None:
    with ThreadPoolExecutor(50) as pool:
        list(pool.map(lambda index: send(replace(ALERT, map_index=index), {"hook": HOOK}), range(50)))
    assert len(http.requests) == 1


@pytest.mark.system
def test_fifty_at_once_with_a_journal_send_one_message_and_say_how_many_they_were(kept: Any, http: Http) -> None:
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda index: send(replace(ALERT, map_index=index), {"hook": HOOK}, "journal"), range(50)))
    assert len(http.requests) == 1
    [(channel, steps, times, is_sent, reason)] = rows(kept)
    assert (channel, times, is_sent, reason) == ("hook", 50, True, None)
    assert sorted(steps) == sorted(f"orders.load_orders[{index}]" for index in range(50))


@pytest.mark.system
def test_what_came_of_each_channel_is_in_the_journal(kept: Any, http: Http) -> None:
    send(ALERT, {"bad": BROKEN, "hook": HOOK}, "journal")
    assert [(channel, is_sent, bool(reason)) for channel, _, _, is_sent, reason in rows(kept)] == [
        ("bad", False, True),
        ("hook", True, False),
        ("hook", True, False),  # that `bad` failed
    ]
    assert "hunter2" not in str(kept.rows("SELECT * FROM sluicegate.alerts"))


DIES = """
import os, signal
from sluicegate.alerts import claims
from tests.alerts.test_message import ALERT
assert claims.{kind}.take(ALERT, ["hook"]) == ("hook",)
os.kill(os.getpid(), signal.SIGKILL)
"""


def dies_with_a_claim(kind: str) -> None:
    done = subprocess.run([sys.executable, "-c", DIES.format(kind=kind)], env=dict(os.environ), check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.system
def test_the_claim_of_a_killed_process_is_taken_over_in_the_journal(kept: Any, http: Http) -> None:
    dies_with_a_claim("JournalClaims('journal')")
    send(ALERT, {"hook": HOOK}, "journal")
    assert http.requests == []
    kept.rows("UPDATE sluicegate.alerts SET claimed_at = claimed_at - interval '6 minutes'")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: send(ALERT, {"hook": HOOK}, "journal"), range(8)))
    assert [body["dedupe_key"] for body in http.bodies] == [ALERT.dedupe_key]


def test_the_claim_of_a_killed_process_is_taken_over_on_its_machine(
    http: Http, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    dies_with_a_claim("FileClaims()")
    send(ALERT, {"hook": HOOK})
    assert http.requests == []
    for file in FileClaims().folder.iterdir():
        os.utime(file, (1, 1)) if file.name == "lock" else os.utime(file, (file.stat().st_mtime - 400,) * 2)
    send(ALERT, {"hook": HOOK})
    assert len(http.requests) == 1


@pytest.mark.system
def test_what_postgres_does_not_store_keeps_no_claim_out_of_the_journal(kept: Any) -> None:
    claims = JournalClaims("journal")
    odd = replace(ALERT, detail="a \0 and \udce9")
    assert claims.take(odd, ["hook"]) == ("hook",)
    claims.settle(odd, "hook", "answered 500: \0")
    assert [reason for *_, reason in rows(kept)] == [r"answered 500: \x00"]


@pytest.mark.system
def test_a_claim_whose_answer_was_lost_is_still_ours(kept: Any) -> None:
    claims = JournalClaims("journal")
    assert claims.take(ALERT, ["hook"]) == ("hook",)
    assert claims.take(ALERT, ["hook"]) == ("hook",)
    assert rows(kept)[0][2] == 1
    claims.settle(ALERT, "hook", None)
    assert claims.take(ALERT, ["hook"]) == ()


def test_a_process_that_holds_the_lock_and_does_nothing_holds_no_alert_back(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluicegate.alerts.claims._LOCKED_FOR", 0.1)
    FileClaims().folder.mkdir(mode=0o700)
    with (FileClaims().folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        send(ALERT, {"hook": HOOK})
    assert len(http.requests) == 1


def test_a_journal_that_is_not_reached_leaves_it_to_the_machine(
    http: Http, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_JOURNAL", "postgres://nobody@127.0.0.1:1/none")
    for _ in range(3):
        send(ALERT, {"hook": HOOK}, "journal")
    journal._rests_until.clear()
    assert len(http.requests) == 1
    assert "Not kept in the journal" in caplog.text

"""`sluicegate alerts`: the door to what was sent, and to a trial of channels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sluicegate.alerts.send import send
from sluicegate.cli import app
from tests.alerts.servers import Http
from tests.alerts.test_claims import kept
from tests.alerts.test_message import ALERT
from tests.alerts.test_send import BROKEN, HOOK
from tests.load.conftest import warehouse

__all__ = ["kept", "warehouse"]

ORDERS = """\
sluicegate: 1
owner: sales-data
alerts:
  chat: {notifier: sluicegate.alerts.webhook.WebhookNotifier, with: {http_conn_id: hook}}
  own: {notifier: telling.Own, with: {http_conn_id: hook, form: slack}}
steps:
  a: {load: s3://b/x.csv, into: table://journal/t}
"""
OWN = "from sluicegate.alerts.webhook import WebhookNotifier\n\nclass Own(WebhookNotifier): ...\n"


@pytest.fixture
def dags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "orders.yaml").write_text(ORDERS)
    (folder / "silent.yaml").write_text(ORDERS.partition("alerts:")[0] + "steps:" + ORDERS.partition("steps:")[2])
    (folder / "telling.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    return folder


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["alerts", *words])


def test_a_trial_sends_by_each_channel_and_says_what_came_of_it(dags: Path, http: Http) -> None:
    done = run("test", "-p", "orders")
    assert (done.exit_code, done.output) == (0, "chat: sent\nown: sent\n")
    words = json.dumps(http.bodies)
    assert "orders tests its alerts: ALERT_TEST" in words
    assert "This is a test of a channel" in words


def test_a_trial_of_a_channel_that_fails_is_1_and_says_why(dags: Path, http: Http) -> None:
    http.statuses = [403]
    done = run("test", "-p", "orders", "--channel", "chat", "--json")
    assert done.exit_code == 1
    outcome = json.loads(done.output)
    assert outcome["chat"]["sent"] is False
    assert "answered 403" in outcome["chat"]["reason"]
    assert set(outcome) == {"chat"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-p", "orders", "--channel", "chatt"], "did you mean 'chat'?"),
        (["-p", "silent"], "has no channels"),
        (["-p", "ordrs"], "does not exist"),
    ],
)
def test_a_trial_of_what_is_not_there_is_wrong_use(dags: Path, words: list[str], said: str) -> None:
    done = run("test", *words)
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())


@pytest.mark.system
def test_the_list_says_what_was_sent_and_what_was_not(kept: Any, dags: Path, http: Http) -> None:
    send(ALERT, {"bad": BROKEN, "hook": HOOK}, "journal")
    send(ALERT, {"hook": HOOK}, "journal")
    lines = run("list", "-p", "orders").output.splitlines()
    assert [line.split()[2:5] for line in lines if not line.startswith(" ")] == [
        ["UTC", "sent", "hook"], ["UTC", "sent", "hook"], ["UTC", "undelivered", "bad"],
    ]  # fmt: skip
    assert any("RuntimeError" in line and "hunter2" not in line for line in lines)
    assert "(and 1 more)" in run("list").output
    [open_one] = json.loads(run("list", "-p", "orders", "--undelivered", "--json").output)
    assert (open_one["channel"], open_one["state"], open_one["fault"]) == ("bad", "undelivered", ALERT.code)
    assert run("list", "--connection", "journal", "--run", "another").output == "No alert matches.\n"


@pytest.mark.system
def test_a_journal_that_never_sent_anything_has_no_alerts(warehouse: Any, dags: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_JOURNAL", warehouse.connection)
    warehouse.rows("DROP SCHEMA IF EXISTS sluicegate CASCADE")
    assert run("list", "-p", "orders").output == "No alert matches.\n"


def test_a_pipeline_without_a_journal_keeps_no_list(dags: Path) -> None:
    text = ORDERS.replace("{load: s3://b/x.csv, into: table://journal/t}", '{python: "telling:main"}')
    (dags / "orders.yaml").write_text(text)
    (dags / "telling.py").write_text(f"{OWN}\ndef main(): ...\n")
    done = run("list", "-p", "orders")
    assert done.exit_code == 2
    assert "the logs of its tasks say what was sent" in " ".join(done.output.split())

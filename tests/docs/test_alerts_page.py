"""Every channel of the page on alerts sends, to servers on loopback in the place of the real ones."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from sluicegate.alerts.callback import AlertCallback
from sluicegate.alerts.send import deliver
from sluicegate.factory.code_path import find_code
from sluicegate.pipeline import read_tree
from sluicegate.pipeline.keys.alerts import channels_of
from tests.alerts.servers import http_server, smtp_server
from tests.alerts.test_message import ALERT
from tests.docs.pages import page, write_dags

PAGE = page("alerts.md")
CHANNELS = {
    "orders": {"on_call": "mail"},
    "returns": {"chat": "/services/T0"},
    "slack": {"chat": "/services/T0", "page": "/v2/enqueue"},
    "pagerduty": {"page": "/v2/enqueue", "chat": "/services/T0"},
    "alertmanager": {"prometheus": "/api/v2/alerts", "chat": "/services/T0", "page": "/v2/enqueue"},
    "teams": {"teams": "/", "chat": "/services/T0", "page": "/v2/enqueue"},
}
"""By pipeline and channel, where its message has to arrive."""


def test_every_channel_of_the_page_sends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = read_tree(write_dags(PAGE, tmp_path))
    assert set(CHANNELS) == set(tree.pipelines)
    with http_server() as http, smtp_server() as smtp:
        slack = {"conn_type": "http", "host": f"http://127.0.0.1:{http.port}/services", "password": "T0"}
        monkeypatch.setenv("AIRFLOW_CONN_SLACK", json.dumps(slack))
        monkeypatch.setenv("AIRFLOW_CONN_MAIL", smtp.connection())
        for name in ("PAGERDUTY", "ALERTMANAGER", "TEAMS"):
            monkeypatch.setenv(f"AIRFLOW_CONN_{name}", http.connection(password="key"))
        for name, expected in CHANNELS.items():
            http.requests.clear()
            channels = channels_of(tree.pipelines[name].alerts)
            expected = {**({"chat": "/services/T0", "page": "/v2/enqueue"} if name == "orders" else {}), **expected}
            assert set(channels) == set(expected)
            found = deliver(ALERT, channels, {}, time.monotonic() + 120)
            assert {one.channel: one.reason for one in found} == dict.fromkeys(expected)
            paths = sorted(path for path in expected.values() if path != "mail")
            assert sorted(request.path or "/" for request in http.requests) == paths
        assert len(smtp.mails) == 1


def test_the_words_of_the_page_are_those_of_an_alert() -> None:
    shown = PAGE.text.partition("```text\n")[2].partition("```")[0]
    labels = [line.partition(":")[0] for line in shown.splitlines()[3:]]
    assert [*ALERT.facts()] == [label for label in [*ALERT.facts()] if label in labels or label in ("tries", "params")]
    assert set(labels) <= set(ALERT.facts())


def test_the_dag_by_hand_has_the_callback(tmp_path: Path) -> None:
    root = write_dags(PAGE, tmp_path)
    find_code(root)
    import by_hand  # type: ignore[import-not-found]

    assert isinstance(by_hand.dag.tasks[0].on_failure_callback[0], AlertCallback)

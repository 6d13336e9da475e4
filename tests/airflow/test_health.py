"""A pipeline that is late: the deadline's alert at a real server, the endpoint, and the command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from sluicegate.testing.airflow import wait_until
from tests.airflow.conftest import Airflow
from tests.alerts.servers import Http, http_server

LATE = """\
sluicegate: 1
owner: tests
schedule: {{cron: "@monthly", start: {start}, catchup: true}}
fresh_within: {promise}s
alerts: {{health: {{notifier: sluicegate.alerts.webhook.WebhookNotifier, with: {{http_conn_id: health_hook}}}}}}
retries: {{count: 0}}
steps:
  fail:
    operator: airflow.providers.standard.operators.bash.BashOperator
    with: {{bash_command: "exit 1"}}
"""
GOOD = """\
sluicegate: 1
owner: tests
steps:
  nothing: {operator: airflow.providers.standard.operators.empty.EmptyOperator}
"""


@pytest.fixture
def hook(airflow: Airflow) -> Iterator[Http]:
    """What is posted to a server of the test's own, which is a connection of the Airflow."""
    with http_server() as server:
        connection = {
            "connection_id": "health_hook", "conn_type": "http", "host": "http://127.0.0.1", "port": server.port,
        }  # fmt: skip
        airflow.api.post("/connections", json=connection).raise_for_status()
        yield server
        airflow.api.delete("/connections/health_hook")


def test_a_pipeline_that_is_late_is_alerted_once_and_the_endpoint_says_so(airflow: Airflow, hook: Http) -> None:
    # Of the newest whole months, the last one is late since it ended, those before it are history.
    month = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    starts = [month]
    for _ in range(4):
        starts.append((starts[-1] - timedelta(days=1)).replace(day=1))
    newest, first = starts[1], starts[-1]
    promise = int((month - newest).total_seconds())
    # With a journal: without one, what was sent is known on this machine, to the next run of this test as well.
    airflow.write("health/defaults.yaml", "connections: {ledger: warehouse}\n")
    airflow.write(
        "health/health_late.yaml",
        LATE.format(start=f"{first:%Y-%m-%d}", promise=promise),
    )
    airflow.write("health/health_good.yaml", GOOD)
    airflow.wait_for_dag("health_late")
    airflow.wait_for_dag("health_good")

    def late() -> list[dict[str, Any]]:
        return [each for each in hook.bodies if each["fault"]["code"] == "PIPELINE_LATE"]

    # By the last one first: what keeps a run from ending keeps the alert away as well.
    wait_until(late, 180, "the alert of the deadline")
    (alert,) = late()
    assert datetime.fromisoformat(alert["window"]["start"]) == newest
    assert alert["dedupe_key"] == f"health_late/{newest.isoformat()}/PIPELINE_LATE"
    assert alert["owner"] == "tests"

    wait_until(lambda: len([run for run in airflow.runs("health_late") if run["state"] == "failed"]) == 4, 180, "runs")
    done = airflow.workspace.command(
        "health", "health_late", "health_good", "--json", "--state", str(airflow.workspace.state)
    )
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert {each["name"]: each["state"] for each in found["pipelines"]} == {
        "health_late": "failing", "health_good": "never_ran",
    }  # fmt: skip
    assert [each["what"] for each in found["findings"]] == ["failing", "late"]
    assert found["findings"][0]["step"] == "fail"
    assert found["pipelines"][0]["fresh_within"] == promise

    bare = httpx.get(f"{airflow.stack.api().url}/sluicegate/health")
    assert (bare.status_code, "health_late" in bare.text) == (401, False)
    assert len(late()) == 1

"""`sluicegate health` beside an api-server that answers what a test says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sluicegate.cli import app
from sluicegate.cli.clusters_options import Places
from sluicegate.emr.orphans import Judged, Kind, LiveCluster
from tests.api.conftest import Server, serve

COUNTS = {"pipelines": 2, "problems": 1, "warnings": 1, "current": 1, "late": 1, "failing": 0, "stalled": 0,
          "paused": 0, "never_ran": 0, "ended": 0}  # fmt: skip
LATE = {
    "what": "late", "severity": "problem", "pipeline": "orders", "step": None, "since": "2026-03-09T06:00:00+00:00",
    "detail": "its newest data ends at 2026-03-08 00:00 UTC", "remedy": "sluicegate recover plan --pipeline orders",
    "late_seconds": 93600,
}  # fmt: skip
LETTERS = {**LATE, "what": "dead_letters", "severity": "warning", "step": "load", "detail": "7 dead letters are open"}


def pipeline(name: str, state: str) -> dict[str, Any]:
    return {
        "name": name, "state": state, "owner": "sales", "schedule": "0 0 * * *", "paused": False,
        "fresh_within": 108000, "data_until": "2026-03-08T00:00:00+00:00", "late_since": None, "active_runs": 2,
        "newest_run": {"state": "success", "ended": "2026-03-08T01:00:00+00:00"},
    }  # fmt: skip


UNWELL = {
    "version": 1, "status": "unwell", "at": "2026-03-10T08:00:00+00:00", "counts": COUNTS,
    "pipelines": [pipeline("orders", "late"), pipeline("stock", "current")], "findings": [LATE, LETTERS],
    "components": {}, "journals": {},
}  # fmt: skip
WELL = {**UNWELL, "status": "well", "findings": [LETTERS], "pipelines": [pipeline("stock", "current")]}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("SLUICEGATE_AIRFLOW_TOKEN", "token-1")
    monkeypatch.setattr("sluicegate.cli.health._DEADLINE", 1.0)
    server = Server()
    server.url = f"http://127.0.0.1:{serve(server).server_address[1]}"
    return server


def health(server: Server, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["health", "--url", server.url, *arguments])


def test_what_has_to_be_done_comes_first_with_its_remedy_and_the_exit_code_says_it(server: Server) -> None:
    server.answers["GET /sluicegate/health"] = [(503, UNWELL)]
    done = health(server)
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "2 pipelines: 1 late, 1 current"
    assert lines[1:3] == [
        "✗ orders: its newest data ends at 2026-03-08 00:00 UTC [late]",
        "    -> sluicegate recover plan --pipeline orders",
    ]
    assert lines[3] == "! orders.load: 7 dead letters are open [dead_letters]"
    assert lines[-1].split("\t") == [
        "orders", "late", "2026-03-08 00:00", "1d6h", "success 2026-03-08 01:00, 2 active", "sales",
    ]  # fmt: skip
    assert "stock" not in done.stdout


def test_a_503_with_an_answer_is_not_asked_for_again(server: Server) -> None:
    server.answers["GET /sluicegate/health"] = [(503, UNWELL)]
    health(server)
    assert len(server.asked) == 1


def test_warnings_alone_are_an_exit_of_0(server: Server) -> None:
    server.answers["GET /sluicegate/health"] = [(200, WELL)]
    assert health(server).exit_code == 0


def test_all_lists_those_too_with_which_all_is_well(server: Server) -> None:
    server.answers["GET /sluicegate/health"] = [(503, UNWELL)]
    assert "stock\tcurrent" in health(server, "--all").stdout


def test_single_pipelines_are_asked_for_by_name(server: Server) -> None:
    server.answers["GET /sluicegate/health/orders"] = [(503, {**UNWELL, "pipelines": UNWELL["pipelines"][:1]})]
    server.answers["GET /sluicegate/health/stock"] = [(200, WELL)]
    done = health(server, "orders", "stock", "--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["status"]) == (1, "unwell")
    assert [each["name"] for each in found["pipelines"]] == ["orders", "stock"]


def test_a_pipeline_that_does_not_exist_is_wrong_use(server: Server) -> None:
    server.answers["GET /sluicegate/health/ordrs"] = [
        (404, {"detail": "There is no pipeline ordrs that you may read."})
    ]
    done = health(server, "ordrs")
    assert (done.exit_code, done.stderr) == (2, "sluicegate health: there is no pipeline ordrs that you may read\n")


@pytest.mark.parametrize("answer", [(200, "<!doctype html><title>Airflow</title>"), (404, {"detail": "Not Found"})])
def test_an_airflow_without_the_plugin_is_an_exit_of_3_with_the_remedy(server: Server, answer: Any) -> None:
    server.answers["GET /sluicegate/health"] = [answer]
    done = health(server)
    assert done.exit_code == 3
    assert "does not have Sluicegate's plugin" in done.stderr
    assert "Install airflow-provider-sluicegate" in done.stderr


def test_a_proxy_that_says_503_is_not_an_answer(server: Server) -> None:
    server.answers["GET /sluicegate/health"] = [(503, "<h1>no backend</h1>")]
    assert health(server).exit_code == 3


def test_clusters_that_no_task_needs_are_a_problem_where_aws_is_asked(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = datetime(2026, 3, 10, tzinfo=UTC)
    cluster = LiveCluster("j-1", "sluicegate-orders", "WAITING", created, {})
    judged = [
        Judged(cluster, Kind.ORPHAN, "its task is over: failed"),
        Judged(cluster, Kind.NEEDED, "its task goes on: deferred"),
    ]

    @contextmanager
    def sweep(places: Places) -> Iterator[Any]:
        yield SimpleNamespace(look=lambda: judged)

    monkeypatch.setattr(Places, "sweep", sweep)
    server.answers["GET /sluicegate/health"] = [(200, WELL)]
    done = health(server, "--clusters")
    assert done.exit_code == 1
    assert "the cluster j-1 (sluicegate-orders) runs for no task: its task is over: failed" in done.stdout
    assert "-> sluicegate clusters sweep" in done.stdout

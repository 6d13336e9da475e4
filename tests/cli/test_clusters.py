"""`sluicegate clusters` on an AWS and an Airflow that answer what a test says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from sluicegate.cli import app
from sluicegate.emr.deployment import INSTALLATION
from sluicegate.emr.names import RunKey
from sluicegate.emr.tags import own_tags
from sluicegate.testing.aws import scratch_aws
from sluicegate.testing.emr import AwsError, ScriptedEmr
from tests.api.conftest import Server, server

__all__ = ["server"]

NOW = datetime.now(UTC)
RUN = "/dags/delays/dagRuns/scheduled__2026-01-01T00%3A00%3A00%2B00%3A00"


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedEmr]:
    with scratch_aws(tmp_path / "s3") as found:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", found.s3.connection)
        yield found.emr


@pytest.fixture
def airflow(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("SLUICEGATE_AIRFLOW_URL", server.url)
    monkeypatch.setenv("SLUICEGATE_AIRFLOW_TOKEN", "token-1")
    return server


def start(aws: ScriptedEmr, task: str, *, deployment: str = "prod", index: int = -1, left: int = 60) -> str:
    key = RunKey(deployment, "delays", "scheduled__2026-01-01T00:00:00+00:00", task, index)
    tags = own_tags(key, attempt=1, pipeline="delays", cluster="small", not_after=NOW + timedelta(minutes=left))
    body = {
        "Name": key.name(1),
        "Instances": {"TerminationProtected": False},
        "Steps": [],
        "Tags": [{"Key": name, "Value": value} for name, value in tags.items()],
    }
    cluster_id = str(aws.call("RunJobFlow", body)["JobFlowId"])
    aws.clusters[cluster_id] |= {"State": "RUNNING", "Created": NOW - timedelta(minutes=30)}
    return cluster_id


def say(server: Server, task: str, state: str | None) -> None:
    instance = {
        "dag_id": "delays", "dag_run_id": "scheduled__2026-01-01T00:00:00+00:00", "task_id": task, "map_index": -1,
        "state": state, "try_number": 1, "duration": None, "id": "1", "operator": "SparkOperator",
        "pool": "default_pool", "pool_slots": 1, "start_date": None, "end_date": None, "note": None,
        "rendered_fields": {},
    }  # fmt: skip
    server.answers[f"GET {RUN}/taskInstances/{task}"] = [(200, instance)]


def call(*words: str) -> Result:
    return CliRunner().invoke(app, ["clusters", *words, "--deployment", "prod"])


def test_clusters_are_listed_with_their_tasks(aws: ScriptedEmr, airflow: Server) -> None:
    start(aws, "join"), start(aws, "sum"), start(aws, "join", deployment="test"), start(aws, "each", index=2)
    say(airflow, "join", "deferred")
    say(airflow, "sum", "failed")
    airflow.answers[f"GET {RUN}/taskInstances/each/2"] = [(404, {"detail": "no"})]
    airflow.answers[f"GET {RUN}"] = [(404, {"detail": "no"})]
    airflow.answers["GET /dags/delays"] = [(200, {})]
    listed = call("list", "--json")
    assert listed.exit_code == 0
    rows = {row["cluster_id"]: row for row in json.loads(listed.stdout)}
    assert {id_: (row["task"], row["kind"]) for id_, row in rows.items()} == {
        "j-0001": ("deferred", "needed"),
        "j-0002": ("failed", "orphan"),
        "j-0004": ("no run", "orphan"),
    }
    assert rows["j-0002"]["reason"] == "its task is over: failed"
    assert rows["j-0002"]["run_id"] == "scheduled__2026-01-01T00:00:00+00:00"
    text = call("list", "--all").stdout.splitlines()
    assert [line.split()[0] for line in text] == ["cluster", "j-0001", "j-0002", "j-0003", "j-0004"]
    assert "each[2]" in text[4]
    assert text[2].endswith("its task is over: failed")


def test_a_sweep_is_a_dry_run_until_it_is_told_to_end(aws: ScriptedEmr, airflow: Server) -> None:
    kept, over = start(aws, "join"), start(aws, "sum")
    say(airflow, "join", None)
    say(airflow, "sum", "skipped")
    dry = call("sweep")
    assert dry.exit_code == 1
    assert dry.stdout.splitlines() == [
        f"would end   {over} delays.sum of scheduled__2026-01-01T00:00:00+00:00 (RUNNING): its task is over: skipped"
    ]
    assert aws.live() == [kept, over]
    done = call("sweep", "--yes", "--json")
    assert done.exit_code == 0
    [row] = json.loads(done.stdout)["orphans"]
    assert (row["cluster_id"], row["ended"]) == (over, True)
    assert aws.live() == [kept]
    again = call("sweep", "--yes")
    assert (again.exit_code, again.stdout) == (0, "No live cluster of the deployment prod is an orphan.\n")


def test_a_sweep_ends_with_1_when_one_cannot_be_ended(aws: ScriptedEmr, airflow: Server) -> None:
    over = start(aws, "sum")
    say(airflow, "sum", "failed")
    aws.before["TerminateJobFlows"] = [AwsError("AccessDeniedException")]
    done = call("sweep", "--yes")
    assert done.exit_code == 1
    assert done.stdout.startswith(f"NOT ENDED   {over} delays.sum of")


def test_a_task_that_the_user_must_not_see_keeps_its_cluster(aws: ScriptedEmr, airflow: Server) -> None:
    start(aws, "sum")
    airflow.answers[f"GET {RUN}/taskInstances/sum"] = [(403, {"detail": "Forbidden"})]
    done = call("sweep", "--yes")
    assert done.exit_code == 0
    assert done.stdout.startswith("left alone  j-0001")
    assert aws.live() == ["j-0001"]


def test_without_airflow_only_deadlines_count(aws: ScriptedEmr) -> None:
    late, other = start(aws, "join", left=-10), start(aws, "sum")
    assert call("sweep", "--yes", "--without-airflow").exit_code == 0
    assert aws.live() == [other]
    assert aws.clusters[late]["Tags"]["sluicegate:ended-by"] == "deadline"


def test_an_airflow_that_was_given_no_name_says_by_which_id_its_clusters_are_known(
    aws: ScriptedEmr, airflow: Server
) -> None:
    ours = start(aws, "sum", deployment="sluicegate-4f2a")
    start(aws, "sum", deployment="sluicegate-77b0")
    say(airflow, "sum", "failed")
    airflow.answers[f"GET /variables/{INSTALLATION}"] = [(200, {"key": INSTALLATION, "value": "4f2a"})]
    done = CliRunner().invoke(app, ["clusters", "sweep", "--yes", "--json"])
    assert [each["cluster_id"] for each in json.loads(done.stdout)["orphans"]] == [ours]
    assert aws.live() == ["j-0002"]


def test_an_airflow_without_such_an_id_ends_nothing_until_its_name_is_said(aws: ScriptedEmr, airflow: Server) -> None:
    start(aws, "join", deployment="sluicegate")
    for answer in ((404, {"detail": "not found"}), (403, {"detail": "Forbidden"})):
        airflow.answers[f"GET /variables/{INSTALLATION}"] = [answer]
        done = CliRunner().invoke(app, ["clusters", "sweep", "--yes"])
        assert (done.exit_code, aws.live()) == (2, ["j-0001"])
        assert f"say --deployment: the Airflow at {airflow.url} shows no" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--aws-conn-id", "lost"], 3),
        (["--url", "http://127.0.0.1:1", "--user", "x"], 3),
        (["--no"], 2),
        (["--grace", "soon"], 2),
    ],
)
def test_what_cannot_be_reached_is_3_and_wrong_use_2(
    aws: ScriptedEmr, airflow: Server, words: list[str], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    del aws, airflow
    monkeypatch.setattr("sluicegate.api.client.DEADLINE", 0.2)
    found: Any = call("list", *words)
    assert found.exit_code == code, found.output


def test_what_was_ended_is_said_though_airflow_is_lost_on_the_way(
    aws: ScriptedEmr, airflow: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, kept, _ = start(aws, "a"), start(aws, "b"), start(aws, "c")
    for task in "abc":
        say(airflow, task, "failed")
    answer = airflow.answers[f"GET {RUN}/taskInstances/b"][0]
    airflow.answers[f"GET {RUN}/taskInstances/b"] = [answer, (500, {"detail": "down"})]
    monkeypatch.setattr("sluicegate.api.client.DEADLINE", 0.5)
    done = call("sweep", "--yes")
    assert done.exit_code == 1
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["ended", "NOT", "ended"]
    assert aws.live() == [kept]

"""`sluicegate doctor` on an Airflow and an AWS that answer what a test says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from sluicegate.cli import app
from sluicegate.testing.aws import scratch_aws
from tests.api.conftest import Server, server

__all__ = ["server"]

HEALTHY = {name: {"status": "healthy"} for name in ("metadatabase", "scheduler", "triggerer", "dag_processor")}
DEFAULTS = """
connections: {aws: lake, ledger: books}
artifacts: s3://code/
clusters:
  small: {release: emr-7.13.0, instances: {primary: m7g.xlarge}, log_uri: s3://logs/emr/, pool: emr}
"""
PIPELINE = """
sluicegate: 1
steps:
  join: {spark: s3://code/join.py, cluster: small}
"""


@pytest.fixture
def dags(tmp_path: Path) -> Path:
    root = tmp_path / "dags"
    root.mkdir()
    (root / "defaults.yaml").write_text(DEFAULTS)
    (root / "p.yaml").write_text(PIPELINE)
    return root


@pytest.fixture(autouse=True)
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with scratch_aws(tmp_path / "s3", create_buckets=False) as found:
        monkeypatch.setenv("AIRFLOW_CONN_LAKE", found.s3.connection)
        monkeypatch.delenv("AIRFLOW_CONN_BOOKS", raising=False)
        monkeypatch.setenv("AIRFLOW__LOGGING__LOGGING_LEVEL", "INFO")  # the command is in this process
        yield found


@pytest.fixture
def airflow(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("SLUICEGATE_AIRFLOW_URL", server.url)
    monkeypatch.setenv("SLUICEGATE_AIRFLOW_TOKEN", "token-1")
    say(server, HEALTHY, [{"name": "emr", "slots": 4, "include_deferred": True}])
    return server


def say(server: Server, health: object, pools: object) -> None:
    server.answers |= {"GET /monitor/health": [(200, health)], "GET /pools": [(200, {"pools": pools})]}


def doctor(dags: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["doctor", "--root", str(dags), *options])


def found(done: Result) -> dict[str, dict[str, Any]]:
    return {one["check"]: one for one in json.loads(done.stdout)}


def test_what_is_missing_is_one_line_and_one_remedy(dags: Path) -> None:
    done = doctor(dags)
    assert done.exit_code == 1
    assert "ok      pipeline files: 1 files, 1 pipelines, no error" in done.stdout
    assert "FAIL    connection books: not found" in done.stdout
    assert "-> Create it in Airflow, or set AIRFLOW_CONN_BOOKS here." in done.stdout
    assert "skipped Airflow's components and pools" in done.stdout


def test_a_channel_without_its_connection_is_found(dags: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = "{notifier: sluicegate.alerts.webhook.WebhookNotifier, with: {http_conn_id: NAME}}"
    (dags / "defaults.yaml").write_text(
        f"{DEFAULTS}\nalerts: {{chat: {hook.replace('NAME', 'slack')}, page: {hook.replace('NAME', 'pager')}}}\n"
    )
    monkeypatch.setenv("AIRFLOW_CONN_SLACK", "http://127.0.0.1:9")  # it is not tried: nothing may be sent
    seen = found(doctor(dags, "--json"))
    assert seen["alerts' connection slack"]["status"] == "ok"
    assert seen["alerts' connection pager"]["status"] == "fail"


def test_a_local_aws_has_buckets_to_look_at_and_no_roles(dags: Path, aws: Any) -> None:
    aws.s3.make_bucket("code")
    seen = found(doctor(dags, "--aws", "--json"))
    assert seen["identity, roles, subnets, quotas"]["status"] == "skipped"
    assert seen["artifacts s3://code/"]["status"] == "ok"
    assert seen["logs s3://logs/emr/"]["status"] == "fail"
    assert "there is no bucket logs" in seen["logs s3://logs/emr/"]["detail"]


def test_a_connection_without_a_region_is_a_finding_and_no_stack_trace(
    dags: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", '{"conn_type": "aws", "login": "a", "password": "b"}')
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    done = doctor(dags, "--aws")
    assert (done.exit_code, done.exception.__class__) == (1, SystemExit)
    assert "FAIL    connection lake: NoRegionError: You must specify a region." in done.stdout


def test_the_airflow_that_runs_is_asked_for_its_components_and_pools(dags: Path, airflow: Server) -> None:
    seen = found(doctor(dags, "--json"))
    assert seen["Airflow's triggerer"]["status"] == "ok"
    assert seen["pool emr"] == {
        "check": "pool emr", "status": "ok", "detail": "4 slots", "remedy": "", "reached": True,
    }  # fmt: skip
    say(airflow, HEALTHY, [{"name": "emr", "slots": 4, "include_deferred": False}])
    assert "caps no clusters" in found(doctor(dags, "--json"))["pool emr"]["detail"]
    say(airflow, HEALTHY | {"triggerer": {"status": None}}, [])
    seen = found(doctor(dags, "--json"))
    assert seen["Airflow's triggerer"]["status"] == seen["pool emr"]["status"] == "fail"


@pytest.mark.parametrize(("status", "code"), [(401, 1), (403, 1), (503, 3)])
def test_an_airflow_that_refuses_the_token_was_reached(
    dags: Path, airflow: Server, monkeypatch: pytest.MonkeyPatch, status: int, code: int
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_BOOKS", "generic://")
    monkeypatch.setattr("sluicegate.cli.doctor.PATIENCE", 1)
    airflow.answers |= {"GET /monitor/health": [(status, {"detail": "no"})], "GET /pools": [(status, {"detail": "no"})]}
    assert doctor(dags).exit_code == code


def test_the_policy_is_that_of_the_pipelines(dags: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__SLUICEGATE__DEPLOYMENT", "prod")
    done = doctor(dags, "--policy")
    assert done.exit_code == 0
    by_sid = {one["Sid"]: one for one in json.loads(done.stdout)["Statement"]}
    assert by_sid["EndClusters"]["Condition"] == {
        "StringEquals": {"elasticmapreduce:ResourceTag/sluicegate:deployment": "prod"}
    }
    assert by_sid["KeepArtifacts"]["Resource"] == ["arn:aws:s3:::code/*"]
    assert by_sid["ReadLogs"]["Resource"] == ["arn:aws:s3:::logs/emr/*"]
    assert by_sid["PassServiceRole"]["Resource"] == ["arn:aws:iam::*:role/EMR_DefaultRole"]


def test_two_things_at_once_are_wrong_use(dags: Path) -> None:
    assert doctor(dags, "--aws", "--policy").exit_code == 2


def test_an_airflow_that_does_not_answer_is_told_apart(dags: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_BOOKS", "generic://")
    monkeypatch.setattr("sluicegate.cli.doctor.PATIENCE", 1)
    monkeypatch.setenv("SLUICEGATE_AIRFLOW_TOKEN", "token-1")
    assert doctor(dags, "--url", "http://127.0.0.1:9").exit_code == 3

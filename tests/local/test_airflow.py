from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sluicegate.local.stack import airflow
from sluicegate.local.stack.state import Ports, Secrets, State

PORTS = Ports(airflow=8081, postgres=5433, aws=4567)


@pytest.fixture
def state(tmp_path: Path) -> State:
    state = State.at(tmp_path / "state")
    state.create()
    return state


def test_what_would_lead_the_stack_elsewhere_is_not_passed_on() -> None:
    caller = {
        "PATH": "/bin", "AWS_PROFILE": "work", "AWS_ACCESS_KEY_ID": "real", "PGHOST": "production",
        "NO_PROXY": "corp", "AIRFLOW_CONFIG": "/etc/airflow.cfg",
    }  # fmt: skip
    kept = airflow.caller_environment(caller)
    assert kept["PATH"] == "/bin"
    assert kept["NO_PROXY"] == "corp,127.0.0.1,localhost"
    assert not kept.keys() & {"AWS_PROFILE", "AWS_ACCESS_KEY_ID", "PGHOST", "AIRFLOW_CONFIG"}


def test_the_callers_settings_change_the_tuning_but_not_the_foundation(state: State) -> None:
    caller = {
        "AIRFLOW__CORE__PARALLELISM": "3",
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite://",
    }
    found = airflow.environment(caller, state, Secrets(), PORTS, [])
    assert found["AIRFLOW__CORE__PARALLELISM"] == "3"
    assert found["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert found["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].endswith("@127.0.0.1:5433/airflow")


def test_connections_are_what_airflow_reads(state: State) -> None:
    secrets = Secrets()
    environment = airflow.environment({}, state, secrets, PORTS, [])
    from airflow.sdk import Connection

    warehouse = Connection.from_json(environment["AIRFLOW_CONN_WAREHOUSE"], conn_id="warehouse")
    assert (warehouse.conn_type, warehouse.host, warehouse.port) == ("postgres", "127.0.0.1", 5433)
    assert (warehouse.login, warehouse.password) == ("warehouse", secrets.warehouse_password)
    aws = Connection.from_json(environment["AIRFLOW_CONN_AWS_DEFAULT"], conn_id="aws_default")
    assert aws.login == secrets.aws_access_key
    assert aws.extra_dejson["endpoint_url"] == "http://127.0.0.1:4567"


def test_airflow_knows_every_setting(state: State) -> None:
    from airflow.configuration import conf

    known = conf.configuration_description
    for name in airflow.environment({}, state, Secrets(), PORTS, []):
        if name.startswith("AIRFLOW__"):
            _, section, key = name.lower().split("__")
            assert key in known[section]["options"], name


def test_the_pipelines_folder_reaches_the_bundle(state: State) -> None:
    environment = airflow.environment({}, state, Secrets(), PORTS, airflow.pipeline_bundles("/my dags"))
    (bundle,) = json.loads(environment["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    assert bundle["kwargs"]["root"] == "/my dags"


def test_airflows_home_needs_no_configuration_file_and_its_password_is_private(state: State) -> None:
    secrets = Secrets()
    airflow.write_home(state, secrets)
    assert json.loads(state.passwords.read_text()) == {"admin": secrets.admin_password}
    assert state.passwords.stat().st_mode & 0o077 == 0
    assert not any(value in (state.airflow / "airflow.cfg").read_text() for value in vars(secrets).values())


def test_the_supervisor_and_the_command_import_no_airflow() -> None:
    program = (
        "import sys, sluicegate.local.stack.supervisor, sluicegate.local.stack.stack, sluicegate.cli.stack;"
        "print([one for one in ('airflow', 'boto3', 'pandas', 'duckdb') if one in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "[]\n"

"""`sluicegate trigger` against a real Airflow: its answers, its roles, its windows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jwt

from tests.airflow.conftest import Airflow

CODE = "def tell(params):\n    return params\n"
STARTED = """\
sluicegate: 1
owner: tests
trigger: {at_most: 3/h}
params: {file: {type: string}, limit: {type: integer, default: 1, maximum: 9}}
steps: {say: {python: "started_code:tell"}}
"""
DAILY = """\
sluicegate: 1
owner: tests
schedule: {cron: "@daily", timezone: Asia/Tokyo, start: 2026-03-01, end: 2026-03-03, catchup: true}
params: {file: {type: string, default: a}}
steps: {say: {python: "started_code:tell"}}
"""


def as_role(airflow: Airflow, role: str) -> str:
    """A token of another user: the embedded Airflow has but one."""
    with airflow.stack.api() as client:
        token = client.token
    claims = jwt.decode(token, options={"verify_signature": False})
    secret = airflow.stack.env["AIRFLOW__API_AUTH__JWT_SECRET"]
    algorithm = jwt.get_unverified_header(token)["alg"]
    return jwt.encode(claims | {"sub": role, "role": role}, secret, algorithm)


def trigger(airflow: Airflow, *options: str, role: str = "user") -> tuple[int, dict[str, Any], str]:
    environment = os.environ | {
        "SLUICEGATE_AIRFLOW_URL": str(airflow.api.base_url).removesuffix("/").removesuffix("/api/v2"),
        "SLUICEGATE_AIRFLOW_TOKEN": as_role(airflow, role),
    }
    command = [str(Path(sys.executable).parent / "sluicegate"), "trigger", *options, "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


def test_a_run_is_started_once_by_whoever_may(airflow: Airflow) -> None:
    airflow.write("started_code.py", CODE)
    airflow.write("started.yaml", STARTED)
    airflow.write("started_daily.yaml", DAILY)
    for dag in ("started", "started_daily"):
        airflow.wait_for_dag(dag)
    once = ("started", "--key", "order 7/a", "-p", "file=x", "--note", "by hand")
    code, first, said = trigger(airflow, *once, "--wait", "--timeout", "90")
    assert (code, first["state"], first["steps"]) == (0, "success", {"say": "success"}), said
    code, again, _ = trigger(airflow, *once)
    assert (code, again["run_id"], again["new"]) == (0, first["run_id"], False)
    [run] = airflow.runs("started")
    assert (run["conf"], run["note"]) == ({"file": "x"}, "by hand")

    assert "other params: file" in trigger(airflow, "started", "--key", "order 7/a", "-p", "file=y")[2]
    assert "file has to be given" in trigger(airflow, "started")[2]
    refused = airflow.api.post("/dags/started/dagRuns", json={"logical_date": None, "conf": {}})
    assert refused.status_code == 400, "Airflow asks for it too"
    code, _, said = trigger(airflow, "started", "-p", "file=x", role="viewer")
    assert (code, "Your user must not start a run of started" in said) == (2, True)
    assert [trigger(airflow, "started", "-p", "file=x")[0] for _ in range(3)] == [0, 0, 2], "three an hour"


def test_a_window_runs_again_with_other_params(airflow: Airflow) -> None:
    run = airflow.run_of("started_daily", "2026-02-28")  # in UTC: the first of March begins there in Tokyo
    airflow.wait_for_all("started_daily", run, "say")
    again = ("started_daily", "--window", "2026-03-01", "-p", "file=b")
    assert "--force" in trigger(airflow, *again)[2]
    code, done, said = trigger(airflow, *again, "--force", "--wait", "--timeout", "90")
    assert (code, done["run_id"], done["state"]) == (0, run, "success"), said
    value = airflow.get(f"/dags/started_daily/dagRuns/{run}/taskInstances/say/xcomEntries/return_value")["value"]
    assert "'file': 'b'" in str(value)
    assert "'force': True" in str(value)
    code, _, said = trigger(airflow, *again, "--force", role="viewer")
    assert (code, "Your user must not run a window of started_daily" in said) == (2, True)

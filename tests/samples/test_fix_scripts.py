"""The fix scripts beside the playbooks, run as they are: each shows its plan, and what it plans is then carried out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sluicegate.recovery.definition import Plan
from sluicegate.recovery.plan_file import read_plan
from sluicegate.testing.airflow import wait_until
from tests.airflow.conftest import REPOSITORY, Airflow
from tests.samples.test_playbooks import object_gone

SCRIPTS = sorted(each.name for each in (REPOSITORY / "playbooks").glob("*.py"))


def fix(airflow: Airflow, folder: Path, script: str, *arguments: str) -> tuple[Plan, str]:
    """What a script plans, and what it prints; nothing has run by that."""
    (folder / ".sluicegate").symlink_to(airflow.workspace.state)
    done = subprocess.run(
        [sys.executable, str(airflow.workspace.root / "playbooks" / script), *arguments],
        cwd=folder, capture_output=True, text=True, timeout=180, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing has been changed" in done.stdout
    [file] = folder.glob("recovery-*.json")
    return read_plan(file), done.stdout


def carry_out(folder: Path, plan: Plan) -> None:
    command = [str(Path(sys.executable).parent / "sluicegate"), "recover", "apply", f"recovery-{plan.id}.json"]
    done = subprocess.run(
        [*command, "--yes", plan.id, "--reason", "its cause is gone"],
        cwd=folder, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def planned(plan: Plan) -> list[set[str]]:
    """By wave, what is reset in it, as `dag.task`."""
    return [{f"{plan.instances[place].dag}.{plan.instances[place].task}" for place in wave} for wave in plan.waves]


def clusters(airflow: Airflow, run: str) -> list[str]:
    """The states of all clusters of a run of `delays`, the newest first."""
    emr = airflow.stack.emr()
    found = []
    for each in emr.list_clusters()["Clusters"]:
        tags = emr.describe_cluster(ClusterId=each["Id"])["Cluster"]["Tags"]
        if any(tag["Key"] == "sluicegate:run-id" and tag["Value"] == run for tag in tags):
            found.append(each["Status"]["State"])
    return found


def test_each_script_is_tried_here() -> None:
    text = Path(__file__).read_text()
    assert SCRIPTS == ["late_source.py", "rerun_window.py", "restart_clusters.py"]
    assert all(f'"{script}"' in text for script in SCRIPTS)


def test_what_waited_for_a_late_source_is_reset(airflow: Airflow, tmp_path: Path) -> None:
    s3, key = airflow.stack.s3(), "flights/2013-02-12.csv"
    [name] = [each["Key"] for each in s3.list_objects_v2(Bucket="landing", Prefix=key)["Contents"]]
    delivered = s3.get_object(Bucket="landing", Key=name)["Body"].read()
    run = airflow.run_of("flights", "2013-02-12")
    with object_gone(airflow, "landing", key):
        airflow.clear("flights", run, "load_flights")
        assert airflow.ended("flights", run) == "failed"
    s3.put_object(Bucket="landing", Key=name, Body=delivered)
    plan, printed = fix(airflow, tmp_path, "late_source.py", "flights")
    assert planned(plan) == [{"flights.load_flights"}]
    assert "SOURCE_MISSING on flights.raw  -> playbooks/flights.md#source_missing" in printed
    carry_out(tmp_path, plan)
    assert airflow.ended("flights", run) == "success"
    assert airflow.task("flights", run, "load_flights")["note"].startswith(f"sluicegate recovery {plan.id}, wave 1")


def test_days_of_a_pipeline_and_of_its_readers_are_done_again(airflow: Airflow, tmp_path: Path) -> None:
    rows = "SELECT count(*), sum(flights) FROM public.delays"
    before = airflow.sql(rows)
    run = airflow.run_of("delays", "2013-02-11")
    attempts = len(clusters(airflow, run))
    plan, _ = fix(airflow, tmp_path, "rerun_window.py", "flights", "2013-02-11..2013-02-11")
    assert planned(plan) == [{"flights.land", "flights.load_flights"}, {"delays.join", "delays.load_delays"}]
    assert all(each.force for each in plan.instances)
    carry_out(tmp_path, plan)
    assert len(clusters(airflow, run)) == attempts + 1
    assert airflow.sql(rows) == before


def test_a_cluster_that_hangs_is_ended_and_its_step_begins_again(airflow: Airflow, tmp_path: Path) -> None:
    run = airflow.run_of("delays", "2013-02-13")
    attempts = len(clusters(airflow, run))
    airflow.clear("delays", run, "join")
    airflow.wait_for_deferred("delays", run, "join")
    wait_until(lambda: len(clusters(airflow, run)) == attempts + 1, 180, "its cluster")
    plan, printed = fix(airflow, tmp_path, "restart_clusters.py", "0m", "delays")
    assert planned(plan) == [{"delays.join"}]
    assert "1 cluster would start" in printed
    carry_out(tmp_path, plan)
    assert airflow.ended("delays", run, timeout=300) == "success"
    newest, hung, *_ = clusters(airflow, run)
    assert (newest, hung.startswith("TERMINATED")) == ("TERMINATED", True)
    assert len(clusters(airflow, run)) == attempts + 2


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_says_what_it_is_for_and_is_a_few_lines_long(script: str) -> None:
    text = (REPOSITORY / "playbooks" / script).read_text()
    assert f"python playbooks/{script}" in text.partition('"""')[2].partition('"""')[0]
    assert len(text.rpartition('"""')[2].strip().splitlines()) <= 12

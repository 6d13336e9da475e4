"""Clusters in a running Airflow whose processes are killed, and whose tasks a person marks, clears and deletes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sluicegate.local.stack import running
from sluicegate.testing.airflow import wait_until
from tests.airflow.conftest import Airflow

JOB = """\
import sys
import time
from pathlib import Path

folder = Path(sys.argv[-1])
with (folder / "began").open("a") as began:
    began.write("x")
while not (folder / "go").exists():
    time.sleep(0.05)
with (folder / "done").open("a") as done:
    done.write("x")
"""

PIPELINE = """\
sluicegate: 1
owner: tests
schedule: none
retries: {count: 2, delay: 1s, max_delay: 1s}
params: {folder: {type: string, default: "/nowhere"}}
datasets:
  out: s3://lake/out/{{ params.folder }}/
steps:
  job:
    spark: {path: jobs/wait.py, args: ["{{ params.folder }}"]}
    cluster: {release: emr-7.13.0, instances: {primary: m7g.xlarge}, log_uri: "s3://emr-logs/"}
"""

JANITOR = """\
sluicegate: 1
owner: tests
schedule: none
steps:
  sweep:
    operator: sluicegate.emr.JanitorOperator
    with: {dry_run: false, grace: 1s}
"""


@dataclass
class Job:
    """A run whose job runs until it is released."""

    airflow: Airflow
    folder: Path
    run_id: str = ""

    def start(self) -> Job:
        self.run_id = self.airflow.trigger("lives", folder=str(self.folder))
        return self

    def until_it_runs(self, times: int = 1) -> None:
        wait_until(lambda: self.count("began") >= times, 180, f"the job to run for the {times}. time")
        self.airflow.wait_for_deferred("lives", self.run_id, "job")

    def release(self) -> None:
        (self.folder / "go").touch()

    def count(self, name: str) -> int:
        """How often it has `began`, or is `done`."""
        file = self.folder / name
        return len(file.read_text()) if file.exists() else 0

    @property
    def clusters(self) -> list[dict[str, Any]]:
        """All that were started for this run, the newest first."""
        emr = self.airflow.stack.emr()
        shown = [emr.describe_cluster(ClusterId=one["Id"])["Cluster"] for one in emr.list_clusters()["Clusters"]]
        mine = {"Key": "sluicegate:run-id", "Value": self.run_id}
        return [cluster for cluster in shown if mine in cluster["Tags"]]

    @property
    def live(self) -> int:
        return sum(not cluster["Status"]["State"].startswith("TERMINAT") for cluster in self.clusters)

    @property
    def outcome(self) -> tuple[int, int, int, int, str]:
        """Clusters started, clusters left, times the job began and was done, and the task's state."""
        state = self.airflow.wait("lives", self.run_id, "job")
        return len(self.clusters), self.live, self.count("began"), self.count("done"), state

    def mark_failed(self) -> None:
        """What the UI sends for *Mark state as: failed*."""
        path = f"/dags/lives/dagRuns/{self.run_id}/taskInstances/job"
        self.airflow.api.patch(path, json={"new_state": "failed"}).raise_for_status()


@pytest.fixture(scope="module")
def lives(airflow: Airflow) -> Airflow:
    airflow.write("jobs/wait.py", JOB)
    airflow.write("janitor.yaml", JANITOR)
    airflow.write("lives.yaml", PIPELINE)
    for name in ("lives", "janitor"):
        airflow.wait_for_dag(name)
    return airflow


@pytest.fixture
def job(lives: Airflow, tmp_path: Path) -> Iterator[Job]:
    job = Job(lives, tmp_path)
    yield job
    job.release()


def kill(airflow: Airflow, component: str) -> None:
    """SIGKILL; the supervisor starts it again."""
    os.kill(pid_of(airflow, component), signal.SIGKILL)


def pid_of(airflow: Airflow, component: str) -> int:
    stack = running(airflow.stack.state.root)
    assert stack is not None
    return stack.run.components[component].pid


def test_a_worker_killed_once_emr_has_its_cluster_starts_no_other_one(job: Job) -> None:
    emr = job.airflow.stack.state.emr
    before = set(emr.iterdir())
    job.start()
    pid = wait_until(lambda: job.airflow.task("lives", job.run_id, "job")["pid"], 180, "the worker")
    until = time.monotonic() + 60
    while set(emr.iterdir()) == before:
        assert time.monotonic() < until
    os.kill(pid, signal.SIGKILL)
    job.release()
    assert job.outcome == (1, 0, 1, 1, "success")
    assert job.airflow.task("lives", job.run_id, "job")["try_number"] == 2


def test_neither_a_dead_triggerer_nor_a_dead_scheduler_touches_a_cluster(job: Job) -> None:
    job.start().until_it_runs()
    for component in ("triggerer", "scheduler"):
        kill(job.airflow, component)
    job.release()
    assert job.outcome == (1, 0, 1, 1, "success")


def test_a_task_that_is_cleared_while_its_job_runs_gets_another_cluster(job: Job) -> None:
    job.start().until_it_runs()
    job.airflow.api.post(
        "/dags/lives/clearTaskInstances",
        json={"dry_run": False, "only_failed": False, "dag_run_id": job.run_id, "task_ids": ["job"]},
    ).raise_for_status()
    job.until_it_runs(2)
    job.release()
    assert job.outcome == (2, 0, 2, 1, "success")


def test_marking_a_task_failed_and_deleting_a_run_end_the_cluster_at_once(job: Job, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Job(job.airflow, tmp_path / "other")
    job.start()
    other.start()
    job.until_it_runs()
    other.until_it_runs()
    job.mark_failed()
    run = f"/dags/lives/dagRuns/{other.run_id}"
    assert job.airflow.api.delete(run).status_code == 409  # not while it runs
    job.airflow.api.patch(run, json={"state": "failed"}).raise_for_status()
    job.airflow.api.delete(run).raise_for_status()
    wait_until(lambda: job.live + other.live == 0, 180, "both clusters to end")
    assert job.outcome == (1, 0, 1, 0, "failed")
    assert (len(other.clusters), other.count("done")) == (1, 0)


def test_what_is_marked_failed_while_there_is_no_triggerer_the_janitor_ends(job: Job) -> None:
    job.start().until_it_runs()
    triggerer = pid_of(job.airflow, "triggerer")
    os.kill(triggerer, signal.SIGSTOP)
    try:
        job.mark_failed()
        time.sleep(2)
        assert job.live == 1
        sweep = job.airflow.trigger("janitor")
        assert job.airflow.wait("janitor", sweep, "sweep") == "success"
        wait_until(lambda: not job.live, 180, "the cluster to end")
    finally:
        os.kill(triggerer, signal.SIGKILL)
    result = job.airflow.result("janitor", sweep, "sweep")
    assert [(one["run_id"], one["ended"]) for one in result["orphans"]] == [(job.run_id, True)]
    assert job.outcome == (1, 0, 1, 0, "failed")

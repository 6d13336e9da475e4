"""One embedded stack for all tests of this folder: the demo has run on its state before it starts.

The tests may run in any order: each leaves the sample pipelines working and their data as the demo made it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import psycopg
import pytest

from sluicegate.local.stack import Stack
from sluicegate.local.stack.airflow import pipeline_bundles

REPOSITORY = Path(__file__).parents[2]
T = TypeVar("T")
FINISHED = frozenset({"success", "failed", "skipped", "upstream_failed"})


@dataclass(frozen=True)
class Workspace:
    """A copy of the samples that tests may change, and the state folder of their stack."""

    root: Path

    @property
    def dags(self) -> Path:
        return self.root / "dags"

    @property
    def pinned(self) -> Path:
        """The dags root of the second bundle, which keeps snapshots."""
        return self.root / "pinned"

    @property
    def state(self) -> Path:
        return self.root / "state"

    def command(self, *arguments: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """`sluicegate …` as a user would call it, from the workspace, without a terminal."""
        return subprocess.run(
            [str(Path(sys.executable).parent / "sluicegate"), *arguments],
            cwd=self.root, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip

    def demo(self, *arguments: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
        done = self.command("demo", "--state", str(self.state), *arguments)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
        return done, json.loads((self.state / "demo.json").read_text())


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("workspace")
    for folder in ("dags", "playbooks"):
        shutil.copytree(REPOSITORY / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return Workspace(root)


@dataclass(frozen=True)
class FirstDemo:
    """The demo from nothing: its process, its report, and the processes that it left behind."""

    process: subprocess.CompletedProcess[str]
    report: dict[str, Any]
    left_running: list[list[str]]


@pytest.fixture(scope="session")
def first_demo(workspace: Workspace) -> FirstDemo:
    done, report = workspace.demo()
    return FirstDemo(done, report, list(_processes_of(workspace.state)))


def _processes_of(state: Path) -> Iterator[list[str]]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("SLUICEGATE_STATE") == str(state):
                yield process.cmdline()


@dataclass(frozen=True)
class Airflow:
    """What the tests ask of the Airflow of the stack, over REST."""

    stack: Stack
    api: httpx.Client
    workspace: Workspace

    def get(self, path: str, **query: Any) -> Any:
        return self.api.get(path, params=query).raise_for_status().json()

    def write(self, name: str, text: str) -> Path:
        """A file below the dags root."""
        path = self.workspace.dags / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def wait_for_dag(self, dag_id: str) -> None:
        wait_until(lambda: self.api.get(f"/dags/{dag_id}").status_code == 200, 60, f"DAG {dag_id}")

    def trigger(self, dag_id: str, logical_date: str | None = None, **conf: Any) -> str:
        body = {"logical_date": logical_date, "conf": conf}
        answer = self.api.post(f"/dags/{dag_id}/dagRuns", json=body)
        assert answer.is_success, answer.text
        return str(answer.json()["dag_run_id"])

    def run_of(self, dag_id: str, day: str) -> str:
        """The id of the run whose window begins on `day`."""
        found = self.api.post("/dags/~/dagRuns/list", json={"dag_ids": [dag_id]}).raise_for_status().json()["dag_runs"]
        return next(run["dag_run_id"] for run in found if (run["data_interval_start"] or "").startswith(day))

    def clear(self, dag_id: str, run_id: str, *task_ids: str, downstream: bool = True) -> None:
        # A clear in the moment in which the scheduler ends the run is lost: Airflow then has an ended run with
        # a task that nobody looks at.
        with contextlib.suppress(AssertionError):
            self.ended(dag_id, run_id, timeout=15)
        body = {
            "dry_run": False, "only_failed": False, "dag_run_id": run_id,
            "task_ids": list(task_ids), "include_downstream": downstream,
        }  # fmt: skip
        self.api.post(f"/dags/{dag_id}/clearTaskInstances", json=body).raise_for_status()

    def task(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}")
        return found

    def wait(self, dag_id: str, run_id: str, task_id: str, timeout: float = 120) -> str:
        """The state in which a task ends."""

        def finished() -> str | None:
            state = self.task(dag_id, run_id, task_id)["state"]
            return state if state in FINISHED else None

        return wait_until(finished, timeout, f"{dag_id}.{task_id} to end")

    def ended(self, dag_id: str, run_id: str, timeout: float = 120) -> str:
        """The state in which a run ends."""

        def finished() -> str | None:
            state = str(self.get(f"/dags/{dag_id}/dagRuns/{run_id}")["state"])
            return state if state in FINISHED else None

        return wait_until(finished, timeout, f"the run {run_id} of {dag_id} to end")

    def result(self, dag_id: str, run_id: str, task_id: str) -> Any:
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        return self.get(path, deserialize="true")["value"]

    def fault(self, dag_id: str, run_id: str, task_id: str) -> Mapping[str, Any]:
        """What the task kept of its last error in its state store."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/state-store/last_error"
        answer = self.api.get(path)
        assert answer.is_success, f"{answer.text}\n{self.log(dag_id, run_id, task_id)[-4000:]}"
        found: Mapping[str, Any] = answer.json()["value"]
        return found

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int | None = None) -> str:
        number = try_number or self.task(dag_id, run_id, task_id)["try_number"]
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{number}"
        content = self.api.get(path, headers={"Accept": "application/json"}).raise_for_status().json()["content"]
        return "\n".join(str(entry["event"]) if isinstance(entry, dict) else str(entry) for entry in content)

    def import_errors(self) -> dict[str, str]:
        found = self.get("/importErrors", limit=100)["import_errors"]
        return {entry["filename"]: entry["stack_trace"] for entry in found}

    def put(self, bucket: str, key: str, body: bytes) -> None:
        s3 = self.stack.s3()
        if bucket not in {one["Name"] for one in s3.list_buckets()["Buckets"]}:
            s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key=key, Body=body)

    def sql(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.stack.warehouse_dsn) as connection:
            return connection.execute(query, values).fetchall()


def wait_until(ask: Callable[[], T | None], timeout: float, what: str) -> T:
    deadline = time.monotonic() + timeout
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"waited {timeout:.0f} s for {what}"
        time.sleep(0.3)
    return answer


@contextlib.contextmanager
def rest_of(stack: Stack) -> Iterator[httpx.Client]:
    """Airflow's REST API as the admin, each call made once."""
    with stack.api() as client:
        headers = {"Authorization": f"Bearer {client.token}"}
    with httpx.Client(base_url=f"{stack.airflow_url}/api/v2", headers=headers, trust_env=False, timeout=60) as api:
        yield api


@pytest.fixture(scope="session")
def airflow(workspace: Workspace, first_demo: object) -> Iterator[Airflow]:
    del first_demo  # the sample runs are there
    workspace.pinned.mkdir()
    kwargs = {"root": str(workspace.pinned), "refresh_interval": 2, "snapshots": str(workspace.root / "snapshots")}
    pinned = {"name": "pinned", "classpath": "sluicegate.discovery.bundle.PipelineBundle", "kwargs": kwargs}
    bundles = [*pipeline_bundles(str(workspace.dags)), pinned]
    with Stack(workspace.state, workspace.dags, bundles=bundles) as stack, rest_of(stack) as api:
        yield Airflow(stack, api, workspace)

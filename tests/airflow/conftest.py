"""One embedded stack for all tests of this folder, with the sample `inbox`; each test writes its own pipelines.

The stack ends with the folder's last test, not with the session: idle, it still takes a tenth of a core.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sluicegate.local.stack import Stack
from sluicegate.local.stack.airflow import pipeline_bundles
from sluicegate.testing.airflow import RunningAirflow, rest_of
from sluicegate.testing.warehouse import Warehouse

REPOSITORY = Path(__file__).parents[2]


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
    def by_hand(self) -> Path:
        """The folder of a bundle of Airflow's own, with DAGs in Python."""
        return self.root / "by_hand"

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


def workspace_with(root: Path, samples: str = "*") -> Workspace:
    """The sample pipelines whose file has that name, with the code and the playbooks of all."""
    ignored = shutil.ignore_patterns("__pycache__", "*.yaml")
    for folder in ("dags", "playbooks"):
        shutil.copytree(REPOSITORY / folder, root / folder, ignore=ignored)
    for file in (REPOSITORY / "dags").glob(f"{samples}.yaml"):
        shutil.copy(file, root / "dags")
    return Workspace(root)


@dataclass(frozen=True)
class Airflow(RunningAirflow):
    """The Airflow of the stack, with the stack around it."""

    stack: Stack
    workspace: Workspace

    def write(self, name: str, text: str) -> Path:
        """A file below the dags root."""
        path = self.workspace.dags / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def put(self, bucket: str, key: str, body: bytes) -> None:
        s3 = self.stack.s3()
        if bucket not in {one["Name"] for one in s3.list_buckets()["Buckets"]}:
            s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key=key, Body=body)

    def sql(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return Warehouse(self.stack.warehouse_dsn).rows(query, *values)


@contextlib.contextmanager
def airflow_of(workspace: Workspace) -> Iterator[Airflow]:
    """A stack on the workspace, until the end of the block."""
    workspace.pinned.mkdir()
    workspace.by_hand.mkdir()
    kwargs = {"root": str(workspace.pinned), "refresh_interval": 2, "snapshots": str(workspace.root / "snapshots")}
    pinned = {"name": "pinned", "classpath": "sluicegate.discovery.bundle.PipelineBundle", "kwargs": kwargs}
    local = "airflow.dag_processing.bundles.local.LocalDagBundle"
    by_hand = {"name": "by_hand", "classpath": local, "kwargs": {"path": str(workspace.by_hand), "refresh_interval": 2}}
    bundles = [*pipeline_bundles(str(workspace.dags)), pinned, by_hand]
    with Stack(workspace.state, workspace.dags, bundles=bundles) as stack, rest_of(stack) as api:
        yield Airflow(api, stack, workspace)


@pytest.fixture(scope="package")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    with airflow_of(workspace_with(tmp_path_factory.mktemp("workspace"), "inbox")) as running:
        yield running

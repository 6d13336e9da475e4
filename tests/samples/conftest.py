"""One embedded stack for the sample pipelines: the demo has run on its state before it starts.

The tests may run in any order: each leaves the pipelines working and their data as the demo made it.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.airflow.conftest import Airflow, Workspace, airflow_of, workspace_with


@pytest.fixture(scope="package")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return workspace_with(tmp_path_factory.mktemp("samples"))


@dataclass(frozen=True)
class FirstDemo:
    """The demo from nothing: its process, its report, and the processes that it left behind."""

    process: subprocess.CompletedProcess[str]
    report: dict[str, Any]
    left_running: list[list[str]]


@pytest.fixture(scope="package")
def first_demo(workspace: Workspace) -> FirstDemo:
    done, report = workspace.demo()
    return FirstDemo(done, report, list(_processes_of(workspace.state)))


def _processes_of(state: Path) -> Iterator[list[str]]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("SLUICEGATE_STATE") == str(state):
                yield process.cmdline()


@pytest.fixture(scope="package")
def airflow(workspace: Workspace, first_demo: object) -> Iterator[Airflow]:
    del first_demo  # the sample runs are there
    with airflow_of(workspace) as running:
        yield running

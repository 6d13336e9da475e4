"""Airflow 3.4 in an environment of its own, as real processes on a scratch database, and what tests ask of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psycopg
import pytest

from sluicegate.local.stack import processes
from sluicegate.local.stack.scratch import scratch_postgres
from tests.uv import uv

HERE = Path(__file__).parent
COMMANDS = {
    "api-server": ("api-server",),
    "dag-processor": ("dag-processor",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
REPOSITORY = HERE.parents[1]
ENVIRONMENT = REPOSITORY / ".venv34"
IMPORTER = "sluicegate.discovery.importer.PipelineImporter"
T = TypeVar("T")


@pytest.fixture(scope="session")
def python34() -> Path:
    """The Python of the environment with Airflow 3.4, made on demand from its lock file."""
    subprocess.run(
        [uv(), "sync", "--frozen", "--quiet", "--python", sys.executable, "--project", str(HERE)],
        env={**os.environ, "UV_PROJECT_ENVIRONMENT": str(ENVIRONMENT), "UV_PYTHON_DOWNLOADS": "never"},
        check=True, timeout=900,
    )  # fmt: skip
    return ENVIRONMENT / "bin" / "python"


@dataclass(frozen=True)
class Airflow34:
    """An Airflow whose bundle `pipelines` has our importer, and whose bundle `theirs` has Airflow's own for YAML."""

    python: Path
    folder: Path
    conninfo: str
    port: int
    stack: ExitStack
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def dags(self) -> Path:
        return self.folder / "dags"

    @property
    def theirs(self) -> Path:
        return self.folder / "theirs"

    @property
    def environment(self) -> dict[str, str]:
        home = self.folder / "home"
        info = psycopg.conninfo.conninfo_to_dict(self.conninfo)
        database = f"postgresql+psycopg://postgres@127.0.0.1:{info['port']}/airflow"
        warehouse = {"conn_type": "postgres", "host": "127.0.0.1", "port": int(info["port"] or 0), "login": "postgres"}
        local = "airflow.dag_processing.bundles.local.LocalDagBundle"
        bundles = [
            {
                "name": "pipelines",
                "classpath": local,
                "kwargs": {"path": str(self.dags), "refresh_interval": 1},
                "importers": [IMPORTER],
            },
            {"name": "theirs", "classpath": local, "kwargs": {"path": str(self.theirs), "refresh_interval": 1}},
        ]
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        return kept | {
            "NO_PROXY": "127.0.0.1",
            "PYTHONUNBUFFERED": "1",
            "AIRFLOW_HOME": str(home),
            "AIRFLOW_CONN_WAREHOUSE": json.dumps({**warehouse, "schema": "warehouse"}),
            "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{self.port}",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__SECRET_KEY": "only for a test",
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": "only for a test, and long enough for that",
            "AIRFLOW__CORE__AUTH_MANAGER": (
                "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
            ),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.folder / "none"),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{self.port}/execution/",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__FERNET_KEY": "",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "3",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": database,
            "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(home / "bundles"),
            "AIRFLOW__DAG_PROCESSOR__DAG_IMPORTER_CONFIGS": json.dumps(
                [{"classpath": "airflow.sdk.importers.yaml_importer.YamlDagImporter"}]
            ),
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "10",
            "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "2",
            # What Airflow takes for gone is gone soon.
            "AIRFLOW__DAG_PROCESSOR__STALE_DAG_THRESHOLD": "3",
            "AIRFLOW__SCHEDULER__PARSING_CLEANUP_INTERVAL": "3",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
            "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(home / "parsing"),
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
            "AIRFLOW__SLUICEGATE__SENSOR_POKE_INTERVAL": "1",
        }

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`airflow …`, to its end."""
        done = subprocess.run(
            [str(self.python), "-m", "airflow", *arguments],
            env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done

    def start(self, *names: str) -> None:
        """Start processes that end with the tests, whatever happens to these."""
        for name in names:
            process = processes.spawn(
                [str(self.python), "-m", "airflow", *COMMANDS[name]],
                env=self.environment, log=self.folder / f"{name}.log", cwd=self.folder, death_signal=signal.SIGKILL,
            )  # fmt: skip
            self.processes[name] = process
            self.stack.callback(_end, process)

    def serves_tasks(self) -> bool:
        """Whether tasks can talk to the api-server; a task that starts earlier fails."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/execution/health", timeout=30).is_success
        except httpx.HTTPError:
            return False

    def query(self, text: str, *values: Any, database: str = "airflow") -> list[tuple[Any, ...]]:
        with psycopg.connect(f"{self.conninfo} dbname={database}", autocommit=True) as connection:
            return connection.execute(text, values).fetchall()  # type: ignore[call-overload]

    def active(self) -> dict[str, str]:
        """The DAGs that Airflow schedules, with the file it found each in."""
        return dict(self.query("SELECT dag_id, relative_fileloc FROM dag WHERE NOT is_stale"))

    def errors(self) -> dict[str, str]:
        return dict(self.query("SELECT filename, stacktrace FROM import_error"))

    def code(self, dag_id: str) -> tuple[str, str]:
        query = "SELECT source_code, language FROM dag_code WHERE dag_id = %s ORDER BY last_updated DESC LIMIT 1"
        [found] = self.query(query, dag_id)
        return found[0], found[1]

    def until(self, ask: Callable[[], T | None], timeout: float, what: str) -> T:
        deadline = time.monotonic() + timeout
        while not (answer := ask()):
            dead = [name for name, process in self.processes.items() if process.poll() is not None]
            if dead or time.monotonic() > deadline:
                logs = "\n".join(f"== {path.name}\n{path.read_text()[-3000:]}" for path in self.folder.glob("*.log"))
                pytest.fail(f"waited for {what}; ended: {dead or 'none'}; active {self.active()}\n{logs}")
            time.sleep(0.3)
        return answer


def _end(process: subprocess.Popen[bytes]) -> None:
    below = processes.descendants(process.pid)
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    processes.kill(below)


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture(scope="module")
def airflow34(python34: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow34]:
    folder = tmp_path_factory.mktemp("airflow34")
    with ExitStack() as stack:
        conninfo = stack.enter_context(scratch_postgres(folder / "postgres"))
        with psycopg.connect(f"{conninfo} dbname=postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE airflow")
            connection.execute("CREATE DATABASE warehouse")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        airflow = Airflow34(python34, folder, conninfo, port, stack)
        for each in (airflow.dags, airflow.theirs, folder / "none", folder / "home"):
            each.mkdir()
        airflow.run("db", "migrate")
        yield airflow
        for process in airflow.processes.values():
            process.terminate()

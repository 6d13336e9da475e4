"""Airflow's share of the stack: its settings as environment variables, its four commands, its health.

Imports no Airflow: the supervisor must start at once, and Airflow reads its settings when it is imported.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sluicegate.local.stack.databases import AIRFLOW, WAREHOUSE
from sluicegate.local.stack.state import Ports, Secrets, State, airflow_url, aws_url, write_json

ADMIN = "admin"
REGION = "us-east-1"
_AUTH_MANAGER = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"

# The api-server comes first: it is the slowest, and the scheduler's workers talk to it.
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}

# Seconds each may take to end. The scheduler waits for running tasks. The triggerer would take ten to do what
# loses nothing when it is cut off: its triggers are in the database.
PATIENCE: Mapping[str, float] = {"api-server": 5, "scheduler": 15, "dag-processor": 5, "triggerer": 2}

# What a dag-processor of pipelines needs: their stubs change when a file does, and then are parsed at once. To parse
# them again without a change finds only what is in no file, a newer provider for instance, and may take its time. So
# each parse has to be stored: by default Airflow drops what comes within half a minute of the one before. And
# a deleted pipeline goes the sooner, the less the last two parses of its shard must lie apart.
DAG_PROCESSOR: Mapping[str, str] = {
    "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "3",
    "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "2",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
    "AIRFLOW__DAG_PROCESSOR__STALE_DAG_THRESHOLD": "10",
    "AIRFLOW__DAG_PROCESSOR__PRINT_STATS_INTERVAL": "600",
    "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "1",
}

# What the caller's own AIRFLOW__... variables may change.
# Measured: the first saves the most, a second a task. The heartbeats: a killed worker is noticed within a
# minute, while the api-server may be away for half of one. A task that ended unseen holds its slot for the
# least interval between two.
_TUNING = {
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "5",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "40",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",
    "AIRFLOW__SCHEDULER__PARSING_CLEANUP_INTERVAL": "10",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
    "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "15",
    # A task that ends while the api-server is away says so when it is back: five tries are over in 15 s.
    "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "9",
    "AIRFLOW__CORE__PARALLELISM": str(min(8, max(4, 2 * (os.cpu_count() or 2)))),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    **DAG_PROCESSOR,
    "AIRFLOW__API__WORKERS": "1",
    # One person looks at it: how soon a waiting run goes on matters more than the polling.
    "AIRFLOW__SLUICEGATE__SENSOR_POKE_INTERVAL": "2",
    "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
    # setproctitle would overwrite the environment by which leftovers are found.
    "SPT_NOENV": "1",
    # Objective-C forbids what LocalExecutor does on macOS unless configured otherwise.
    "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES",
}

_LOCAL_SETTINGS = '''\
"""Written by `sluicegate up`. Airflow imports it at start."""

from sluicegate.discovery.preload import preload_tasks

preload_tasks()
__all__ = ()
'''


def pipeline_bundles(dags: str) -> list[dict[str, Any]]:
    """The bundle that finds the pipelines below a folder."""
    return [
        {
            "name": "sluicegate",
            "classpath": "sluicegate.discovery.bundle.PipelineBundle",
            "kwargs": {"root": dags, "refresh_interval": 3},
        }
    ]


def caller_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The caller's environment without what would lead the stack elsewhere.

    No AWS variables: an embedded run must not reach somebody's account by accident. No libpq variables. And
    no proxy for what is on this machine.
    """
    foreign = ("AWS_", "PG", "AIRFLOW_CONFIG", "PYTHONHOME")
    kept = {name: value for name, value in environ.items() if not name.startswith(foreign)}
    for name in ("NO_PROXY", "no_proxy"):
        kept[name] = ",".join(filter(None, [environ.get(name, ""), "127.0.0.1", "localhost"]))
    return kept


def environment(
    base: Mapping[str, str],
    state: State,
    secrets: Secrets,
    ports: Ports,
    bundles: Sequence[Mapping[str, Any]],
) -> dict[str, str]:
    """The environment that makes an `airflow` command one of this stack. Holds passwords.

    What is measured gives way to the caller's settings (`base`), what the stack depends on does not.
    """
    database = f"postgresql+psycopg://{AIRFLOW}:{secrets.airflow_password}@127.0.0.1:{ports.postgres}/{AIRFLOW}"
    foundation = {
        "AIRFLOW_HOME": str(state.airflow),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": database,
        "AIRFLOW__CORE__DAGS_FOLDER": str(state.airflow / "dags"),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__AUTH_MANAGER": _AUTH_MANAGER,
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin",
        "AIRFLOW__CORE__FERNET_KEY": secrets.fernet_key,
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(state.passwords),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{airflow_url(ports)}/execution/",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(ports.airflow),
        "AIRFLOW__API__BASE_URL": airflow_url(ports),
        "AIRFLOW__API__SECRET_KEY": secrets.api_secret_key,
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.jwt_secret,
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(state.logs / "tasks"),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(state.logs / "parsing"),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(state.airflow / "bundles"),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(list(bundles)),
        "AIRFLOW_CONN_WAREHOUSE": _warehouse_connection(secrets, ports),
        "AIRFLOW_CONN_AWS_DEFAULT": _aws_connection(secrets, ports),
    }
    return {**_TUNING, **base, **foundation}


def _warehouse_connection(secrets: Secrets, ports: Ports) -> str:
    return json.dumps(
        {
            "conn_type": "postgres",
            "host": "127.0.0.1",
            "port": ports.postgres,
            "schema": WAREHOUSE,
            "login": WAREHOUSE,
            "password": secrets.warehouse_password,
        }
    )


def _aws_connection(secrets: Secrets, ports: Ports) -> str:
    return json.dumps(
        {
            "conn_type": "aws",
            "login": secrets.aws_access_key,
            "password": secrets.aws_secret_key,
            "extra": {"endpoint_url": aws_url(ports), "region_name": REGION},
        }
    )


def write_home(state: State, secrets: Secrets) -> None:
    """AIRFLOW_HOME: all settings come from the environment, so its configuration file says only that."""
    for folder in ("config", "dags", "plugins", "bundles"):
        (state.airflow / folder).mkdir(exist_ok=True)
    (state.airflow / "airflow.cfg").write_text("# Empty on purpose: `sluicegate up` sets AIRFLOW__... variables.\n")
    (state.airflow / "config" / "airflow_local_settings.py").write_text(_LOCAL_SETTINGS)
    # A forked scheduler inherits a compiled copy as well; a stale one would be trusted by its time stamp.
    shutil.rmtree(state.airflow / "config" / "__pycache__", ignore_errors=True)
    write_json(state.passwords, {ADMIN: secrets.admin_password})


def command(state: State, component: str) -> list[str]:
    arguments = COMMANDS[component]
    if component == "api-server":
        return [sys.executable, "-m", "sluicegate.local.stack.preload", str(state.migrated), *arguments]
    return [sys.executable, "-m", "airflow", *arguments]


def migration() -> list[str]:
    return [sys.executable, "-m", "airflow", "db", "migrate"]


def version() -> str:
    from importlib.metadata import version as installed

    return installed("apache-airflow-core")


class Health:
    """What the api-server says of all four; asked at most three times a second."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._asked = 0.0
        self._answer: dict[str, Any] = {}

    def healthy(self, component: str, since: float) -> bool:
        """Whether it has reported as healthy after `since` (seconds since 1970), not in an earlier life."""
        if component == "api-server":
            # The API of the tasks is built on its first request, for seconds: not while a task waits for it.
            return self._report("metadatabase").get("status") == "healthy" and bool(self._get("/execution/health", 30))
        key = component.replace("-", "_")
        report = self._report(key)
        beat = report.get(f"latest_{key}_heartbeat")
        if report.get("status") != "healthy" or not beat:
            return False
        return datetime.fromisoformat(beat).timestamp() >= since

    def _report(self, key: str) -> dict[str, Any]:
        if time.monotonic() - self._asked > 0.3:
            self._answer = self._get("/api/v2/monitor/health", 3)
            self._asked = time.monotonic()
        return self._answer.get(key) or {}

    def _get(self, path: str, timeout: float) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=timeout)
        try:
            connection.request("GET", path)
            answer = json.loads(connection.getresponse().read())
            return answer if isinstance(answer, dict) else {}
        except (OSError, http.client.HTTPException, ValueError):
            return {}
        finally:
            connection.close()

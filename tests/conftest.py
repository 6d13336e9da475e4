"""An Airflow of the tests' own: a home in a temporary folder, set before anything imports Airflow."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from xdist.scheduler import LoadScopeScheduling

from sluicegate.local.stack import processes
from tests.fresh import FreshAirflow, fresh_airflow
from tests.lanes import Lanes

pytest_plugins = ["sluicegate.testing.fixtures"]

_HERE = Path(__file__).parent
gc.disable()  # until all tests are collected: what is imported and made till then stays
_HOME = Path(tempfile.mkdtemp(prefix="sluicegate-tests-"))

# No setting of the machine that runs the tests may reach them.
for _name in [name for name in os.environ if name.startswith(("AIRFLOW_", "SLUICEGATE_"))]:
    del os.environ[_name]
os.environ |= {
    "AIRFLOW_HOME": str(_HOME),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_FOLDER": str(_HOME / "dags"),
    "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(_HOME / "bundles"),
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME}/airflow.db",
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(_HOME / "logs"),
    # Of stacks that run beside each other: at the embedded stack's own 0.2 an idle one takes twice as much of a core.
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
    # Only a test's own values: nothing here leaves the machine.
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


# These start servers, Spark or a whole Airflow, or kill processes. `make unit` leaves them out.
_SYSTEM = (
    "airflow/", "airflow34/", "checks/test_against_great_expectations.py", "checks/test_compile.py",
    "checks/test_spark.py", "cli/test_clusters.py", "cli/test_doctor.py", "cli/test_trigger.py",
    "deploy/test_container.py", "discovery/test_last_good.py", "discovery/test_sandbox.py",
    "discovery/test_stub_sync.py", "docs/", "doctor/", "emr/test_accidents.py", "emr/test_beside.py",
    "emr/test_crash.py", "emr/test_janitor.py", "emr/test_local_emr.py", "emr/test_operator.py", "emr/test_outcome.py",
    "emr/test_placement.py", "emr/test_policy.py", "emr/test_simulation_long.py", "emr/test_spread.py",
    "emr/test_sweep.py", "emr/test_trigger.py", "factory/test_mutations.py", "health/test_journals.py",
    "ledger/test_postgres.py", "load/", "local/test_airflow.py", "local/test_aws_", "local/test_command.py",
    "local/test_fork_server.py", "local/test_postgres.py", "local/test_processes.py", "local/test_stack.py",
    "local/test_supervise.py", "pipeline/test_mutations.py", "receipts/test_receipts_of_steps.py",
    "receipts/test_runs_command.py", "records/test_one_grammar.py", "recovery/test_apply_crash.py",
    "recovery/test_night", "recovery/test_schedules.py", "samples/",
    "sources/test_api.py", "sources/test_killed.py", "sources/test_operator.py", "sources/test_sql.py",
    "storage/test_s3.py", "storage/test_unfinished.py", "targets/iceberg/", "targets/on_cluster/", "targets/parquet/",
    "targets/redshift/",
    "telemetry/test_metrics.py", "testing/test_fixtures.py", "testing/test_pipelines.py", "transform/",
)  # fmt: skip
_ONE_STACK = ("samples/", "airflow/", "recovery/test_night", "targets/on_cluster/")
_OWN_STACK = "airflow/test_readme.py"
_SPARK = ("checks/test_spark.py", "load/test_on_cluster.py", "targets/on_cluster/")
"""They share a Java with a Spark in it, and are called by the last of them."""
_LONGEST_FIRST = (
    "samples/", "airflow/", "recovery/test_night", "airflow34/test_importer.py", _OWN_STACK, "local/test_stack.py",
    _SPARK[-1], "load/test_crash_matrix.py", "load/test_dead_letters_command.py", "load/test_replay_model.py",
    "load/test_cluster_pipeline.py", "load/test_memory.py", "load/test_crash.py", "emr/test_operator.py",
    "emr/test_crash.py", "local/test_aws_spark.py", "recovery/test_schedules.py", "testing/test_fixtures.py",
)  # fmt: skip
"""Groups in the order in which workers take them: what takes long must not begin last. All others follow."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave unread what `make unit` leaves out: its imports take longer than many tests."""
    if config.getoption("markexpr") != "not system":
        return None
    file = collection_path.relative_to(_HERE).as_posix() if collection_path.is_relative_to(_HERE) else ""
    return f"{file}/".startswith(_SYSTEM) or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the system tests, and put first what takes longest."""
    place = {group: number for number, group in enumerate(_LONGEST_FIRST)}
    order: dict[pytest.Item, tuple[int, str]] = {}
    for item in items:
        file = item.path.relative_to(_HERE).as_posix()
        if file.startswith(_SYSTEM):
            item.add_marker(pytest.mark.system)
        group = _group_of(file)
        order[item] = (place.get(group, len(place)), group)
    items.sort(key=order.__getitem__)


def pytest_collection_finish() -> None:
    """Keep the collector from what stays to the end: it would go through all of Airflow, in every forked child too."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)  # thousands of objects live for one test: by default they are gone through at once
    gc.enable()
    atexit.register(gc.unfreeze)  # not before: pytest collects several times as it ends


@pytest.fixture(autouse=True)
def _a_journal_of_its_own() -> Iterator[None]:
    """Each test has its own database under the same connection id, and its own outages."""
    yield
    if (journal := sys.modules.get("sluicegate.runtime.journal")) is not None:
        journal._rests_until.clear()
        journal._spare._drop()


@pytest.fixture(scope="session")
def fresh() -> Iterator[FreshAirflow]:
    with fresh_airflow() as interpreter:
        yield interpreter


def _group_of(file: str) -> str:
    """What stays on one worker because it shares servers: a file, or all files with one stack."""
    if file.startswith(_SPARK):
        return _SPARK[-1]
    shared = next((start for start in _ONE_STACK if file.startswith(start)), file)
    return file if file == _OWN_STACK else shared


class _ByServers(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return _group_of(nodeid.partition("::")[0].removeprefix("tests/"))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    """Share system tests among workers by their servers (`--dist loadscope`)."""
    return _ByServers(config, log) if config.getvalue("dist") == "loadscope" else None


_SESSIONS: list[pytest.Session] = []


def pytest_configure(config: pytest.Config) -> None:
    """End as on Ctrl-C when terminated: fixtures then stop what they started."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    if "PYTEST_XDIST_WORKER" not in os.environ:
        config.pluginmanager.register(Lanes(_group_of))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Mark all that will be started, the workers too: who is left at the end is found by that."""
    _SESSIONS[:] = [session]
    if "PYTEST_XDIST_WORKER" not in os.environ:
        os.environ["TESTS_OF"] = str(_folder_of(session))


def _end_what_is_left(session: pytest.Session) -> None:
    """Fail where a test left something running: found by the folder of this session's temporary files."""
    _, left = psutil.wait_procs(_running_below(_folder_of(session)), timeout=30)  # some are about to end
    for process in left:
        with suppress(psutil.Error):  # it may end meanwhile
            print(f"\nleft running by a test: {process.pid} {' '.join(process.cmdline())}", file=sys.stderr)
    processes.kill(left)
    if left and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _folder_of(session: pytest.Session) -> Path:
    return session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined,no-any-return]


def _running_below(folder: Path) -> list[psutil.Process]:
    def belongs(process: psutil.Process) -> bool:
        try:
            words = [process.cwd(), *process.cmdline(), *process.environ().values()]
        except psutil.Error:
            return False
        return any(f"{folder}/" in f"{word}/" for word in words)

    return [process for process in psutil.process_iter() if process.pid != os.getpid() and belongs(process)]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Look for what is left once the workers, if there are any, have ended: also after an interrupt."""
    del config
    if _SESSIONS and "PYTEST_XDIST_WORKER" not in os.environ:
        _end_what_is_left(_SESSIONS[0])
    shutil.rmtree(_HOME, ignore_errors=True)

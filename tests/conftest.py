"""An Airflow of the tests' own: a home in a temporary folder, set before anything imports Airflow."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

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
    # Only a test's own values: nothing here leaves the machine.
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


# These start servers, Spark or a whole Airflow, or kill processes. `make unit` leaves them out.
_SYSTEM = (
    "airflow/", "airflow34/", "checks/test_compile.py", "deploy/test_container.py", "docs/", "emr/test_crash.py",
    "emr/test_operator.py", "ledger/test_postgres.py", "load/", "local/test_airflow.py", "local/test_aws_",
    "local/test_command.py", "local/test_postgres.py", "local/test_processes.py", "local/test_stack.py",
    "local/test_watch.py", "storage/test_s3.py", "transform/",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).as_posix().startswith(_SYSTEM):
            item.add_marker(pytest.mark.system)


def pytest_unconfigure(config: pytest.Config) -> None:
    del config
    shutil.rmtree(_HOME, ignore_errors=True)

"""The fixtures of pytest: in the conftest.py beside your tests, `pytest_plugins = ["sluicegate.testing.fixtures"]`.

Not an entry point of pytest: that would be imported, with its names of fixtures, wherever the provider is installed.
What starts something is started by the first test that asks for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

try:
    import pytest
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        'sluicegate.testing.fixtures needs pytest: pip install "airflow-provider-sluicegate[testing]"', name="pytest"
    ) from missing

if TYPE_CHECKING:
    from sluicegate.testing.aws import ScratchAws
    from sluicegate.testing.pipelines import Pipelines
    from sluicegate.testing.s3 import ScratchS3
    from sluicegate.testing.warehouse import Warehouse

__all__ = ["airflow_home", "aws", "dags_root", "pipelines", "postgres_server", "s3", "warehouse"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("sluicegate_dags", "the dags root, from pytest's root folder", default="dags")


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The connection string of a scratch Postgres, without the name of a database."""
    from sluicegate.local.stack.scratch import scratch_postgres

    with scratch_postgres(tmp_path_factory.mktemp("postgres")) as conninfo:
        yield conninfo


@pytest.fixture
def warehouse(postgres_server: str) -> Warehouse:
    """A new, empty database."""
    from sluicegate.testing.warehouse import Warehouse

    return Warehouse.create(postgres_server)


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScratchAws]:
    """An S3 and an EMR, both empty, and the Airflow connection `aws_default` that leads to them."""
    from sluicegate.testing.aws import scratch_aws

    with scratch_aws(tmp_path / "s3") as found:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", found.s3.connection)
        yield found


@pytest.fixture
def s3(aws: ScratchAws) -> ScratchS3:
    """The S3 of `aws`."""
    return aws.s3


@pytest.fixture
def dags_root(request: pytest.FixtureRequest) -> Path:
    """The folder of the pipelines: `sluicegate_dags` of pytest's configuration, `dags` unless it is set."""
    return request.config.rootpath / str(request.config.getini("sluicegate_dags"))


@pytest.fixture(scope="session")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A configuration of Airflow's own defaults, unless a home is given or Airflow is imported already."""
    if "airflow" not in sys.modules and "AIRFLOW_HOME" not in os.environ:
        os.environ["AIRFLOW_HOME"] = str(tmp_path_factory.mktemp("airflow"))


@pytest.fixture
def pipelines(airflow_home: None, dags_root: Path, warehouse: Warehouse, s3: ScratchS3) -> Iterator[Pipelines]:
    """The pipelines below `dags_root`, on an empty warehouse and an empty S3."""
    from sluicegate.testing.pipelines import Pipelines

    path = list(sys.path)
    yield Pipelines(dags_root, warehouse, s3)
    sys.path[:] = path

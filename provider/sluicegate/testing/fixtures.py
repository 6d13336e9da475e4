"""The fixtures of pytest: in the conftest.py beside your tests, `pytest_plugins = ["sluicegate.testing.fixtures"]`.

Not an entry point of pytest: that would be imported, with its names of fixtures, wherever the provider is installed.
What starts something is started by the first test that asks for it.
"""

from __future__ import annotations

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
    from sluicegate.testing.s3 import ScratchS3
    from sluicegate.testing.warehouse import Warehouse

__all__ = ["postgres_server", "s3", "warehouse"]


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
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScratchS3]:
    """An empty S3, and the Airflow connection `aws_default` that leads to it."""
    from sluicegate.testing.s3 import scratch_s3

    with scratch_s3(tmp_path / "s3") as found:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", found.connection)
        yield found

"""One Spark for all targets that take what a cluster has checked: the first job in it takes as long as ten others."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.spark import CheckJob, spark_session
from tests.targets.on_cluster.left import leave
from tests.targets.redshift.conftest import house

__all__ = ["house", "job"]


@pytest.fixture(scope="session")
def job() -> Iterator[CheckJob]:
    with spark_session() as spark:
        yield CheckJob(spark)


@pytest.fixture(scope="session")
def left(tmp_path_factory: pytest.TempPathFactory, job: CheckJob) -> Path:
    return leave(tmp_path_factory.mktemp("lake"), job)


@pytest.fixture
def lake(left: Path, tmp_path: Path, s3: Any) -> Any:
    """An S3 with what spark steps have left, in its bucket `lake`."""
    shutil.copytree(left, tmp_path / "s3/lake")
    return s3

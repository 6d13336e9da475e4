"""One Spark for all targets that take what a cluster has checked: the first job in it takes as long as ten others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.spark import CheckJob, spark_session
from tests.targets.redshift.conftest import house

__all__ = ["house", "job"]


@pytest.fixture(scope="session")
def job() -> Iterator[CheckJob]:
    with spark_session() as spark:
        yield CheckJob(spark)

"""A waiting step's connection to Airflow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sluicegate.testing.supervisor import Supervisor


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    supervisor = Supervisor()
    with supervisor.attached():
        yield supervisor

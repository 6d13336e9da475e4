"""Schedules that hypothesis chooses: in CI a few, with `EVERY_CRASH=1` thousands."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.emr.machine import ClusterMachine, schedules

COUNT = 10_000 if os.environ.get("EVERY_CRASH") == "1" else 40


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_whatever_happens_next_no_cluster_is_left_doubled_or_lied_about() -> None:
    run_state_machine_as_test(ClusterMachine, settings=schedules(COUNT))

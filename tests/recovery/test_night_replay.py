"""The model is held against the real Airflow: what comes of its schedules is the same in both."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future

import pytest

from tests.recovery.replay import ModelWorld, Result, Schedule, played, schedules

SEEDS = [each.seed for each in schedules()]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_schedule_ends_in_the_model_as_in_airflow(
    replayed: Future[Mapping[int, tuple[Schedule, Result]]], seed: int
) -> None:
    schedule, result = replayed.result()[seed]
    assert result == played(schedule, ModelWorld(schedule))

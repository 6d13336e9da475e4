"""The model is held against the real Airflow: what comes of its schedules is the same in both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from sluicegate.testing.airflow import wait_until
from tests.recovery.night import Airflow
from tests.recovery.replay import ModelWorld, RealWorld, Result, played, schedules, shapes

SCHEDULES = {each.seed: each for each in schedules()}
_AT_ONCE = 15


@pytest.fixture(scope="module")
def real(airflow: Airflow) -> Iterator[Mapping[int, Result]]:
    """What comes of each schedule in the real Airflow, many at the same time."""
    with airflow.stack.api() as client:
        worlds = {seed: RealWorld(each, airflow, client) for seed, each in SCHEDULES.items()}
        for name in shapes():
            wait_until(lambda name=name: airflow.api.get(f"/dags/{name}").status_code == 200, 90, name)  # type: ignore[misc]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(RealWorld.begin, worlds.values()))
            for name in shapes():
                airflow.api.patch(f"/dags/{name}", json={"is_paused": False}).raise_for_status()
            list(pool.map(RealWorld.look, worlds.values()))
            found = pool.map(lambda seed: played(SCHEDULES[seed], worlds[seed]), worlds)
            yield dict(zip(worlds, found, strict=True))


@pytest.mark.parametrize("seed", SCHEDULES)
def test_a_schedule_ends_in_the_model_as_in_airflow(real: Mapping[int, Result], seed: int) -> None:
    schedule = SCHEDULES[seed]
    assert real[seed] == played(schedule, ModelWorld(schedule))

"""The engine, its client and its wait in models of EMR and Airflow: thousands of schedules, each by its seed.

The long run and the engines that are broken on purpose are `test_simulation_long.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.emr.simulation import check, play

SCHEDULES = 250


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_no_cluster_is_left_doubled_or_lied_about() -> None:
    for seed in range(SCHEDULES):
        assert (seed, check(play(seed))) == (seed, [])


@settings(max_examples=100, deadline=None)
@given(st.integers(min_value=10**6, max_value=10**12))
def test_any_other_schedule_keeps_the_rules(seed: int) -> None:
    assert check(play(seed)) == []


def test_a_schedule_is_the_same_each_time() -> None:
    first, second = play(11), play(11)
    assert first.said == second.said
    assert first.emr.clusters == second.emr.clusters

"""Plans carried out in a model of Airflow, with crashes, lost answers, other people and a second operator.

The long run, of 10,000 schedules and more, is `test_schedules.py`.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recovery.model import Scenario
from tests.recovery.simulation import check, play, world_of

SCHEDULES = 300


def test_each_instance_is_reset_once_in_order_and_none_is_forgotten() -> None:
    for seed in range(SCHEDULES):
        assert (seed, check(play(seed))) == (seed, [])


@settings(max_examples=50, deadline=None)
@given(st.integers(min_value=10**6, max_value=10**12))
def test_any_other_schedule_keeps_the_rules(seed: int) -> None:
    assert check(play(seed)) == []


def test_a_schedule_is_the_same_each_time() -> None:
    first, second = play(7), play(7)
    assert first.airflow.effects == second.airflow.effects
    assert [each.store.content for each in first.operators] != []


def test_a_scenario_is_plain_data() -> None:
    for seed in range(50):
        scenario = world_of(seed).scenario
        assert Scenario.read(scenario.text()) == scenario

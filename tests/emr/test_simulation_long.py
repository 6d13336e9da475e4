"""Thousands of schedules, with `EVERY_CRASH=1` eleven thousand; and that broken engines are noticed."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.emr.machine import ClusterMachine, schedules
from tests.emr.mutants import (
    MUTANTS,
    Break,
    a_name_is_used_again,
    the_deadline_ends_nothing,
    whatever_has_ended_is_a_success,
)
from tests.emr.simulation import Parts, check, play

pytestmark = pytest.mark.system
CALM, ROUGH = (8000, 3000) if os.environ.get("EVERY_CRASH") == "1" else (1500, 1000)
SEEDS = 3000
"""How many schedules a broken engine may get through at most."""
KEEN = (0, 1, 2, 3, 8, 11, 16, 24, 25, 29, 101, 145, 266, 292, 347, 422, 950, 1680)
"""Schedules that have found a broken engine, tried first: to come to them through all others takes seconds."""


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("half", range(2))
def test_thousands_of_schedules_keep_the_rules(half: int) -> None:
    for seed in range(1_000_000 + half * CALM // 2, 1_000_000 + (half + 1) * CALM // 2):
        assert (seed, check(play(seed))) == (seed, [])


def test_schedules_in_which_all_goes_wrong_keep_the_rules() -> None:
    for seed in range(ROUGH):
        assert (seed, check(play(seed, Parts(is_rough=True)))) == (seed, [])


@pytest.mark.parametrize("broken", MUTANTS, ids=lambda broken: broken.__name__)
def test_an_engine_that_is_broken_on_purpose_is_found(broken: Break, monkeypatch: pytest.MonkeyPatch) -> None:
    rough, calm = Parts(is_rough=True), Parts()
    for parts in (rough, calm):
        broken(monkeypatch, parts)
    assert any(check(play(seed, parts)) for seed in (*KEEN, *range(SEEDS)) for parts in (calm, rough))


@pytest.mark.parametrize(
    "broken",
    [a_name_is_used_again, the_deadline_ends_nothing, whatever_has_ended_is_a_success],
    ids=lambda broken: broken.__name__,
)
def test_the_state_machine_finds_an_engine_that_is_broken_on_purpose(
    broken: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(ClusterMachine):
        parts = Parts()

    broken(monkeypatch, Broken.parts)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Broken, settings=settings(schedules(1000), phases=(Phase.generate,)))

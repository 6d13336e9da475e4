"""Each night that failed is planned, mended and recovered: in the order it needs, everything once, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from sluicegate.recovery.definition import Action, Plan
from tests.recovery.night import Airflow, Edge, Key, Night
from tests.recovery.nights import READERS, SUMS
from tests.recovery.recovering import Applied, Recovery, edges_of, keys_of, waves_of

BY_COMMAND = ("bad_night", "middle")
"""These are planned and applied by `sluicegate recover`, the others by the functions behind it."""
NIGHTS = ("bad_night", "diamond", "thirty_days", "half_mapped", "undone", "triggered", "assets", "middle")


@dataclass(frozen=True)
class Recovered:
    """A night after its recovery. `opened`: what had not started in a run that waited for what failed."""

    recovery: Recovery
    opened: frozenset[Key]
    applied: Applied
    again: Applied
    """Of the plan, applied once more."""
    second: Plan
    """Made afterwards."""

    @property
    def night(self) -> Night:
        return self.recovery.night

    @property
    def plan(self) -> Plan:
        return self.recovery.plan


@pytest.fixture(scope="module")
def recovered(night: Callable[[str], Night], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Recovered]:
    """All nights by their names, recovered at the same time."""
    failed = [night(name) for name in NIGHTS]
    folders = [tmp_path_factory.mktemp(name) for name in NIGHTS]
    with ThreadPoolExecutor(len(NIGHTS)) as pool:
        return dict(zip(NIGHTS, pool.map(_recover, failed, folders), strict=True))


def _recover(night: Night, folder: Path) -> Recovered:
    is_command = night.name in BY_COMMAND
    recovery = Recovery.by_command(night, folder) if is_command else Recovery.of(night, folder)
    opened = frozenset(night.keys(lambda each: each["state"] is None))
    night.mend()

    def applied() -> Applied:
        return recovery.apply_by_command() if is_command else Applied.of(recovery.apply())

    first = applied()
    recovery.wait_until_all_is_well()
    return Recovered(recovery, opened, first, applied(), recovery.planned())


def _waits(reader: str, *awaited: str) -> dict[str, int]:
    return {f"{reader}.wait_for__{name.replace('.', '__')}": 1 for name in awaited}


WAVES: Mapping[str, list[Mapping[str, int]]] = {
    "bad_night": [
        {"bad_source.wait_for__delivery": 1, "bad_source.fetch": 1},
        {name: 1 for reader in READERS for name in (f"{reader}.count", *_waits(reader, "bad_source.fetch"))},
        {
            name: 1
            for each, readers in SUMS.items()
            for name in (f"{each}.sum", *_waits(each, *(f"{reader}.count" for reader in readers)))
        },
        {"bad_report.report": 1, **_waits("bad_report", *(f"{each}.sum" for each in SUMS))},
    ],
    "diamond": [
        {"diamond_left.work": 1},
        {"diamond_bottom.wait_for__diamond_left__work": 1, "diamond_bottom.work": 1},
    ],
    "thirty_days": [{"days.extract": 3, "days.total": 1}, {"days.total": 1}, {"days.total": 1}],
    "half_mapped": [{"half_mapped.part": 3, "half_mapped.whole": 1}],
    "undone": [{"undone.make": 1, "undone.work": 1, "undone.publish": 1, "undone.drop": 1}],
    "triggered": [{"child.work": 1}, {"parent.call": 1, "parent.after_call": 1}],
    "assets": [{"makes_late.emit": 1, "takes_any.take": 1, "takes_all.take": 1}],
    "middle": [
        {"middle_first.work": 1},
        {"middle_hand.wait": 1, "middle_hand.work": 1},
        {"middle_last.wait_for__middle_hand": 1, "middle_last.work": 1},
    ],
}
CAUSES: Mapping[str, list[str]] = {
    "diamond": ["CODE_FAILED in diamond_left.work", "UPSTREAM_FAILED on diamond_left.work"],
    "thirty_days": ["days.extract failed"],
    "half_mapped": ["CODE_FAILED in half_mapped.part"],
    "undone": ["CODE_FAILED in undone.work"],
    "triggered": ["child.work failed", "parent.call failed"],
    "assets": ["makes_late.emit failed", "takes_all.take failed", "takes_any.take failed"],
    "middle": ["CODE_FAILED in middle_first.work", "middle_hand.wait failed", "UPSTREAM_LATE on middle_hand"],
}


@pytest.mark.parametrize("name", NIGHTS)
def test_a_plan_has_what_failed_in_as_few_waves_as_can_be(recovered: Mapping[str, Recovered], name: str) -> None:
    plan = recovered[name].plan
    assert waves_of(plan) == WAVES[name]
    assert plan.left_alone == ()
    marked = keys_of(plan, Action.MARK_SUCCESS)
    assert {key.task for key in marked} == ({"call"} if name == "triggered" else set())


@pytest.mark.parametrize("name", CAUSES)
def test_a_plan_says_why(recovered: Mapping[str, Recovered], name: str) -> None:
    assert [cause.title for cause in recovered[name].plan.causes] == CAUSES[name]


def test_a_bad_night_has_one_cause_and_what_follows_from_it(recovered: Mapping[str, Recovered]) -> None:
    causes = recovered["bad_night"].plan.causes
    assert (causes[0].title, causes[0].because) == ("SOURCE_MISSING on bad_source.delivery", None)
    assert (causes[1].title, causes[1].runs, causes[1].because) == ("UPSTREAM_LATE on bad_source.fetch", 18, 0)
    assert len(causes) == 2 + len(READERS) + len(SUMS)
    assert all(cause.because is not None for cause in causes[1:])


@pytest.mark.parametrize("name", NIGHTS)
def test_everything_runs_once_more_and_nothing_else(recovered: Mapping[str, Recovered], name: str) -> None:
    found = recovered[name]
    new = found.night.keys(lambda each: each["dag_run_id"] not in {run for _, run in _runs_before(found)})
    found.night.ran_once_more(keys_of(found.plan, Action.CLEAR) | found.opened | new)
    assert sorted(key.dag for key in new) == (["takes_any", "takes_late"] if name == "assets" else [])
    assert found.applied == Applied(is_good=True, done=frozenset(keys_of(found.plan)))


def _runs_before(found: Recovered) -> set[tuple[str, str]]:
    return {(key.dag, key.run) for key in found.night.before}


@pytest.mark.parametrize("name", NIGHTS)
def test_the_order_in_which_tasks_ran_obeys_every_edge(recovered: Mapping[str, Recovered], name: str) -> None:
    night, plan = recovered[name].night, recovered[name].plan
    night.obeys([*night.edges(), *edges_of(plan), *_further_edges(recovered[name])])


def _further_edges(found: Recovered) -> list[Edge]:
    """Those that lead to what the plan does not reset, or marks."""
    keys = found.night.keys(lambda _: True)

    def all_of(dag: str, task: str) -> list[Key]:
        return [key for key in keys if (key.dag, key.task) == (dag, task)]

    if found.night.name == "triggered":
        return [(all_of("child", "work")[0], all_of("parent", "after_call")[0])]
    if found.night.name == "assets":
        [emitter] = all_of("makes_late", "emit")
        old = keys_of(found.plan)
        after = [*all_of("takes_any", "take"), *all_of("takes_late", "take")]
        return [(emitter, key) for key in after if key not in old]
    return []


@pytest.mark.parametrize("name", NIGHTS)
def test_the_note_of_the_plan_is_on_everything_that_it_reset(recovered: Mapping[str, Recovered], name: str) -> None:
    recovered[name].recovery.has_notes()


@pytest.mark.parametrize("name", NIGHTS)
def test_a_plan_applied_again_does_nothing_and_a_second_one_is_empty(
    recovered: Mapping[str, Recovered], name: str, airflow: Airflow
) -> None:
    again, second = recovered[name].again, recovered[name].second
    assert again == recovered[name].applied
    assert (second.instances, second.left_alone) == ((), ())

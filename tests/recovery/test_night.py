"""Each night fails as it says, and what a night sees of what has run is right. This file comes before all others."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sluicegate.faults.index import FAULT_XCOM_PREFIX, FaultKey
from sluicegate.graph.awaited import AwaitedRuns
from sluicegate.testing.airflow import wait_until
from tests.recovery.night import Airflow, Key, Night
from tests.recovery.nights import READERS, nights

DAY = "scheduled__2026-03-02T00:00:00+00:00"


@pytest.mark.parametrize("name", [each.name for each in nights()])
def test_a_night_fails_as_planned(night: Callable[[str], Night], name: str) -> None:
    failed = night(name)
    assert failed.states() == failed.planned
    assert failed.really_ran() == []
    failed.ran_once_more(())


def test_one_listing_finds_the_faults_of_all_dags(night: Callable[[str], Night], airflow: Airflow) -> None:
    for name in ("bad_night", "diamond", "half_mapped", "middle"):
        night(name)
    query = {"xcom_key_prefix_pattern": FAULT_XCOM_PREFIX, "limit": 100}
    found = airflow.get("/dags/~/dagRuns/~/taskInstances/~/xcomEntries", **query)["xcom_entries"]
    faults = {(each["dag_id"], each["task_id"], each["map_index"]): FaultKey.of(each["key"]) for each in found}
    assert faults["bad_source", "wait_for__delivery", -1] == FaultKey("SOURCE_MISSING", "bad_source.delivery")
    for reader in READERS:
        assert faults[reader, "wait_for__bad_source__fetch", -1] == FaultKey("UPSTREAM_LATE", "bad_source.fetch")
    assert faults["middle_last", "wait_for__middle_hand", -1] == FaultKey("UPSTREAM_LATE", "middle_hand")
    assert faults["diamond_left", "work", -1] == FaultKey("CODE_FAILED")
    assert [index for dag, _, index in sorted(faults) if dag == "half_mapped"] == [1, 3, 5]


def test_a_wait_says_what_it_awaited(night: Callable[[str], Night], airflow: Airflow) -> None:
    night("bad_night"), night("middle")
    [run] = airflow.runs("bad_source")
    for dag, task, awaited, step in (
        ("bad_report", "wait_for__bad_sum_b__sum", "bad_sum_b", "sum"),
        ("middle_last", "wait_for__middle_hand", "middle_hand", None),
    ):
        rendered = airflow.task(dag, DAY, task)["rendered_fields"]
        assert (rendered["awaited_dag"], rendered["awaited_task"]) == (awaited, step)
        assert AwaitedRuns.of(rendered["awaited_dates"]).value == [run["logical_date"].replace("Z", "+00:00")]


def test_the_edges_of_a_night_are_those_between_its_instances(night: Callable[[str], Night]) -> None:
    days = night("thirty_days").edges()
    runs = sorted({key.run for edge in days for key in edge})
    assert len(runs) == 30
    assert len(days) == 30 + 29
    assert (Key("days", runs[8], "total"), Key("days", runs[9], "total")) in days
    assert len(night("half_mapped").edges()) == 6


def test_what_runs_again_is_seen_with_its_order(night: Callable[[str], Night], airflow: Airflow) -> None:
    again = night("thirty_days")
    before = dict(again.before)
    first = next(run for run in airflow.runs("days") if run["logical_date"].startswith("2026-03-01"))["dag_run_id"]
    airflow.clear("days", first, "extract")
    keys = {Key("days", first, "extract"), Key("days", first, "total")}
    wait_until(lambda: {ran.key for ran in again.really_ran() if ran.end} == keys, 180, "both to run once more")
    again.ran_once_more(keys)
    again.obeys()
    with pytest.raises(AssertionError, match="started at"):
        again.obeys([(after, before) for before, after in again.edges()])
    with pytest.raises(AssertionError):
        again.ran_once_more(list(keys)[:1])
    assert dict(again.before) == before
    again.wait_until_failed()

"""What else a person may ask for, or do meanwhile: marks, what runs, force, restatement, a failure that comes again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sluicegate.recovery.definition import Action, RunKey
from sluicegate.recovery.findings import failures
from sluicegate.recovery.request import Treatment
from sluicegate.recovery.site_rest import RestSite
from sluicegate.testing.airflow import wait_until
from tests.recovery.night import Airflow, Key, Night
from tests.recovery.recovering import Recovery, keys_of, waves_of

pytestmark = pytest.mark.usefixtures("replayed")
"""It is played meanwhile."""

Nights = Callable[[str], Night]
WEEK = (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 4, tzinfo=UTC))


def test_what_is_marked_success_does_not_run_and_what_follows_does(night: Nights, tmp_path: Path) -> None:
    failed = night("marked")
    recovery = Recovery.of(failed, tmp_path, treatment=Treatment.SUCCEED)
    assert {key.task for key in keys_of(recovery.plan, Action.MARK_SUCCESS)} == {"first"}
    assert recovery.apply().is_good
    recovery.wait_until_all_is_well()
    failed.ran_once_more(keys_of(recovery.plan, Action.CLEAR))
    failed.obeys()
    assert failed.states() == {"marked": dict.fromkeys(("first", "second", "third"), "success")}


def test_what_is_skipped_is_skipped_with_all_that_follows_and_its_run_is_well(night: Nights, tmp_path: Path) -> None:
    failed = night("skipped")
    recovery = Recovery.of(failed, tmp_path, treatment=Treatment.SKIP)
    assert recovery.apply().is_good
    recovery.wait_until_all_is_well()
    failed.ran_once_more(())
    assert failed.states() == {"skipped": dict.fromkeys(("first", "second", "third"), "skipped")}
    recovery.has_notes()
    assert recovery.planned().instances == ()


def test_what_runs_and_what_waits_is_stopped_and_begins_anew_only_when_asked_for(night: Nights, tmp_path: Path) -> None:
    busy = night("busy")
    assert Recovery.of(busy, tmp_path).plan.instances == ()
    recovery = Recovery.of(busy, tmp_path, include_running=True)
    assert waves_of(recovery.plan) == [{"busy.deferred": 1, "busy.running": 1}]
    busy.mend()
    assert recovery.apply().is_good
    recovery.wait_until_all_is_well()
    busy.ran_once_more(busy.keys(lambda _: True))
    busy.obeys()
    recovery.has_notes()


def test_with_force_a_load_does_its_work_again_although_the_ledger_has_it(
    night: Nights, airflow: Airflow, tmp_path: Path
) -> None:
    forced = night("forced")
    run = airflow.first_run("forced")

    def recovered(folder: str, **asked: Any) -> tuple[str, int]:
        where = f"/dags/forced/dagRuns/{run}/taskInstances/load"
        airflow.api.patch(where, json={"new_state": "failed"}).raise_for_status()
        (tmp_path / folder).mkdir()
        recovery = Recovery.of(forced, tmp_path / folder, **asked)
        assert recovery.apply().is_good
        recovery.wait_until_all_is_well()
        return airflow.result("forced", run, "load")["status"], _count(airflow, "forced.rows")

    assert recovered("1") == ("skipped", 1)
    assert recovered("2", force=True) == ("loaded", 2)
    assert recovered("3") == ("skipped", 2)


def test_a_restatement_runs_what_has_read_wrong_data_again_in_order(
    night: Nights, airflow: Airflow, tmp_path: Path
) -> None:
    week = night("week")
    asked: dict[str, Any] = {"source": "week_source.raw", "window": WEEK, "downstream": True}
    recovery = Recovery.of(week, tmp_path, **asked)
    plan = recovery.plan
    assert waves_of(plan) == [{"week_source.clean": 3}, {"week_reader.load": 3}]
    assert all(each.force for each in plan.instances)
    assert sorted((each.dag, each.task) for each in plan.left_alone) == [
        ("week_reader", "post"),
        ("week_source", "announce"),
    ]
    assert recovery.apply().is_good
    recovery.wait_until_all_is_well()
    week.ran_once_more(keys_of(plan))
    week.obeys()
    recovery.has_notes()
    for run, _ in [(run, state) for (dag, run), state in airflow.run_states(["week_reader"]).items()]:
        assert airflow.result("week_reader", run, "load")["status"] == "loaded"

    (tmp_path / "named").mkdir()
    named = Recovery.of(week, tmp_path / "named", **asked, include=("week_source.announce",))
    assert waves_of(named.plan) == [{"week_source.clean": 3, "week_source.announce": 3}, {"week_reader.load": 3}]


def test_an_asset_that_is_emitted_again_starts_one_run_of_who_takes_any_and_none_of_who_takes_all(
    night: Nights, airflow: Airflow, tmp_path: Path
) -> None:
    assets = night("assets")
    recovery = Recovery.of(assets, tmp_path, source="makes_first", window=WEEK, include=("makes_first.emit",))
    assert waves_of(recovery.plan) == [{"makes_first.emit": 1}]
    before = airflow.run_states(assets.dags)
    assert {each.dag for each in recovery.plan.queued_events} == {dag for dag, _ in before} & {
        "takes_all",
        "takes_late",
    }
    assert recovery.apply().is_good
    new = wait_until(lambda: airflow.run_states(assets.dags).keys() - before.keys(), 180, "a new run")
    assert [dag for dag, _ in new] == ["takes_any"]
    # Without a run before, `takes_late` still waits for its second asset.
    for dag in {each.dag for each in recovery.plan.queued_events}:
        assert airflow.get(f"/dags/{dag}/assets/queuedEvents")["queued_events"] == []


def test_a_failure_that_comes_again_is_named_and_only_what_depends_on_it_is_held_back(
    night: Nights, airflow: Airflow, tmp_path: Path
) -> None:
    failed = night("again")
    recovery = Recovery.of(failed, tmp_path)
    assert [sorted({name.partition(".")[0] for name in wave}) for wave in waves_of(recovery.plan)] == [
        ["again_first"],
        ["again_other", "again_second"],
        ["again_fourth", "again_third"],
    ]
    failed.mend()

    stopped = recovery.apply()
    with recovery.client() as client:
        [again] = failures(stopped, RestSite(client).last_error)
    assert (again.key.dag, again.key.task, again.code) == ("again_second", "work", "CODE_FAILED")
    assert again.playbook.endswith("#code_failed")
    assert not stopped.is_finished
    assert {key.dag for key in stopped.not_reached} >= {"again_third", "again_fourth"}

    went_on = recovery.apply(keep_going=True)
    assert went_on.is_finished
    assert not went_on.is_good
    assert {each.key.dag for each in went_on.held_back} == {"again_third"}
    assert {key.dag for key in went_on.done} >= {"again_other", "again_fourth"}

    failed.mend_later()
    [run] = [run for dag, run in airflow.run_states(["again_second"]) if dag == "again_second"]
    airflow.clear("again_second", run, "work")
    assert airflow.ended("again_second", run) == "success"
    resumed = recovery.apply()
    assert resumed.is_good
    assert ("again_second", "work") in {(key.dag, key.task) for key in resumed.done}  # a clear by hand keeps the note
    recovery.wait_until_all_is_well()
    twice = Key("again_second", run, "work")
    assert Counter(ran.key for ran in failed.really_ran()) == Counter({*keys_of(recovery.plan)}) + Counter([twice])
    failed.obeys([edge for edge in failed.edges() if twice not in edge])


def test_what_a_person_has_cleared_meanwhile_is_left_alone_and_said(
    night: Nights, airflow: Airflow, tmp_path: Path
) -> None:
    failed = night("touched")
    recovery = Recovery.of(failed, tmp_path)
    failed.mend()
    run = airflow.first_run("touched")
    airflow.clear("touched", run, "left", downstream=False)
    assert airflow.ended("touched", run) == "failed"
    outcome = recovery.apply()
    assert outcome.is_good
    assert [(each.key.task, each.why) for each in outcome.changed] == [
        ("left", "somebody else has reset it or it has run again")
    ]
    recovery.wait_until_all_is_well()
    failed.ran_once_more(keys_of(recovery.plan))


def test_a_reset_that_the_end_of_its_run_has_swallowed_is_mended(
    night: Nights, airflow: Airflow, tmp_path: Path
) -> None:
    failed = night("lost")
    recovery = Recovery.of(failed, tmp_path)
    failed.mend()
    run = airflow.first_run("lost")
    swallowed = []

    class Swallowing(RestSite):
        def clear(self, of: RunKey, *arguments: Any, **options: Any) -> Collection[tuple[str, int]]:
            _pause(airflow, "lost", True)
            found = super().clear(of, *arguments, **options)
            _end_run(airflow, "lost", run)
            _pause(airflow, "lost", False)
            swallowed.append(of)
            return found

    assert recovery.apply(Swallowing).is_good
    assert swallowed == [RunKey("lost", run)]
    recovery.wait_until_all_is_well()
    failed.ran_once_more(keys_of(recovery.plan))

    _pause(airflow, "lost", True)
    airflow.clear("lost", run, "third")
    _end_run(airflow, "lost", run)
    _pause(airflow, "lost", False)
    (tmp_path / "forgotten").mkdir()
    forgotten = Recovery.of(failed, tmp_path / "forgotten")
    assert waves_of(forgotten.plan) == [{"lost.third": 1}]
    assert forgotten.apply().is_good
    forgotten.wait_until_all_is_well()


def _pause(airflow: Airflow, dag: str, is_paused: bool) -> None:
    airflow.api.patch(f"/dags/{dag}", json={"is_paused": is_paused}).raise_for_status()


def _end_run(airflow: Airflow, dag: str, run: str) -> None:
    """As a scheduler that had decided so before something in the run was reset."""
    with airflow.metadata() as connection:
        connection.execute("UPDATE dag_run SET state = 'failed' WHERE dag_id = %s AND run_id = %s", (dag, run))


def _count(airflow: Airflow, table: str) -> int:
    with psycopg.connect(airflow.stack.warehouse_dsn) as connection:
        found = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(found[0]) if found else 0

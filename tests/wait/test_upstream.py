from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk.execution_time.comms import GetXCom

from sluicegate.testing.supervisor import Supervisor
from sluicegate.wait.upstream import Upstream
from sluicegate.wait.verdict import Outcome, verdict
from tests.wait.runs import a_run

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
TUESDAY = MONDAY + timedelta(days=1)


def outcome(upstream: Upstream) -> Outcome:
    return verdict(upstream.sightings()).outcome


def test_every_date_needs_a_success(supervisor: Supervisor) -> None:
    upstream = Upstream("flights", "fetch", (MONDAY, TUESDAY))
    assert [seen.state for seen in upstream.sightings()] == [None, None]
    supervisor.runs = [a_run("r1", MONDAY, {"fetch": "success"}), a_run("r2", TUESDAY, {"fetch": "running"})]
    assert [seen.run_id for seen in upstream.sightings()] == ["r1", "r2"]
    assert outcome(upstream) is Outcome.WAITING
    supervisor.runs[1].states["fetch", -1] = "success"
    assert outcome(upstream) is Outcome.READY


def test_runs_at_other_dates_do_not_count(supervisor: Supervisor) -> None:
    supervisor.runs = [a_run("r1", MONDAY, {"fetch": "success"})]
    assert outcome(Upstream("flights", "fetch", (TUESDAY,))) is Outcome.WAITING


def test_a_state_is_told_at_its_own_date(supervisor: Supervisor) -> None:
    supervisor.runs = [a_run("zz", MONDAY, {"fetch": "failed"}), a_run("aa", TUESDAY, {"fetch": "success"})]
    first, second = Upstream("flights", "fetch", (MONDAY, TUESDAY)).sightings()
    assert (first.state, first.what) == ("failed", f"flights.fetch at {MONDAY.isoformat()}")
    assert second.state == "success"


def test_a_run_that_was_deleted_and_made_again_is_found(supervisor: Supervisor) -> None:
    upstream = Upstream("flights", "fetch", (MONDAY, TUESDAY))
    supervisor.runs = [a_run("old", MONDAY, {"fetch": "failed"}), a_run("r2", TUESDAY, {"fetch": "success"})]
    upstream.sightings()
    supervisor.runs[0] = a_run("new", MONDAY, {"fetch": "success"})
    assert [seen.run_id for seen in upstream.sightings()] == ["new", "r2"]
    assert outcome(upstream) is Outcome.READY


def test_many_dates_cost_one_question_a_poll(supervisor: Supervisor) -> None:
    dates = tuple(MONDAY + timedelta(hours=hour) for hour in range(24))
    supervisor.runs = [a_run(f"r{n}", date, {"fetch": "running"}) for n, date in enumerate(dates)]
    upstream = Upstream("flights", "fetch", dates)
    upstream.sightings()
    supervisor.asked.clear()
    upstream.sightings()
    assert len(supervisor.asked) == 1


def test_a_dry_run_does_not_count(supervisor: Supervisor) -> None:
    supervisor.runs = [a_run("r1", MONDAY, {"fetch": "success"}, dry_run=True)]
    upstream = Upstream("flights", "fetch", (MONDAY,))
    assert outcome(upstream) is Outcome.WAITING
    assert "dry run" in str(upstream.sightings()[0])


def test_a_manual_run_with_another_window_does_not_count(supervisor: Supervisor) -> None:
    # Airflow gives a manual run at Monday's midnight Sunday's window: what is waited for was not written.
    window = f"{(MONDAY - timedelta(days=1)).isoformat()}/{MONDAY.isoformat()}"
    supervisor.runs = [a_run("manual", MONDAY, {"fetch": "success"}, window=window)]
    upstream = Upstream("flights", "fetch", (MONDAY,))
    assert outcome(upstream) is Outcome.WAITING
    assert f"the run's window is {window}" in str(upstream.sightings()[0])
    assert outcome(Upstream("flights", "fetch", None)) is Outcome.READY


def test_a_success_that_a_person_set_counts(supervisor: Supervisor) -> None:
    supervisor.runs = [a_run("r1", MONDAY, {"fetch": "success"}, marked=False)]
    assert outcome(Upstream("flights", "fetch", (MONDAY,))) is Outcome.READY


def test_a_dag_that_is_not_ours_is_not_asked_for_marks(supervisor: Supervisor) -> None:
    supervisor.runs = [a_run("r1", MONDAY, {"export": "success"}, dag="old", marked=False)]
    assert outcome(Upstream("old", "export", (MONDAY,), marked=False)) is Outcome.READY
    assert not any(isinstance(question, GetXCom) for question in supervisor.asked)


def test_marks_are_only_asked_for_when_nothing_else_is_missing(supervisor: Supervisor) -> None:
    supervisor.runs = [a_run("r1", MONDAY, {"fetch": "success"})]
    Upstream("flights", "fetch", (MONDAY, TUESDAY)).sightings()
    assert not any(isinstance(question, GetXCom) for question in supervisor.asked)


def test_a_mapped_step_is_ready_when_all_its_parts_are(supervisor: Supervisor) -> None:
    supervisor.runs = [a_run("r1", MONDAY, {"fetch_0": "success", "fetch_1": "running"})]
    upstream = Upstream("flights", "fetch", (MONDAY,))
    assert outcome(upstream) is Outcome.WAITING
    supervisor.runs[0].states["fetch", 1] = "success"
    assert outcome(upstream) is Outcome.READY


def test_latest_asks_for_any_success_that_was_no_dry_run(supervisor: Supervisor) -> None:
    upstream = Upstream("reference", "load", None)
    assert outcome(upstream) is Outcome.WAITING
    supervisor.runs = [
        a_run("r1", MONDAY, {"load": "failed"}, dag="reference"),
        a_run("r2", TUESDAY, {"load": "success"}, dag="reference", dry_run=True),
    ]
    assert outcome(upstream) is Outcome.WAITING
    assert "dry run" in str(upstream.sightings()[0])
    supervisor.runs.insert(0, a_run("r0", MONDAY - timedelta(days=400), {"load": "success"}, dag="reference"))
    assert outcome(upstream) is Outcome.READY


def test_a_whole_dag_is_waited_for_by_its_runs_state(supervisor: Supervisor) -> None:
    upstream = Upstream("old_dag", None, (MONDAY,))
    assert outcome(upstream) is Outcome.WAITING
    supervisor.runs = [a_run("r1", MONDAY, {}, dag="old_dag", state="failed")]
    assert verdict(upstream.sightings(), fail_fast=True).outcome is Outcome.FAILED
    supervisor.runs[0].state = "success"
    assert outcome(upstream) is Outcome.READY


def test_dates_travel_in_bounded_requests(supervisor: Supervisor) -> None:
    dates = tuple(MONDAY + timedelta(hours=hour) for hour in range(744))
    supervisor.runs = [a_run(f"r{n}", date, {"fetch": "success"}) for n, date in enumerate(dates)]
    sightings = Upstream("flights", "fetch", dates).sightings()
    assert [seen.run_id for seen in sightings] == [f"r{n}" for n in range(744)]
    assert max(len(getattr(question, "logical_dates", None) or ()) for question in supervisor.asked) <= 100


def test_a_dry_run_of_a_mapped_step_does_not_count(supervisor: Supervisor) -> None:
    states: dict[str, str | None] = {"load_0": "success", "load_1": "success"}
    supervisor.runs = [a_run("r1", MONDAY, states, dry_run=True)]
    for upstream in (Upstream("flights", "load", (MONDAY,)), Upstream("flights", "load", None)):
        assert outcome(upstream) is Outcome.WAITING
        assert "dry run" in str(upstream.sightings()[0])


def test_a_mapped_step_that_has_not_been_expanded_is_waited_for(supervisor: Supervisor) -> None:
    supervisor.runs = [a_run("r1", MONDAY, {"load": None})]
    assert outcome(Upstream("flights", "load", (MONDAY,))) is Outcome.WAITING
    supervisor.runs[0].states = {("load", -1): "skipped"}  # it had no items
    assert outcome(Upstream("flights", "load", (MONDAY,))) is Outcome.SKIPPED


def skipped_run(supervisor: Supervisor, **kwargs: Any) -> Upstream:
    """A branch step `choose` ran, and Airflow skipped `load` without running it."""
    run = a_run("r1", MONDAY, {"choose": "success"}, **kwargs)
    run.states["load", -1] = "skipped"
    supervisor.runs = [run]
    return Upstream("flights", "load", (MONDAY,))


def test_a_step_that_a_branch_left_out_is_skipped_while_its_run_goes_on(supervisor: Supervisor) -> None:
    upstream = skipped_run(supervisor)
    assert outcome(upstream) is Outcome.SKIPPED
    supervisor.runs[0].state = "success"
    assert outcome(upstream) is Outcome.SKIPPED


def test_a_skip_of_a_dry_run_does_not_count(supervisor: Supervisor) -> None:
    upstream = skipped_run(supervisor, dry_run=True)
    assert outcome(upstream) is Outcome.WAITING
    assert "dry run" in str(upstream.sightings()[0])


def test_a_skip_in_a_manual_run_with_another_window_does_not_count(supervisor: Supervisor) -> None:
    window = f"{(MONDAY - timedelta(days=1)).isoformat()}/{MONDAY.isoformat()}"
    assert outcome(skipped_run(supervisor, window=window)) is Outcome.WAITING


def test_what_a_timeout_of_the_run_skipped_is_a_failure(supervisor: Supervisor) -> None:
    upstream = skipped_run(supervisor, state="failed")
    assert outcome(upstream) is Outcome.WAITING
    assert verdict(upstream.sightings(), fail_fast=True).outcome is Outcome.FAILED
    supervisor.runs[0].state = "running"  # somebody has cleared what failed
    supervisor.runs[0].states["load", -1] = None
    assert outcome(upstream) is Outcome.WAITING


def test_what_never_ran_in_a_run_that_a_person_marked_as_success_is_skipped(supervisor: Supervisor) -> None:
    assert outcome(skipped_run(supervisor, state="success", marked=False)) is Outcome.SKIPPED


def test_a_skipped_task_that_was_cleared_or_whose_run_is_gone_is_waited_for(supervisor: Supervisor) -> None:
    upstream = skipped_run(supervisor)
    supervisor.runs[0].states["load", -1] = None
    assert outcome(upstream) is Outcome.WAITING
    supervisor.runs = []
    assert outcome(upstream) is Outcome.WAITING


def test_a_mapped_step_of_which_some_items_were_skipped_is_ready(supervisor: Supervisor) -> None:
    supervisor.runs = [a_run("r1", MONDAY, {"load_1": "success"}, dry_run=True)]
    supervisor.runs[0].states["load", 0] = "skipped"
    upstream = Upstream("flights", "load", (MONDAY,))
    assert outcome(upstream) is Outcome.WAITING, "its instance that ran says that the run was a dry run"
    supervisor.runs = [a_run("r1", MONDAY, {"load_0": "skipped", "load_1": "success"})]
    assert outcome(upstream) is Outcome.READY
    supervisor.runs[0].states["load", 1] = "skipped"
    assert outcome(upstream) is Outcome.SKIPPED


def test_a_day_goes_on_with_the_hours_that_were_not_skipped(supervisor: Supervisor) -> None:
    runs = [a_run("r1", MONDAY, {"fetch": "skipped"}), a_run("r2", TUESDAY, {"fetch": "success"})]
    supervisor.runs = runs
    upstream = Upstream("flights", "fetch", (MONDAY, TUESDAY))
    assert outcome(upstream) is Outcome.READY
    runs[1].states["fetch", -1] = "running"
    assert outcome(upstream) is Outcome.WAITING
    runs[1].states["fetch", -1] = "skipped"
    assert outcome(upstream) is Outcome.SKIPPED


def test_a_skip_of_the_newest_run_does_not_hide_an_older_success(supervisor: Supervisor) -> None:
    upstream = Upstream("flights", "fetch", None)
    supervisor.runs = [a_run("r2", TUESDAY, {"fetch": "skipped"})]
    assert str(upstream.sightings()[0]) == "flights.fetch in any run: skipped (run r2)"
    supervisor.runs.insert(0, a_run("r1", MONDAY, {"fetch": "success"}))
    assert outcome(upstream) is Outcome.READY


def test_a_skip_in_a_dag_that_is_not_ours_counts_too(supervisor: Supervisor) -> None:
    supervisor.runs = [a_run("r1", MONDAY, {"export": "skipped"}, dag="old", marked=False)]
    assert outcome(Upstream("old", "export", (MONDAY,), marked=False)) is Outcome.SKIPPED
    assert not any(isinstance(question, GetXCom) for question in supervisor.asked)

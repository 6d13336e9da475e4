from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sluicegate.graph.window import Window
from sluicegate.health.facts import PipelineFacts, Promise, RunFacts
from sluicegate.health.findings import PipelineHealth, Severity, State, What, health_of

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NOW = datetime(2026, 3, 10, 8, tzinfo=UTC)
TODAY = NOW.replace(hour=0)
YESTERDAY = Window(TODAY - DAY, TODAY)
GOOD = PipelineFacts(
    "orders", schedule="0 0 * * *", promise=Promise(30 * HOUR),
    newest=RunFacts("scheduled__1", True, YESTERDAY, TODAY + HOUR), newest_success=YESTERDAY,
    next_due=TODAY + DAY, next_window=TODAY,
)  # fmt: skip


def health(**changes: Any) -> PipelineHealth:
    return health_of(replace(GOOD, **changes), NOW)


def whats(found: PipelineHealth) -> list[What]:
    return [each.what for each in found.findings]


def test_a_pipeline_that_ran_for_yesterday_is_current() -> None:
    assert (health().state, health().findings) == (State.CURRENT, ())


def test_old_data_is_late_and_says_since_when_and_what_runs() -> None:
    old = Window(TODAY - 3 * DAY, TODAY - 2 * DAY)
    found = health(newest_success=old, active_runs=2)
    assert found.state is State.LATE
    (finding,) = found.findings
    assert finding.severity is Severity.PROBLEM
    assert finding.detail == (
        "its newest data ends at 2026-03-08 00:00 UTC, and newer data was due by 2026-03-09 06:00 UTC; 2 runs active"
    )
    assert finding.numbers == {"late_seconds": 26 * 3600}


def test_what_failed_before_somebody_paused_it_wakes_nobody() -> None:
    failed = RunFacts("scheduled__1", False, YESTERDAY, TODAY + HOUR)
    found = health(newest=failed, paused=True)
    assert whats(found) == [What.FAILING, What.PAUSED]
    assert {each.severity for each in found.findings} == {Severity.WARNING}


def test_between_two_runs_of_a_catchup_nothing_is_stalled() -> None:
    week_ago = Window(TODAY - 8 * DAY, TODAY - 7 * DAY)
    due = {"promise": None, "next_due": TODAY - 6 * DAY, "next_window": TODAY - 7 * DAY}
    just_now = RunFacts("scheduled__1", True, week_ago, NOW - timedelta(seconds=20))
    assert whats(health(newest=just_now, **due)) == []
    assert whats(health(newest=replace(just_now, ended=NOW - HOUR), **due)) == [What.STALLED]


def test_days_that_a_timetable_leaves_out_make_nothing_late() -> None:
    friday = Window(TODAY - 4 * DAY, TODAY - 3 * DAY)
    run = RunFacts("scheduled__1", True, friday, friday.end + HOUR)
    weekend = {
        "promise": Promise(30 * HOUR, has_gaps=True),
        "newest": run,
        "newest_success": friday,
        "next_window": TODAY,
        "next_due": TODAY + DAY,
    }
    assert whats(health(**weekend)) == []
    assert whats(health(**weekend | {"promise": Promise(30 * HOUR)})) == [What.LATE]
    assert whats(health(**weekend, active_runs=1)) == [What.LATE]
    assert whats(health(**{**weekend, "newest": replace(run, succeeded=False)})) == [What.FAILING, What.LATE]


def test_data_without_an_interval_is_as_old_as_its_run_whenever_the_next_one_is() -> None:
    at = Window(TODAY - 2 * DAY, TODAY - 2 * DAY)
    run = RunFacts("scheduled__1", True, at, at.end + HOUR)
    found = health(promise=Promise(30 * HOUR, has_gaps=True), newest=run, newest_success=at, next_window=TODAY + DAY)
    assert whats(found) == [What.LATE]


def test_a_timetable_that_has_no_further_window_is_not_late() -> None:
    old = Window(TODAY - 90 * DAY, TODAY - 90 * DAY)
    ended = health(newest=RunFacts("scheduled__1", True, old, old.end), newest_success=old, next_window=None,
                   next_due=None, promise=Promise(30 * HOUR, has_gaps=True))  # fmt: skip
    assert (ended.state, ended.findings) == (State.ENDED, ())


def test_a_catchup_is_late_as_long_as_its_data_is_old() -> None:
    assert whats(health(newest_success=None, first=TODAY - 900 * DAY, active_runs=16)) == [What.LATE]


def test_a_pipeline_that_has_ended_is_never_late() -> None:
    ended = health(promise=Promise(30 * HOUR, end=TODAY - 90 * DAY), next_window=None, next_due=None,
                   newest_success=Window(TODAY - 91 * DAY, TODAY - 90 * DAY))  # fmt: skip
    assert (ended.state, ended.findings) == (State.ENDED, ())


def test_without_a_promise_or_windows_nothing_is_late() -> None:
    old = Window(TODAY - 90 * DAY, TODAY - 89 * DAY)
    assert not health(promise=None, newest_success=old).findings
    assert not health(is_scheduled=False, newest_success=old, next_due=None).findings


def test_a_failed_newest_run_is_failing_and_points_at_the_recovery() -> None:
    run = RunFacts("scheduled__1", False, YESTERDAY, TODAY + HOUR, ("load_orders",))
    found = health(newest=run, newest_success=Window(TODAY - 2 * DAY, TODAY - DAY))
    assert found.state is State.FAILING
    assert whats(found) == [What.FAILING, What.LATE]
    assert found.findings[0].step == "load_orders"
    assert found.findings[0].remedy.endswith("sluicegate recover plan --pipeline orders")


def test_a_run_that_nobody_made_is_stalled_after_some_patience() -> None:
    assert not health(next_due=NOW - timedelta(minutes=4)).findings
    found = health(next_due=NOW - HOUR)
    assert (found.state, whats(found)) == (State.STALLED, [What.STALLED])
    assert found.findings[0].numbers == {"missing_seconds": 3600}
    assert not health(next_due=NOW - HOUR, active_runs=3).findings


def test_paused_is_a_warning_that_says_whether_the_data_is_old() -> None:
    found = health(paused=True, next_due=NOW - 9 * DAY)
    assert (found.state, [each.severity for each in found.findings]) == (State.PAUSED, [Severity.WARNING])
    old = health(paused=True, newest_success=Window(TODAY - 9 * DAY, TODAY - 8 * DAY))
    assert whats(old) == [What.PAUSED]
    assert "older than promised since" in old.findings[0].detail


def test_one_that_starts_later_has_never_ran_and_that_is_all_right() -> None:
    found = health(newest=None, newest_success=None, promise=None, next_due=NOW + DAY)
    assert (found.state, found.findings) == (State.NEVER_RAN, ())


def test_one_that_a_person_starts_has_never_ran_and_that_is_all_right() -> None:
    found = health(newest=None, newest_success=None, is_scheduled=False, next_due=None, next_window=None)
    assert (found.state, found.findings) == (State.NEVER_RAN, ())

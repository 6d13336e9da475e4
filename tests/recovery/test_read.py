"""What is read of a night over REST: the same as is there, in few calls."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings

from sluicegate.faults import CATALOGUE
from sluicegate.recovery.definition import InstanceKey, RunKey
from sluicegate.recovery.errors import WrongRequest
from sluicegate.recovery.night import Dag
from sluicegate.recovery.planning import plan
from sluicegate.recovery.read import products
from sluicegate.recovery.request import Request
from tests.recovery.made_up import MadeUp, waves
from tests.recovery.rest import RestOf
from tests.recovery.test_order import nights, two_levels


@settings(deadline=None)
@given(nights())
def test_a_night_that_is_read_gives_the_same_plan(made: MadeUp) -> None:
    read, expected = plan(RestOf(made)), made.plan()
    assert read.instances == expected.instances
    assert read.edges == expected.edges
    assert read.causes == expected.causes
    assert read.runs == expected.runs


def test_a_run_that_has_ended_over_a_reset_is_found_although_nothing_failed() -> None:
    made = MadeUp()
    run = made.run("orders", state="success", load="success", publish=None)
    made.run("fresh", state="running", load=None)
    assert plan(RestOf(made)).instances == ()
    key = InstanceKey(run.dag, run.run, "publish")
    made.put(replace(made.instances[key], tries=1))
    assert waves(plan(RestOf(made))) == [["orders.publish 1"]]
    assert plan(RestOf(made), Request(tasks=("load",))).instances == ()
    assert plan(RestOf(made), Request(faults=("CODE_FAILED",))).instances == ()


def many(pipelines: int, days: int) -> MadeUp:
    """A tenth of the pipelines failed, the others waited for one of these, on each of the days."""
    made = MadeUp()
    sources = max(1, pipelines // 10)
    for number in range(pipelines):
        for day in range(1, days + 1):
            if number < sources:
                run = made.run(f"p{number}", day, load="failed LoadOperator")
                made.fault(run, "load", "SOURCE_MISSING", f"p{number}.raw")
            else:
                run = made.run(f"p{number}", day, wait="failed UpstreamSensor", load="upstream_failed LoadOperator")
                made.waits(run, "wait", f"p{number % sources}", "load", days=[day])
                made.fault(run, "wait", "UPSTREAM_LATE", f"p{number % sources}.load")
    return made


@pytest.mark.parametrize(("pipelines", "days"), [(1, 1), (20, 1), (150, 1), (30, 4)])
def test_the_number_of_calls_is_that_of_the_docs(pipelines: int, days: int) -> None:
    """4 + ceil(D/100) + G + ceil(F/100), a call for each DAG of which several runs failed, and one for each cause."""
    client = RestOf(many(pipelines, days))
    found = plan(client)
    assert len(found.runs) == pipelines * days
    groups, faults = 1, pipelines * days
    tasks = pipelines if days > 1 else 0
    causes = min(20, len(found.causes))
    expected = 4 + math.ceil(pipelines / 100) + groups + math.ceil(faults / 100) + tasks + causes
    assert len(client.calls) == expected


def test_the_pages_of_a_thousand_failed_runs_are_below_fifty_calls() -> None:
    client = RestOf(many(1000, 1))
    assert len(plan(client).runs) == 1000
    assert len(client.calls) <= 50


def test_the_faults_of_waits_are_only_counted_where_there_are_thousands(monkeypatch: pytest.MonkeyPatch) -> None:
    made = many(500, 1)
    listed = plan(RestOf(made))
    monkeypatch.setattr("sluicegate.recovery.faults_seen._MANY", 100)
    client = RestOf(made)
    counted = plan(client)
    assert counted.causes == listed.causes
    assert sum("xcomEntries" in call for call in client.calls) == len(CATALOGUE) - 1 + 1 + 2


def test_a_wait_that_has_left_no_fault_is_not_said_to_be_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was killed, for example: Airflow's count does not agree then, and all are listed."""
    made = many(200, 1)
    del made.faults[next(key for key, fault in made.faults.items() if fault.code == "UPSTREAM_LATE")]
    listed = plan(RestOf(made))
    monkeypatch.setattr("sluicegate.recovery.faults_seen._MANY", 100)
    assert plan(RestOf(made)).causes == listed.causes


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([("a", "1"), ("b", "1"), ("c", "1")], 1),
        ([("a", "1"), ("a", "2"), ("a", "3")], 1),
        ([("a", "1"), ("a", "2"), ("b", "1"), ("b", "2")], 1),
        ([("a", "1"), ("b", "2"), ("c", "2")], 2),
        ([], 0),
    ],
)
def test_runs_are_asked_for_together_and_no_others(keys: list[tuple[str, str]], expected: int) -> None:
    found = products(RunKey(*key) for key in keys)
    assert len(found) == expected
    assert sorted((dag, run) for dags, runs in found for dag in dags for run in runs) == sorted(keys)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (Request(pipelines=("a",)), {"a"}),
        (Request(pipelines=("[ab]",)), {"a", "b"}),
        (Request(owners=("anna",)), {"feed"}),
        (Request(tags=("gold",)), {"a", "top"}),
        (Request(tags=("gold",), pipelines=("t*",)), {"top"}),
        (Request(runs=(RunKey("b", "scheduled__01"),)), {"b"}),
        (Request(runs=(RunKey("fine", "scheduled__01"),)), set()),
    ],
)
def test_filters_of_dags_and_runs_narrow_each_other(request_: Request, expected: set[str]) -> None:
    made = two_levels()
    made.dags |= {
        "feed": Dag("feed", owners=("anna",)),
        "a": Dag("a", tags=("gold",)),
        "top": Dag("top", tags=("gold", "daily")),
    }
    made.run("fine", state="success", load="success")
    assert set(plan(RestOf(made), request_).dags) == expected


def test_a_window_leaves_out_runs_that_begin_before_or_after_it() -> None:
    from sluicegate.recovery.request import window_of

    made = MadeUp()
    for day in (1, 2, 3, 4):
        made.run("daily", day, load="failed")
    assert waves(plan(RestOf(made), Request(window=window_of("2026-01-02..2026-01-03")))) == [
        ["daily.load 2", "daily.load 3"]
    ]


def test_an_unknown_pipeline_is_an_error_with_a_guess() -> None:
    with pytest.raises(WrongRequest, match="no pipeline fead") as error:
        plan(RestOf(two_levels()), Request(pipelines=("fead",)))
    assert error.value.remedy == "Did you mean feed?"
    assert plan(RestOf(two_levels()), Request(pipelines=("x*",))).instances == ()


@pytest.mark.parametrize(
    ("run", "message"),
    [(RunKey("fead", "scheduled__01"), "no pipeline fead"), (RunKey("feed", "scheduled__77"), "feed has no run")],
)
def test_an_unknown_run_is_an_error_and_no_empty_plan(run: RunKey, message: str) -> None:
    with pytest.raises(WrongRequest, match=message):
        plan(RestOf(two_levels()), Request(runs=(run,)))


def test_failures_outside_the_filters_are_read_for_the_warning() -> None:
    found = plan(RestOf(two_levels()), Request(pipelines=("a",)))
    assert found.warnings == ("feed.load failed and is not in the plan: a would wait for it in vain",)


def test_earlier_failures_of_the_same_pipeline_are_read_for_the_warning() -> None:
    made = MadeUp()
    for day in (3, 5):
        made.run("daily", day, load="failed")
    made.chain("daily", "load", depends_on_past=True)
    found = plan(RestOf(made), Request(runs=(RunKey("daily", "scheduled__05"),)))
    assert "2026-01-03" in found.warnings[0]

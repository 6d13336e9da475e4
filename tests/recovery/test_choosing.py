"""What a plan contains: what failed and matches, with what goes along with it, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sluicegate.recovery.definition import Action, InstanceKey, RunKey
from sluicegate.recovery.night import Dag, Task
from sluicegate.recovery.request import Request, Treatment
from tests.recovery.made_up import DAY, MadeUp, left, waves


def test_what_failed_is_reset_with_what_failed_after_it() -> None:
    made = MadeUp()
    made.run("orders", fetch="success", load="failed LoadOperator", publish="upstream_failed")
    plan = made.plan()
    assert waves(plan) == [["orders.load 1", "orders.publish 1"]]
    assert [each.why for each in plan.instances] == ["it failed", "a task before it failed"]
    assert plan.runs[0].key == RunKey("orders", "scheduled__01")


def test_a_failure_in_a_run_that_succeeded_is_found() -> None:
    made = MadeUp()
    made.run("orders", state="success", load="failed", notify="success")
    assert waves(made.plan()) == [["orders.load 1"]]


def test_an_instance_without_a_state_in_an_ended_run_was_forgotten() -> None:
    made = MadeUp()
    made.run("orders", load="failed", publish=None)
    made.run("running", state="running", load="failed", publish=None)
    plan = made.plan()
    assert waves(plan) == [["orders.load 1", "orders.publish 1", "running.load 1"]]
    assert "never ran" in {each.task: each.why for each in plan.instances if each.dag == "orders"}["publish"]


def test_what_was_forgotten_behind_a_failure_that_is_left_out_is_left_alone() -> None:
    made = MadeUp()
    made.run("orders", old="failed", load="failed", publish=None)
    made.structure("orders", Task("old", ("publish",)), Task("load"), Task("publish"))
    plan = made.plan(Request(failed_since=DAY + timedelta(days=1, minutes=12)))
    assert waves(plan) == [["orders.load 1"]]
    assert "a failure that the filters leave out" in left(plan)["orders.publish"]


def test_what_was_left_upstream_failed_after_its_failure_was_mended_by_hand_is_reset() -> None:
    made = MadeUp()
    made.run("orders", load="success", publish="upstream_failed")
    assert waves(made.plan()) == [["orders.publish 1"]]


def test_mapped_instances_are_reset_by_their_index() -> None:
    made = MadeUp()
    run = made.run("files", list="success", join="upstream_failed")
    made.mapped(run, "load", "success", "failed", "success", "failed")
    made.structure("files", Task("list", ("load",)), Task("load", ("join",)), Task("join"))
    assert waves(made.plan()) == [["files.join 1", "files.load[1] 1", "files.load[3] 1"]]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (Request(tasks=("load*",)), ["orders.load_a 1"]),
        (Request(faults=("SOURCE_MISSING",)), ["orders.load_a 1"]),
        (Request(faults=("data",)), ["orders.load_a 1"]),
        (Request(faults=("fatal",)), ["orders.fetch_b 1"]),
        (Request(failed_since=DAY + timedelta(days=1, minutes=12)), ["orders.fetch_b 1"]),
        (Request(tasks=("load*",), faults=("fatal",)), []),
    ],
)
def test_filters_of_failures_narrow_each_other(request_: Request, expected: list[str]) -> None:
    made = MadeUp()
    run = made.run("orders", load_a="failed", fetch_b="failed")
    made.fault(run, "load_a", "SOURCE_MISSING", "orders.raw")
    made.fault(run, "fetch_b", "AWS_DENIED", kind="fatal")
    plan = made.plan(request_)
    assert [name for wave in waves(plan) for name in wave] == expected


def test_what_follows_two_failures_waits_for_both() -> None:
    made = MadeUp()
    made.run("orders", a="failed", b="failed", after_a="upstream_failed", both="upstream_failed")
    made.structure("orders", Task("a", ("after_a", "both")), Task("b", ("both",)), Task("after_a"), Task("both"))
    plan = made.plan(Request(tasks=("a",)))
    assert waves(plan) == [["orders.a 1", "orders.after_a 1"]]
    assert "a failure that the filters leave out" in left(plan)["orders.both"]
    assert waves(made.plan()) == [["orders.a 1", "orders.after_a 1", "orders.b 1", "orders.both 1"]]


# --- setups and teardowns


def with_setup() -> MadeUp:
    """`make` sets up for `work`, `drop` cleans up after both; `report` needs neither."""
    made = MadeUp()
    made.structure(
        "cluster",
        Task("make", ("work", "drop"), role="setup"),
        Task("work", ("drop", "report")),
        Task("drop", role="teardown"),
        Task("report"),
    )
    return made


def test_a_task_goes_with_its_setup_and_teardown() -> None:
    made = with_setup()
    made.run("cluster", make="success", work="failed", drop="success", report="upstream_failed")
    plan = made.plan()
    assert waves(plan) == [["cluster.drop 1", "cluster.make 1", "cluster.report 1", "cluster.work 1"]]
    assert {each.task: each.why for each in plan.instances}["make"] == "a setup goes with its task"


def test_a_task_after_the_teardowns_work_does_not_need_the_setup() -> None:
    made = with_setup()
    made.run("cluster", make="success", work="success", drop="success", report="failed")
    assert waves(made.plan()) == [["cluster.report 1"]]


def test_a_failed_teardown_is_repeated_alone() -> None:
    made = with_setup()
    made.run("cluster", make="success", work="success", drop="failed", report="success")
    assert waves(made.plan()) == [["cluster.drop 1"]]


def test_the_tasks_of_a_dag_are_asked_for_only_where_a_teardown_may_have_run() -> None:
    made = MadeUp()
    made.run("plain", fetch="success", load="failed", publish="upstream_failed")
    made.plan()
    assert made.asked == []
    made.run("other", load="failed", drop="success")
    made.plan()
    assert set(made.asked) == {"other"}


def test_nothing_is_set_up_for_what_is_only_marked() -> None:
    made = with_setup()
    made.run("cluster", make="success", work="failed", drop="success", report="upstream_failed")
    assert waves(made.plan(Request(treatment=Treatment.SUCCEED))) == [["cluster.report 1", "cluster.work 1"]]
    assert waves(made.plan(Request(treatment=Treatment.SKIP))) == [["cluster.report 1", "cluster.work 1"]]


def test_what_is_set_up_stays_until_its_teardown_has_run() -> None:
    """`more` uses it still."""
    made = with_setup()
    made.run("cluster", state="running", make="success", work="failed", more="running", drop=None)
    made.structures["cluster"] = {**made.structures["cluster"], "more": Task("more", ("drop",))}
    assert waves(made.plan()) == [["cluster.work 1"]]


def test_nothing_is_reset_under_a_teardown_at_work() -> None:
    made = with_setup()
    run = made.run("cluster", state="running", make="success", work="failed", drop="running")
    key = InstanceKey("cluster", run.run, "drop")
    made.put(replace(made.instances[key], started=DAY + timedelta(days=2)))
    plan = made.plan()
    assert plan.instances == ()
    assert "its teardown drop is running" in left(plan)["cluster"]


def test_what_was_left_after_a_failure_that_is_mended_goes_with_its_setup() -> None:
    made = with_setup()
    made.run("cluster", make="success", first="success", work="upstream_failed", drop="success")
    assert waves(made.plan()) == [["cluster.drop 1", "cluster.make 1", "cluster.work 1"]]


def test_what_was_left_after_an_older_failure_is_not_what_failed_since() -> None:
    made = MadeUp()
    run = made.run("orders", load="success", publish="upstream_failed")
    key = InstanceKey("orders", run.run, "publish")
    made.put(replace(made.instances[key], ended=DAY + timedelta(days=1)))
    assert made.plan(Request(failed_since=DAY + timedelta(days=2), include_running=True)).instances == ()
    assert len(made.plan(Request(failed_since=DAY, include_running=True)).instances) == 1


# --- what is left alone


@pytest.mark.parametrize("state", ["running", "queued", "deferred", "scheduled", "up_for_retry", "up_for_reschedule"])
def test_what_is_under_way_is_touched_only_when_asked(state: str) -> None:
    made = MadeUp()
    made.run("orders", state="running", load="failed", wait=state)
    plan = made.plan()
    assert waves(plan) == [["orders.load 1"]]
    assert "--include-running" in left(plan)["orders.wait"]
    plan = made.plan(Request(include_running=True))
    assert waves(plan) == [["orders.load 1", "orders.wait 1"]]
    assert "is stopped and begins anew" in plan.warnings[0]


@pytest.mark.parametrize(
    ("dag", "why"),
    [(Dag("orders", paused=True), "it is paused"), (Dag("orders", stale=True), "does not find this DAG any more")],
)
def test_a_dag_in_which_nothing_would_run_is_left_alone(dag: Dag, why: str) -> None:
    made = MadeUp()
    made.dags["orders"] = dag
    made.run("orders", load="failed")
    made.run("fine", load="failed")
    plan = made.plan()
    assert waves(plan) == [["fine.load 1"]]
    assert why in left(plan)["orders"]


def test_a_dag_whose_file_is_broken_is_reset_with_a_warning() -> None:
    made = MadeUp()
    made.dags["orders"] = Dag("orders", broken=True)
    made.run("orders", load="failed")
    plan = made.plan()
    assert waves(plan) == [["orders.load 1"]]
    assert "orders: its file cannot be imported at present" in plan.warnings[0]


def test_nothing_that_failed_is_an_empty_plan() -> None:
    made = MadeUp()
    made.run("orders", state="success", load="success")
    plan = made.plan()
    assert (plan.instances, plan.waves, plan.causes) == ((), (), ())


def test_a_pool_without_slots_is_a_warning() -> None:
    made = MadeUp()
    made.pools["default_pool"] = 0
    made.run("orders", load="failed")
    assert "default_pool has no slots" in made.plan().warnings[0]


# --- other treatments


def test_what_failed_is_marked_and_what_follows_runs() -> None:
    made = MadeUp()
    made.run("orders", load="failed", publish="upstream_failed")
    made.chain("orders", "load", "publish")
    plan = made.plan(Request(treatment=Treatment.SUCCEED))
    assert {each.task: each.action for each in plan.instances} == {
        "load": Action.MARK_SUCCESS,
        "publish": Action.CLEAR,
    }
    assert [(plan.instances[each.before].task, plan.instances[each.after].task) for each in plan.edges] == [
        ("load", "publish")
    ]


def test_force_is_for_steps_of_ours() -> None:
    made = MadeUp()
    made.run("orders", load="failed LoadOperator", script="failed BashOperator")
    plan = made.plan(Request(force=True))
    assert {each.task: each.force for each in plan.instances} == {"load": True, "script": False}


def test_what_is_only_marked_is_not_forced_later() -> None:
    made = MadeUp()
    made.run("orders", load="failed LoadOperator", publish="upstream_failed LoadOperator")
    made.chain("orders", "load", "publish")
    plan = made.plan(Request(force=True, treatment=Treatment.SUCCEED))
    assert {each.task: each.force for each in plan.instances} == {"load": False, "publish": True}


def test_stuck_clusters_are_found_by_their_kind_and_age() -> None:
    made = MadeUp()
    made.run("old", state="running", join="deferred SparkOperator", load="deferred LoadOperator")
    made.run("new", state="running", join="deferred SparkOperator")
    for dag, hours in (("old", 1), ("new", 9)):
        key = InstanceKey(dag, "scheduled__01", "join")
        made.put(replace(made.instances[key], started=DAY + timedelta(hours=hours)))
    asked = Request(kinds=("spark",), started_before=DAY + timedelta(hours=5), include_running=True, force=True)
    plan = made.plan(asked)
    assert waves(plan) == [["old.join 1"]]
    assert plan.instances[0].force

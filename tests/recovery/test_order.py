"""The order of a plan: within runs, across windows and between DAGs; and that nothing is done twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluicegate.recovery.chosen import Choice, Chosen
from sluicegate.recovery.definition import Action, EdgeKind, InstanceKey, Plan, RunKey
from sluicegate.recovery.errors import PlanCycle
from sluicegate.recovery.night import Assets, Dag, Emitted, Run, Task
from sluicegate.recovery.request import Request
from sluicegate.recovery.triggered import triggered_runs
from tests.recovery.made_up import DAY, MadeUp, left, shown, waves


def edges(plan: Plan, kind: EdgeKind | None = None) -> set[tuple[str, str]]:
    return {(shown(plan, each.before), shown(plan, each.after)) for each in plan.edges if kind in (None, each.kind)}


def two_levels() -> MadeUp:
    """`feed` is late, `a` and `b` wait for it, `top` waits for both."""
    made = MadeUp()
    feed = made.run("feed", load="failed LoadOperator")
    made.fault(feed, "load", "SOURCE_MISSING", "feed.raw")
    for name in ("a", "b"):
        run = made.run(name, wait="failed UpstreamSensor", load="upstream_failed LoadOperator")
        made.waits(run, "wait", "feed", "load")
        made.fault(run, "wait", "UPSTREAM_LATE", "feed.load")
    top = made.run("top", wait_a="failed UpstreamSensor", wait_b="failed UpstreamSensor", load="upstream_failed")
    made.waits(top, "wait_a", "a", "load")
    made.waits(top, "wait_b", "b", "load")
    made.fault(top, "wait_a", "UPSTREAM_LATE", "a.load")
    made.fault(top, "wait_b", "UPSTREAM_LATE", "b.load")
    return made


def test_pipelines_run_after_those_whose_datasets_they_read() -> None:
    plan = two_levels().plan()
    assert waves(plan) == [
        ["feed.load 1"],
        ["a.load 1", "a.wait 1", "b.load 1", "b.wait 1"],
        ["top.load 1", "top.wait_a 1", "top.wait_b 1"],
    ]
    assert edges(plan, EdgeKind.DATASET) == {
        ("feed.load 1", "a.wait 1"),
        ("feed.load 1", "b.wait 1"),
        ("a.load 1", "top.wait_a 1"),
        ("b.load 1", "top.wait_b 1"),
    }
    assert "a.wait waits for feed.load" in {each.reason for each in plan.edges}


def test_causes_that_follow_from_another_are_its_branches() -> None:
    plan = two_levels().plan()
    titles = [each.title for each in plan.causes]
    because = {each.title: None if each.because is None else titles[each.because] for each in plan.causes}
    assert because == {
        "SOURCE_MISSING on feed.raw": None,
        "UPSTREAM_LATE on feed.load": "SOURCE_MISSING on feed.raw",
        "UPSTREAM_LATE on a.load": "UPSTREAM_LATE on feed.load",
        "UPSTREAM_LATE on b.load": "UPSTREAM_LATE on feed.load",
    }
    assert {each.title: each.runs for each in plan.causes}["UPSTREAM_LATE on feed.load"] == 2
    assert plan.causes[0].playbook == "playbooks/feed.md#source_missing"


def test_only_the_window_that_is_waited_for_comes_before() -> None:
    made = MadeUp()
    for day in (1, 2):
        made.run("feed", day, load="failed")
    reader = made.run("reader", 2, wait="failed UpstreamSensor")
    made.waits(reader, "wait", "feed", "load", days=[2])
    plan = made.plan()
    assert waves(plan) == [["feed.load 1", "feed.load 2"], ["reader.wait 2"]]
    assert edges(plan) == {("feed.load 2", "reader.wait 2")}


def test_what_follows_a_sensor_that_has_succeeded_still_waits_for_what_runs_again() -> None:
    made = MadeUp()
    made.run("feed", load="failed")
    reader = made.run("reader", wait="success UpstreamSensor", load="failed", publish="upstream_failed")
    made.waits(reader, "wait", "feed", "load")
    assert waves(made.plan()) == [["feed.load 1"], ["reader.load 1", "reader.publish 1"]]


def test_a_sensor_of_airflows_own_follows_the_runs_up_to_its_own_because_its_date_is_not_known() -> None:
    made = MadeUp()
    for day in (1, 2, 3):
        made.run("feed", day, load="failed")
    reader = made.run("foreign", 2, wait="failed ExternalTaskSensor", work="upstream_failed")
    made.waits(reader, "wait", "feed", "load", days=None)
    plan = made.plan()
    assert edges(plan, EdgeKind.SENSOR) == {("feed.load 1", "foreign.wait 2"), ("feed.load 2", "foreign.wait 2")}


def test_a_sensor_of_airflows_own_follows_a_run_at_its_logical_date_that_was_due_later() -> None:
    made = MadeUp()
    for day in (1, 2):
        made.run("feed", day, load="failed")
    reader = made.run("foreign", wait="failed ExternalTaskSensor", work="upstream_failed")
    made.runs[reader] = replace(made.runs[reader], run_after=DAY)  # by a timetable without windows
    made.waits(reader, "wait", "feed", "load", days=None)
    assert edges(made.plan(), EdgeKind.SENSOR) == {("feed.load 1", "foreign.wait 1")}


def test_a_dag_that_is_not_ours_in_the_middle_keeps_the_order() -> None:
    made = MadeUp()
    made.run("feed", load="failed LoadOperator")
    middle = made.run("middle", wait="failed ExternalTaskSensor", work="upstream_failed")
    made.waits(middle, "wait", "feed", "load", days=None)
    top = made.run("top", wait="failed UpstreamSensor", load="upstream_failed LoadOperator")
    made.waits(top, "wait", "middle")
    assert waves(made.plan()) == [
        ["feed.load 1"],
        ["middle.wait 1", "middle.work 1"],
        ["top.load 1", "top.wait 1"],
    ]


def test_a_wait_of_ours_that_airflow_has_forgotten_is_known_by_its_name() -> None:
    made = MadeUp()
    made.run("feed__eu", load="failed")
    made.run("reader", wait_for__feed__eu__load="failed UpstreamSensor")
    assert waves(made.plan()) == [["feed__eu.load 1"], ["reader.wait_for__feed__eu__load 1"]]


@pytest.mark.parametrize("word", ["depends_on_past", "wait_for_downstream"])
def test_windows_run_one_after_the_other_where_a_task_depends_on_its_past(word: str) -> None:
    made = MadeUp()
    for day in range(1, 6):
        made.run("daily", day, state="success" if day == 3 else "failed", load="success" if day == 3 else "failed")
    made.chain("daily", "load", **{word: True})
    plan = made.plan()
    assert waves(plan) == [["daily.load 1"], ["daily.load 2"], ["daily.load 4"], ["daily.load 5"]]
    assert edges(plan, EdgeKind.PAST) == {
        ("daily.load 1", "daily.load 2"), ("daily.load 2", "daily.load 4"), ("daily.load 4", "daily.load 5"),
    }  # fmt: skip


def test_a_task_that_waits_for_downstream_follows_what_comes_after_it_the_day_before() -> None:
    made = MadeUp()
    made.run("daily", 1, load="success", publish="failed")
    made.run("daily", 2, load="failed", publish="upstream_failed")
    made.structure("daily", Task("load", ("publish",), wait_for_downstream=True), Task("publish"))
    plan = made.plan()
    assert edges(plan, EdgeKind.PAST) == {("daily.publish 1", "daily.load 2")}


def test_a_cycle_is_an_error_with_its_path() -> None:
    made = MadeUp()
    for name, other in (("a", "b"), ("b", "a")):
        run = made.run(name, wait="failed UpstreamSensor")
        made.waits(run, "wait", other, "wait")
    with pytest.raises(PlanCycle, match=r"a\.wait .* -> b\.wait .* -> a\.wait") as error:
        made.plan()
    assert "a.wait waits for b.wait" in error.value.message
    assert "--pipeline" in error.value.remedy


def test_a_day_does_not_follow_a_manual_run_in_its_window() -> None:
    """The run that somebody started at noon is due before that of the window, and looks at it as its past."""
    made = MadeUp()
    made.run("daily", 1, load="failed")
    run = RunKey("daily", "manual__noon")
    noon = DAY + timedelta(hours=12)
    made.runs[run] = Run(run, "failed", noon, noon, noon, noon)
    made.put(replace(made.instances[InstanceKey("daily", "scheduled__01", "load")],
                     key=InstanceKey("daily", "manual__noon", "load"), id="noon"))  # fmt: skip
    made.chain("daily", "load", depends_on_past=True)
    assert waves(made.plan()) == [["daily.load 1"], ["daily.load manual__noon"]]


def test_a_run_without_a_date_has_no_past() -> None:
    made = MadeUp()
    for day in (1, 2):
        run = made.run("daily", day, load="failed")
        made.runs[run] = replace(made.runs[run], logical_date=None)
    made.chain("daily", "load", depends_on_past=True)
    assert len(waves(made.plan())) == 1


def test_sensors_that_look_at_each_others_day_before_are_no_cycle() -> None:
    made = MadeUp()
    for dag, other in (("a", "b"), ("b", "a")):
        for day in (1, 2, 3):
            run = made.run(dag, day, wait="failed ExternalTaskSensor", load="upstream_failed")
            made.waits(run, "wait", other, "load", days=None)
        made.chain(dag, "wait", "load")
    plan = made.plan()
    assert [[name.split()[1] for name in wave] for wave in waves(plan)] == [["1"] * 4, ["2"] * 4, ["3"] * 4]
    assert "a and b wait for each other" in " ".join(plan.warnings)


def cluster_that_waited(report_waits: bool = False) -> MadeUp:
    """`work` waited for `feed` while its cluster was up, and another DAG waits for it."""
    made = MadeUp()
    made.run("feed", load="failed")
    run = made.run("cluster", make="success", wait="failed UpstreamSensor", work="upstream_failed", drop="success",
                   report="upstream_failed UpstreamSensor")  # fmt: skip
    made.waits(run, "wait", "feed", "load")
    made.structure("cluster", Task("make", ("work", "drop"), role="setup"), Task("wait", ("work",)),
                   Task("work", ("drop", "report")), Task("drop", role="teardown"), Task("report"))  # fmt: skip
    if report_waits:
        other = made.run("other", wait="failed UpstreamSensor")
        made.waits(other, "wait", "cluster", "work")
        made.waits(run, "report", "other", "wait")
    return made


def test_nothing_is_set_up_before_it_is_needed() -> None:
    assert waves(cluster_that_waited().plan())[0] == ["feed.load 1"]
    assert waves(cluster_that_waited(report_waits=True).plan()) == [
        ["feed.load 1"],
        ["cluster.drop 1", "cluster.make 1", "cluster.wait 1", "cluster.work 1"],
        ["other.wait 1"],
        ["cluster.report 1"],
    ]


def test_a_failure_outside_the_filters_that_something_waits_for_is_a_warning() -> None:
    made = two_levels()
    plan = made.plan(Request(faults=("UPSTREAM_LATE",)))
    assert plan.warnings == ("feed.load failed and is not in the plan: a, b would wait for it in vain",)
    assert not two_levels().plan().warnings


def test_an_earlier_failure_outside_the_filters_is_a_warning_where_a_task_depends_on_its_past() -> None:
    made = MadeUp()
    for day in (3, 5):
        made.run("daily", day, load="failed")
    old = made.runs.pop(RunKey("daily", "scheduled__03"))
    key = InstanceKey("daily", "scheduled__03", "load")
    del made.instances[key]
    assert old.logical_date is not None
    made.outside[key] = old.logical_date
    made.chain("daily", "load")
    assert made.plan().warnings == ()
    made.chain("daily", "load", depends_on_past=True)
    [warning] = made.plan().warnings
    assert "daily.load failed at 2026-01-03 00:00 UTC as well and is not in the plan" in warning
    made.outside[key] = DAY + timedelta(days=8)
    assert made.plan().warnings == ()


def test_what_a_sensor_of_airflows_own_would_wait_for_in_vain_is_a_warning() -> None:
    made = MadeUp()
    made.run("feed", load="failed")
    for day in (1, 2):
        run = made.run("foreign", day, wait="failed ExternalTaskSensor")
        made.waits(run, "wait", "feed", "load", days=None)
    assert made.plan(Request(tasks=("wait",))).warnings == (
        "feed.load failed and is not in the plan: foreign would wait for it in vain",
    )


# --- runs that tasks have started


def parent_and_child(child_state: str = "failed") -> MadeUp:
    made = MadeUp()
    parent = made.run("parent", start="failed TriggerDagRunOperator", publish="upstream_failed")
    made.chain("parent", "start", "publish")
    key = InstanceKey(parent.dag, parent.run, "start")
    made.put(replace(made.instances[key], triggers=("child", None)))
    child = made.run(
        "child", state=child_state, load=child_state, tidy="upstream_failed" if child_state == "failed" else "success"
    )
    made.children[key] = child
    return made


def test_a_triggered_run_is_recovered_and_not_started_a_second_time() -> None:
    plan = parent_and_child().plan()
    assert waves(plan) == [["child.load 1", "child.tidy 1"], ["parent.publish 1", "parent.start 1"]]
    actions = {f"{each.dag}.{each.task}": each.action for each in plan.instances}
    assert actions["parent.start"] is Action.MARK_SUCCESS
    assert actions["parent.publish"] is Action.CLEAR
    assert edges(plan, EdgeKind.TRIGGER) == {("child.load 1", "parent.start 1"), ("child.tidy 1", "parent.start 1")}


def test_a_triggered_run_that_the_filters_leave_out_goes_along() -> None:
    made = parent_and_child()
    run = RunKey("child", "scheduled__01")
    made.others[run] = (made.runs.pop(run), [each for each in made.instances.values() if each.key.of == run])
    for each in made.others[run][1]:
        del made.instances[each.key]
    assert waves(made.plan()) == [["child.load 1", "child.tidy 1"], ["parent.publish 1", "parent.start 1"]]


def test_a_trigger_whose_run_has_succeeded_since_is_only_marked() -> None:
    plan = parent_and_child("success").plan()
    assert waves(plan) == [["parent.publish 1", "parent.start 1"]]
    assert plan.instances[1].action is Action.MARK_SUCCESS


def test_a_trigger_whose_run_still_runs_is_left_alone_with_what_follows() -> None:
    plan = parent_and_child("running").plan()
    assert plan.instances == ()
    assert "still runs" in left(plan)["parent.start"]
    assert "comes after start" in left(plan)["parent.publish"]


def test_a_trigger_that_started_nothing_runs_again() -> None:
    made = parent_and_child()
    made.children.clear()
    actions = {f"{each.dag}.{each.task}": each.action for each in made.plan().instances}
    assert actions["parent.start"] is Action.CLEAR


def three_generations() -> MadeUp:
    """`parent.start` started `child`, whose `next` started `grandchild`, which failed."""
    made = parent_and_child()
    key = InstanceKey("child", "scheduled__01", "next")
    made.put(replace(made.instances[InstanceKey("child", "scheduled__01", "load")], key=key, id="next",
                     operator="TriggerDagRunOperator", triggers=("grandchild", None)))  # fmt: skip
    made.children[key] = made.run("grandchild", load="failed")
    return made


def moved_out(made: MadeUp, *dags: str) -> MadeUp:
    """The same, where the filters leave out these DAGs."""
    for run in [run for run in made.runs if run.dag in dags]:
        made.others[run] = (made.runs.pop(run), [each for each in made.instances.values() if each.key.of == run])
        for each in made.others[run][1]:
            del made.instances[each.key]
    return made


@pytest.mark.parametrize("outside", [(), ("grandchild",), ("child", "grandchild")])
def test_what_a_triggered_run_has_triggered_is_not_started_a_second_time_either(outside: tuple[str, ...]) -> None:
    plan = moved_out(three_generations(), *outside).plan()
    assert waves(plan)[0] == ["child.load 1", "grandchild.load 1"]
    actions = {f"{each.dag}.{each.task}": each.action for each in plan.instances}
    assert actions["child.next"] is actions["parent.start"] is Action.MARK_SUCCESS
    assert ("grandchild.load 1", "child.next 1") in edges(plan, EdgeKind.TRIGGER)
    assert ("child.next 1", "parent.start 1") in edges(plan, EdgeKind.TRIGGER)


def test_a_trigger_is_not_marked_where_what_it_started_is_left_alone() -> None:
    made = three_generations()
    run = made.runs[RunKey("grandchild", "scheduled__01")]
    made.runs[run.key] = replace(run, state="running")
    plan = made.plan()
    assert "parent" not in plan.dags
    assert "still runs" in left(plan)["child.next"]
    assert "is left alone" in left(plan)["parent.start"]


def test_a_triggered_run_of_a_paused_dag_is_not_waited_for() -> None:
    made = moved_out(parent_and_child(), "child")
    made.dags["child"] = Dag("child", paused=True)
    plan = made.plan()
    assert plan.instances == ()
    assert "its DAG is paused" in left(plan)["parent.start"]


def test_a_triggered_run_goes_along_with_its_setups_and_teardowns() -> None:
    made = parent_and_child()
    run = made.run("child", make="success", load="failed", drop="success")
    made.structure("child", Task("make", ("load", "drop"), role="setup"), Task("load", ("drop",)),
                   Task("drop", role="teardown"), Task("tidy"))  # fmt: skip
    made.children[InstanceKey("parent", "scheduled__01", "start")] = run
    assert {"child.make 1", "child.drop 1"} < set(waves(moved_out(made, "child").plan())[0])


def test_a_trigger_that_succeeded_is_not_run_again_by_a_restatement() -> None:
    made = parent_and_child("success")
    key = InstanceKey("parent", "scheduled__01", "start")
    made.put(replace(made.instances[key], state="success"))
    chosen = Chosen()
    chosen.add(Choice(made.instances[key], "restated", root=True))
    triggered_runs(chosen, made.night, made)
    assert chosen.choices == {}
    assert "--from child restates that" in chosen.left[0].why


def test_what_a_mark_resets_waits_before_the_mark() -> None:
    made = parent_and_child("success")
    made.run("feed", load="failed")
    made.waits(RunKey("parent", "scheduled__01"), "publish", "feed", "load")
    assert waves(made.plan()) == [["feed.load 1"], ["parent.publish 1", "parent.start 1"]]


# --- assets


def emitting(*needed: int) -> MadeUp:
    """`maker.emit` has emitted asset 7 before, which started the failed run of `taker`, and runs again."""
    made = MadeUp()
    maker = made.run("maker", emit="failed")
    taker = made.run("taker", load="failed")
    made.assets = Assets({("maker", "emit"): (7,)}, {7: ("taker",)}, {7: "orders"})
    made.events[maker] = [Emitted("emit", 7, (taker,))]
    if needed:
        made.needs["taker"] = frozenset(needed)
    return made


def test_a_run_that_an_asset_starts_anew_is_not_reset_as_well() -> None:
    plan = emitting().plan()
    assert waves(plan) == [["maker.emit 1"]]
    assert "starts a new run of taker" in left(plan)["taker"]


def test_a_run_that_waited_for_several_assets_is_reset_and_loses_the_second_event() -> None:
    plan = emitting(7, 8).plan()
    assert waves(plan) == [["maker.emit 1"], ["taker.load 1"]]
    [event] = plan.queued_events
    assert (event.dag, event.asset_id, event.asset, event.wave) == ("taker", 7, "orders", 0)
    assert edges(plan, EdgeKind.ASSET) == {("maker.emit 1", "taker.load 1")}


def test_an_event_is_deleted_also_where_the_old_run_stays() -> None:
    made = emitting(7, 8)
    key = InstanceKey("taker", "scheduled__01", "load")
    made.put(replace(made.instances[key], state="success"))
    plan = made.plan()
    assert waves(plan) == [["maker.emit 1"]]
    assert [event.dag for event in plan.queued_events] == ["taker"]
    assert "maker.emit emits orders again" in plan.warnings[0]


def test_a_first_event_starts_its_run_by_itself() -> None:
    made = emitting()
    made.events.clear()
    assert waves(made.plan()) == [["maker.emit 1", "taker.load 1"]]


def test_what_a_new_run_starts_anew_is_not_reset_as_well() -> None:
    """`taker` fails after it has emitted asset 9, by which `third` was started."""
    for names in (("maker", "taker", "third"), ("zmaker", "taker", "third"), ("maker", "ztaker", "athird")):
        maker, taker, third = names
        made = MadeUp()
        runs = {name: made.run(name, emit="failed" if name == maker else "success", load="failed") for name in
                sorted(names)}  # fmt: skip
        made.assets = Assets({(maker, "emit"): (7,), (taker, "emit"): (9,)}, {7: (taker,), 9: (third,)}, {})
        made.events[runs[maker]] = [Emitted("emit", 7, (runs[taker],))]
        made.events[runs[taker]] = [Emitted("emit", 9, (runs[third],))]
        plan = made.plan()
        assert set(plan.dags) == {maker}
        assert "starts a new run" in left(plan)[taker]
        assert "starts a new run" in left(plan)[third]


def test_a_consumer_that_emits_and_failed_itself_is_left_to_its_new_run() -> None:
    made = emitting()
    made.run("taker", emit="failed")
    made.assets = Assets({("maker", "emit"): (7,), ("taker", "emit"): (9,)}, {7: ("taker",), 9: ("third",)}, {})
    assert waves(made.plan()) == [["maker.emit 1"]]


# --- any night


@st.composite
def nights(draw: st.DrawFn) -> MadeUp:
    """Up to eight DAGs on up to three days; each waits for some of those before it, that day or the day before."""
    made = MadeUp()
    days = draw(st.integers(1, 3))
    for number in range(draw(st.integers(1, 8))):
        name = f"d{number}"
        past = draw(st.booleans())
        before = draw(st.lists(st.integers(0, max(0, number - 1)), max_size=3, unique=True)) if number else []
        names = [f"wait{other}" for other in before] + ["load", "publish"]
        made.structure(
            name,
            *(Task(wait, ("load",)) for wait in names[:-2]),
            Task("load", ("publish",), depends_on_past=past),
            Task("publish"),
        )
        for day in range(1, days + 1):
            states = {
                wait: draw(st.sampled_from(["failed UpstreamSensor", "success UpstreamSensor"])) for wait in names[:-2]
            }
            late = any(state.startswith("failed") for state in states.values())
            load = "upstream_failed" if late else draw(st.sampled_from(["failed", "success"]))
            publish = "upstream_failed" if load != "success" else draw(st.sampled_from(["failed", "success"]))
            run = made.run(name, day, **states, load=load, publish=publish)
            for other in before:
                made.waits(run, f"wait{other}", f"d{other}", "load", days=[draw(st.integers(max(1, day - 1), day))])
    return made


@settings(deadline=None)
@given(nights())
def test_every_failure_is_in_exactly_one_wave_and_every_edge_leads_onwards(made: MadeUp) -> None:
    plan = made.plan()
    keys = [each.key for each in plan.instances]
    failed = {key for key, each in made.instances.items() if each.state in ("failed", "upstream_failed")}
    assert len(keys) == len(set(keys))
    assert set(keys) == failed
    for edge in plan.edges:
        first, second = plan.instances[edge.before], plan.instances[edge.after]
        assert first.wave <= second.wave if edge.kind is EdgeKind.TASK else first.wave < second.wave
    assert [each.wave for each in plan.instances] == sorted(each.wave for each in plan.instances)


@settings(deadline=None)
@given(nights())
def test_waves_are_as_few_as_the_edges_between_runs_allow(made: MadeUp) -> None:
    plan = made.plan()
    longest = dict.fromkeys(range(len(plan.instances)), 0)
    for _ in plan.instances:
        for edge in plan.edges:
            step = 0 if edge.kind is EdgeKind.TASK else 1
            longest[edge.after] = max(longest[edge.after], longest[edge.before] + step)
    assert [each.wave for each in plan.instances] == [longest[place] for place in range(len(plan.instances))]


@settings(deadline=None)
@given(nights())
def test_a_plan_is_the_same_in_whatever_order_airflow_answers(made: MadeUp) -> None:
    first = made.plan()
    made.runs = dict(reversed(made.runs.items()))
    made.instances = dict(reversed(made.instances.items()))
    assert made.plan() == first


def test_waves_of_a_chain_of_windows_are_in_their_order() -> None:
    made = MadeUp()
    for day in range(1, 31):
        made.run("daily", day, load="failed")
    made.chain("daily", "load", depends_on_past=True)
    found = [wave[0] for wave in waves(made.plan())]
    assert len(found) == 30
    assert all(int(a.split()[1]) < int(b.split()[1]) for a, b in pairwise(found))


def test_what_only_seemed_to_be_a_cycle_is_looked_at_closely() -> None:
    """In `a`, `publish` failed because of `load`, not of `wait`, for which only the DAG's tasks are a proof."""
    made = MadeUp()
    first = made.run("a", wait="failed UpstreamSensor", load="failed", publish="upstream_failed")
    second = made.run("b", wait="failed UpstreamSensor", load="upstream_failed")
    made.waits(first, "wait", "b", "load")
    made.waits(second, "wait", "a", "publish")
    made.structure("a", Task("wait"), Task("load", ("publish",)), Task("publish"))
    made.chain("b", "wait", "load")
    assert waves(made.plan()) == [["a.load 1", "a.publish 1"], ["b.load 1", "b.wait 1"], ["a.wait 1"]]
    assert set(made.asked) == {"a", "b"}

"""The data was wrong: what read it runs again, in order, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluicegate.recovery.errors import WrongRequest
from sluicegate.recovery.night import Task
from sluicegate.recovery.planning import plan
from sluicegate.recovery.request import Request, window_of
from sluicegate.recovery.restate import restate
from tests.recovery.made_up import MadeUp, left, waves
from tests.recovery.rest import RestOf


def green(days: int = 3) -> RestOf:
    """`feed` writes raw and loads it; `mart` shapes what was loaded and sends a mail; `top` reads the mart."""
    made = MadeUp()
    for day in range(1, days + 1):
        made.run("feed", day, state="success", land="success PythonStepOperator", load="success LoadOperator")
        mart = made.run("mart", day, state="success", wait="success UpstreamSensor", shape="success TransformOperator",
                        mail="success BashOperator")  # fmt: skip
        made.waits(mart, "wait", "feed", "load", days=[day])
        top = made.run("top", day, state="success", wait="success UpstreamSensor", load="success LoadOperator")
        made.waits(top, "wait", "mart", "shape", days=[day])
    made.structure("feed", Task("land", ("load",)), Task("load"))
    made.structure("mart", Task("wait", ("shape",)), Task("shape", ("mail",)), Task("mail"))
    made.structure("top", Task("wait", ("load",)), Task("load"))
    client = RestOf(made)
    client.writes = {"feed.raw": [("feed", "land")], "feed.clean": [("feed", "load")], "mart.out": [("mart", "shape")]}
    client.reads = {"feed.raw": [("feed", "load")], "feed.clean": [("mart", "shape")], "mart.out": [("top", "load")]}
    return client


def request(source: str, window: str = "2026-01-01..2026-01-02", **more: object) -> Request:
    return Request(source=source, window=window_of(window), **more)  # type: ignore[arg-type]


def test_what_read_a_dataset_runs_again() -> None:
    found = plan(green(), request("feed.clean"))
    assert waves(found) == [["mart.shape 1", "mart.shape 2"]]
    assert all(each.force for each in found.instances)


def test_downstream_goes_on_to_the_end_in_order_and_leaves_waits_as_they_are() -> None:
    found = plan(green(), request("feed.raw", downstream=True))
    assert waves(found) == [
        ["feed.load 1", "feed.load 2"],
        ["mart.shape 1", "mart.shape 2"],
        ["top.load 1", "top.load 2"],
    ]


def test_steps_with_effects_outside_run_only_when_they_are_named() -> None:
    assert "--include mart.mail" in left(plan(green(), request("feed.clean", downstream=True)))["mart.mail"]
    found = plan(green(), request("feed.clean", downstream=True, include=("mart.mail",)))
    assert "mart.mail 1" in waves(found)[0]
    assert {each.task: each.force for each in found.instances}["mail"] is False


def test_a_pipeline_is_done_again_with_its_readers() -> None:
    found = plan(green(), request("feed", "2026-01-03", downstream=True, include=("feed.land",)))
    assert waves(found) == [["feed.land 3", "feed.load 3"], ["mart.shape 3"], ["top.load 3"]]
    alone = plan(green(), request("feed", "2026-01-03", include=("feed.*",)))
    assert waves(alone) == [["feed.land 3", "feed.load 3"]]


def test_what_never_ran_or_was_skipped_is_left_as_it_is() -> None:
    client = green(1)
    client.made.run("top", 1, state="running", wait="deferred UpstreamSensor", load=None)
    found = plan(client, request("mart.out"))
    assert found.instances == ()


def test_a_restatement_of_an_empty_window_is_an_empty_plan() -> None:
    assert plan(green(), request("feed.raw", "2027-01-01")).instances == ()


@pytest.mark.parametrize(
    ("source", "message", "remedy"),
    [
        ("feed.rav", "No task reads a dataset feed.rav", "Did you mean feed.raw?"),
        ("fed.raw", "no pipeline fed", "Did you mean feed?"),
        ("feed.nothing", "No task reads a dataset feed.nothing", "Datasets of feed: feed.clean, feed.raw."),
    ],
)
def test_a_wrong_source_is_an_error_with_a_guess(source: str, message: str, remedy: str) -> None:
    with pytest.raises(WrongRequest, match=message) as error:
        plan(green(), request(source))
    assert error.value.remedy == remedy


def test_a_restatement_needs_a_window() -> None:
    with pytest.raises(WrongRequest, match="needs a window"):
        plan(green(), Request(source="feed.raw"))


def test_readers_of_a_step_that_is_left_alone_are_said_to_use_its_old_outcome() -> None:
    found = plan(green(1), request("feed", "2026-01-01", downstream=True))
    assert "feed.land is left alone: feed.load would run again with its old outcome" in found.warnings
    assert plan(green(1), request("feed", "2026-01-01", downstream=True, include=("feed.land",))).warnings == ()


def test_a_reader_at_work_is_left_alone_and_said() -> None:
    client = green(1)
    client.made.run("top", 1, state="running", wait="success UpstreamSensor", load="running LoadOperator")
    found = plan(client, request("mart.out"))
    assert found.instances == ()
    assert left(found)["top.load"].startswith("it is running")
    assert [each.task for each in plan(client, request("feed.raw", downstream=True)).left_alone].count("load") == 1


def test_a_run_without_a_window_is_found_by_when_it_was_due() -> None:
    client = green(1)
    for key, run in client.made.runs.items():
        client.made.runs[key] = replace(run, start=None, end=None, logical_date=None)
    assert waves(plan(client, request("feed", "2026-01-02", include=("feed.*",)))) == [["feed.land 1", "feed.load 1"]]
    found = plan(client, request("feed.clean", "2026-01-02"))
    assert found.instances == ()
    assert "mart has runs without a window" in found.warnings[0]


def test_a_long_chain_of_tasks_is_followed_to_its_end() -> None:
    made = MadeUp()
    names = [f"t{number}" for number in range(1200)]
    made.run("long", state="success", **dict.fromkeys(names, "success LoadOperator"))
    made.chain("long", *names)
    client = RestOf(made)
    client.writes = {"long.raw": [("other", "x")]}
    client.reads = {"long.raw": [("long", "t0")]}
    assert len(plan(client, request("long.raw", "2026-01-01", downstream=True)).instances) == 1200


def test_readers_whose_wait_failed_run_again_with_it() -> None:
    client = green(1)
    top = client.made.run("top", 1, wait="failed UpstreamSensor", load="upstream_failed LoadOperator")
    client.made.waits(top, "wait", "mart", "shape")
    assert waves(plan(client, request("mart.out", "2026-01-01"))) == [["top.load 1", "top.wait 1"]]
    found = plan(client, request("feed.clean", "2026-01-01", downstream=True))
    assert waves(found) == [["mart.shape 1"], ["top.load 1", "top.wait 1"]]


def test_a_reader_behind_another_failure_is_left_alone() -> None:
    client = green(1)
    client.made.run("top", 1, wait="success UpstreamSensor", check="failed BashOperator",
                    load="upstream_failed LoadOperator")  # fmt: skip
    client.made.chain("top", "wait", "check", "load")
    found = plan(client, request("mart.out", "2026-01-01"))
    assert found.instances == ()
    assert "check, before it, is failed" in left(found)["top.load"]


def test_what_runs_again_has_its_setup_and_teardown() -> None:
    client = green(1)
    client.made.run("top", 1, state="success", make="success BashOperator", load="success LoadOperator",
                    drop="success BashOperator")  # fmt: skip
    client.made.structure("top", Task("make", ("load", "drop"), role="setup"), Task("load", ("drop",)),
                          Task("drop", role="teardown"))  # fmt: skip
    chosen = restate(client, request("mart.out", "2026-01-01"), client.made).chosen
    assert {key.task for key in chosen.choices} == {"make", "load", "drop"}

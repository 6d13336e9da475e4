"""A plan in words: everything that a person needs, and never a screen full of the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluicegate.cli.recover_plan import show_plan
from sluicegate.cli.recover_view import shown
from sluicegate.recovery.explain import explain
from sluicegate.recovery.night import Dag
from sluicegate.recovery.progress import View
from sluicegate.recovery.request import Request, window_of
from tests.recovery.made_up import MadeUp


def many(count: int = 300) -> MadeUp:
    made = MadeUp()
    for number in range(count):
        made.run(f"d{number:03}", load="failed")
    return made


def test_very_many_causes_are_counted() -> None:
    lines = list(explain(many().plan()))
    assert len(lines) < 40
    assert any("and 280 causes more" in line for line in lines)


def test_what_is_stopped_is_not_called_restated() -> None:
    made = MadeUp()
    made.run("orders", state="running", load="running")
    assert [each.title for each in made.plan(Request(include_running=True)).causes] == [
        "at work: it is running, and running ones are included"
    ]


def test_of_very_many_waves_the_first_and_the_last_are_shown() -> None:
    made = MadeUp()
    for day in range(1, 366):
        made.run("daily", day, load="failed")
    made.chain("daily", "load", depends_on_past=True)
    lines = list(explain(made.plan()))
    assert len(lines) < 50
    assert [line for line in lines if "wave 1:" in line or "wave 365:" in line or "341 waves between" in line][1] == (
        "  and 341 waves between: they are in the plan's file"
    )


def test_a_warning_names_a_few_dags_and_the_rest_as_a_number() -> None:
    made = MadeUp()
    feed = made.run("feed", load="failed")
    for number in range(50):
        run = made.run(f"d{number:02}", wait="failed UpstreamSensor")
        made.waits(run, "wait", feed.dag, "load")
    [warning] = made.plan(Request(tasks=("wait",))).warnings
    assert "d07 and 42 more would wait" in warning


def test_very_many_warnings_are_counted() -> None:
    plan = replace(many(1).plan(), warnings=tuple(map(str, range(500))))
    assert "  and 488 warnings more: they are in the plan's file" in list(explain(plan))


def test_what_is_left_alone_is_grouped_where_nothing_is_to_be_recovered(capsys: pytest.CaptureFixture[str]) -> None:
    made = many()
    made.dags = {dag: Dag(dag, paused=True) for dag in made.dags}
    assert show_plan(made.plan(), Request()) is None
    out = capsys.readouterr().out
    assert "Nothing to recover: nothing failed." in out
    assert len(out.splitlines()) < 20


def test_an_empty_restatement_does_not_speak_of_failures(capsys: pytest.CaptureFixture[str]) -> None:
    asked = Request(source="feed.raw", window=window_of("2026-01-01"))
    show_plan(MadeUp().plan(), asked)
    assert "nothing that can run again has read feed.raw" in capsys.readouterr().out


def test_the_table_has_the_present_wave_on_a_low_terminal() -> None:
    from io import StringIO

    from rich.console import Console

    out = Console(file=StringIO(), force_terminal=True, height=24, width=100)
    with shown(out) as on_change:
        for wave in range(40):
            on_change(View(wave, 40, 0, 1, 0, 0, 0))
    assert "40 of 40" in out.file.getvalue()  # type: ignore[attr-defined]


def test_commands_that_are_to_follow_are_in_the_plan() -> None:
    lines = list(explain(many(1).plan(Request(afterwards=("sluicegate recover status",)))))
    assert lines[-2:] == ["Afterwards", "  sluicegate recover status"]

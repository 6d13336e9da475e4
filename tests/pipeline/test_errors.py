from __future__ import annotations

from pathlib import Path

from sluicegate.pipeline.diagnostics import Diagnostic, PipelineErrors, did_you_mean, draw

FILE = Path("/dags/orders.yaml")
MISTAKE = Diagnostic("unknown-key", "no key `clustr`", FILE, 12, 5, "steps.join.clustr", "cluster", "    clustr: small")


def test_a_mistake_is_drawn_with_its_line_a_caret_and_what_was_meant() -> None:
    assert draw(MISTAKE, Path("/dags")) == (
        "orders.yaml:12:5: error[unknown-key]: no key `clustr`\n"
        " 12 |     clustr: small\n"
        "    |     ^\n"
        "   did you mean `cluster`?"
    )


def test_an_error_shows_all_its_mistakes_in_the_order_of_the_file() -> None:
    second = Diagnostic("type", "later", FILE, 13, 1)
    errors = PipelineErrors([second, MISTAKE, second])
    assert errors.diagnostics == (MISTAKE, second)
    assert str(errors).index("clustr") < str(errors).index("/dags/orders.yaml:13:1: error[type]: later")


def test_tabs_stay_tabs_above_the_caret() -> None:
    drawn = draw(Diagnostic("x", "y", FILE, 1, 4, source="\t\tab: 1"))
    assert drawn.splitlines()[2].endswith("| \t\t ^")


def test_a_line_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in draw(Diagnostic("x", "y", FILE, 1, 1, source="\x1b[31mred"))


def test_a_key_that_a_message_names_cannot_steer_the_terminal() -> None:
    drawn = draw(Diagnostic("x", "no key `\x1b[31mred`", FILE, suggestion="\x1b[0mred"))
    assert "\x1b" not in drawn
    assert "red" in drawn


def test_a_long_line_is_cut_around_the_caret() -> None:
    line = "a" * 500 + "HERE" + "b" * 500
    shown, caret = draw(Diagnostic("x", "y", FILE, 1, 501, source=line)).splitlines()[1:]
    assert len(shown) < 200
    assert shown[caret.index("^") :].startswith("HERE")


def test_suggestions_are_near_or_none() -> None:
    assert did_you_mean("shedule", ["schedule", "steps"]) == "schedule"
    assert did_you_mean("SMALL", ["small", "large"]) == "small"
    assert did_you_mean("zebra", ["schedule"]) is None
    assert did_you_mean("min", ["min_value", "strict_min", "max_value"]) == "min_value"
    assert did_you_mean("min", ["min_value", "min_value_of_rows"]) is None
    assert did_you_mean(5, ["schedule"]) is None

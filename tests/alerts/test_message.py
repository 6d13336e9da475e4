"""What an alert says, in each of its forms."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime

import pytest
import typer

from sluicegate.alerts.message import Alert
from sluicegate.cli.recover_plan import plan
from sluicegate.faults import CATALOGUE
from sluicegate.graph.window import Window
from sluicegate.pipeline.keys.alerts import Severity

WINDOW = Window(datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC))
ALERT = Alert(
    "orders",
    CATALOGUE["TOO_MANY_DEAD_LETTERS"],
    detail="12 of 100 records (12.00%) were set aside: <required:id>",
    step="load_orders",
    run_id="scheduled__2026-01-02T00:00:00+00:00",
    window=WINDOW,
    params={"carrier": "AA"},
    written=("Nothing of this run came into public.orders.",),
    log="http://airflow/dags/orders/runs/x/tasks/load_orders?try_number=1",
    playbook="playbooks/orders.md#too_many_dead_letters",
    owner="sales-data",
    tries=3,
)


@pytest.mark.parametrize("form", [Alert.text, Alert.markdown, Alert.slack, Alert.html], ids=lambda form: form.__name__)
def test_every_form_says_all_there_is_to_know(form: object) -> None:
    words = form(ALERT).replace("\\_", "_")  # type: ignore[operator]
    for expected in (
        "ERROR", "orders.load", "TOO_MANY_DEAD_LETTERS", "More records were set aside", "12 of 100 records",
        "public.orders", "2026-01-02 to 2026-01-03 UTC", "scheduled__2026-01-02", "carrier=AA", "sales-data",
        "http://airflow/dags", "playbooks/orders.md#too", "sluicegate recover plan --run", "raise `dead",
    ):  # fmt: skip
        assert expected in words.replace("'", "").replace("\\`", "`").replace("&#x27;", ""), expected


def test_no_form_takes_the_words_of_an_error_for_markup() -> None:
    assert "<required:id>" not in ALERT.slack() + ALERT.html()
    assert "<!channel>" not in Alert("p", CATALOGUE["UNKNOWN"], detail="<!channel>").slack()
    assert "<!channel>" in Alert("p", CATALOGUE["UNKNOWN"], detail="<!channel>").text()


def test_the_dictionary_is_json_with_keys_to_group_by() -> None:
    known = json.loads(json.dumps(ALERT.as_dict()))
    assert known["dedupe_key"] == "orders/scheduled__2026-01-02T00:00:00+00:00/TOO_MANY_DEAD_LETTERS"
    assert known["fault"]["class"] == "data"
    assert known["window"] == {"start": "2026-01-02T00:00:00+00:00", "end": "2026-01-03T00:00:00+00:00"}


def test_a_fault_of_the_same_cause_has_one_group_in_all_pipelines() -> None:
    first, second = (Alert(name, CATALOGUE["WAREHOUSE_UNREACHABLE"], run_id="r", subject="warehouse") for name in "ab")
    assert first.group_key == second.group_key
    assert first.dedupe_key != second.dedupe_key


def test_the_command_of_the_recovery_has_options_that_there_are() -> None:
    command = typer.main.get_command(_app())
    words = shlex.split(Alert("p", CATALOGUE["UNKNOWN"], run_id="manual__a b", airflow="http://x:8080").recovery)
    assert words[:3] == ["sluicegate", "recover", "plan"]
    context = command.make_context("plan", words[3:])
    assert context.params["run"] == ["p/manual__a b"]
    assert context.params["url"] == "http://x:8080"


def _app() -> typer.Typer:
    app = typer.Typer()
    app.command()(plan)
    return app


@pytest.mark.parametrize(
    ("code", "severity"),
    [
        ("DISK_FULL", Severity.CRITICAL),
        ("SOURCE_MISSING", Severity.ERROR),
        ("NETWORK", Severity.ERROR),
        ("PIPELINE_LATE", Severity.WARNING),
    ],
)
def test_the_class_of_a_fault_says_how_bad_it_is_unless_it_is_said(code: str, severity: Severity) -> None:
    assert Alert("p", CATALOGUE[code]).severity is severity
    assert Alert("p", CATALOGUE[code], said=Severity.WARNING).severity is Severity.WARNING


def test_a_long_error_is_cut_in_the_middle() -> None:
    words = Alert("p", CATALOGUE["UNKNOWN"], detail="begin" + "x" * 9000 + "end").text()
    assert "begin" in words
    assert "end" in words
    assert len(words) < 3000


def test_the_title_is_one_line() -> None:
    alert = Alert("p", CATALOGUE["UNKNOWN"], step="a\nBcc: x", run_id="r")
    assert "\n" not in alert.title

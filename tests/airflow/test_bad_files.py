"""Bad pipeline files beside good ones, in a real Airflow."""

from __future__ import annotations

from sluicegate.testing.airflow import wait_until
from tests.airflow.conftest import Airflow

GOOD = """\
sluicegate: 1
owner: tests
schedule: none
steps:
  say: {operator: airflow.providers.standard.operators.bash.BashOperator, with: {bash_command: "echo good"}}
"""
SYNTAX = """\
sluicegate: 1
schedule: none
steps:
  load_it:
    load: "s3://landing/open
    into: table://warehouse/open
"""
MISSPELT = """\
sluicegate: 1
shedule: "@daily"
steps:
  load_it: {load: s3://landing/a.csv, into: table://warehouse/a}
"""
CYCLE = """\
sluicegate: 1
schedule: none
steps:
  one: {operator: airflow.providers.standard.operators.empty.EmptyOperator, after: [two]}
  two: {operator: airflow.providers.standard.operators.empty.EmptyOperator, after: [one]}
"""
BAD = {"bad_syntax.yaml": (SYNTAX, "5:11"), "bad_key.yaml": (MISSPELT, "2:1"), "bad_cycle.yaml": (CYCLE, "5:85")}


def test_three_bad_files_stop_nobody_and_are_shown_where_they_are(airflow: Airflow) -> None:
    airflow.write("still_good.yaml", GOOD)
    airflow.wait_for_dag("still_good")
    for name, (text, _) in BAD.items():
        airflow.write(name, text)
    stubs = {f"{name}.py" for name in BAD}
    errors = wait_until(
        lambda: found if stubs <= (found := airflow.import_errors()).keys() else None, 180, "three import errors"
    )
    assert errors.keys() == stubs
    checked = airflow.workspace.command("check", "dags")
    assert checked.returncode == 1
    for name, (_, place) in BAD.items():
        shown = errors[f"{name}.py"]
        assert f"{name}:{place}" in shown
        assert f"{name}:{place}" in checked.stdout + checked.stderr
    assert "schedule" in errors["bad_key.yaml.py"]  # did you mean
    assert "two -> one -> two" in errors["bad_cycle.yaml.py"]

    # The good ones are there, are not stale, and run.
    run = airflow.trigger("still_good")
    assert airflow.wait("still_good", run, "say") == "success"
    assert airflow.get("/dags/inbox")["is_stale"] is False

    for name in BAD:
        (airflow.workspace.dags / name).unlink()
    wait_until(lambda: not airflow.import_errors(), 180, "the errors to go")


def test_a_good_file_turned_bad_and_mended_runs_again(airflow: Airflow) -> None:
    airflow.write("turns.yaml", GOOD)
    airflow.wait_for_dag("turns")
    airflow.write("turns.yaml", GOOD.replace("schedule", "shedule"))
    wait_until(lambda: "turns.yaml.py" in airflow.import_errors(), 180, "its error")
    airflow.write("turns.yaml", GOOD.replace("echo good", "echo mended"))
    wait_until(lambda: not airflow.import_errors(), 180, "its error to go")
    run = airflow.trigger("turns")
    assert airflow.wait("turns", run, "say") == "success"
    assert "mended" in airflow.log("turns", run, "say")

"""Edits while Airflow runs: a good file turns bad and is mended, many files with bad ones among them, pinned runs."""

from __future__ import annotations

from pathlib import Path

from sluicegate.testing.airflow import wait_until
from tests.airflow.conftest import Airflow

BASH = "operator: airflow.providers.standard.operators.bash.BashOperator"


def holding(word: str, gate: Path) -> str:
    """A pipeline whose first step ends when `gate` is there; its second says `word`."""
    return (
        "sluicegate: 1\nowner: tests\nschedule: none\nsteps:\n"
        f"  hold: {{{BASH}, with: {{bash_command: \"until [ -e '{gate}' ]; do sleep 0.3; done\"}}}}\n"
        f"  say: {{{BASH}, with: {{bash_command: 'echo it says {word}'}}, after: hold}}\n"
    )


def tags(airflow: Airflow, dag_id: str) -> set[str]:
    return {tag["name"] for tag in airflow.get(f"/dags/{dag_id}")["tags"]}


def test_a_file_turned_bad_stops_neither_its_run_nor_the_next_one(airflow: Airflow, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    airflow.write("edited.yaml", holding("first", gate))
    airflow.wait_for_dag("edited")
    under_way = airflow.trigger("edited")
    wait_until(lambda: airflow.task("edited", under_way, "hold")["state"] == "running", 180, "the first step to run")

    airflow.write("edited.yaml", holding("second", gate).replace("schedule", "shedule"))
    errors = wait_until(lambda: found if (found := airflow.import_errors()) else None, 180, "its error")
    assert errors.keys() == {"edited.yaml.py"}
    assert "edited.yaml:3:1" in errors["edited.yaml.py"]
    wait_until(lambda: any(tag.startswith("older version ") for tag in tags(airflow, "edited")), 180, "the tag")
    docs = airflow.get("/dags/edited/details")["doc_md"]
    assert "This DAG runs an older version of `edited.yaml`" in docs
    shown = airflow.api.get("/dagSources/edited", headers={"Accept": "application/json"}).raise_for_status().json()
    head, _, text = shown["content"].partition("\n")
    assert head.startswith("# 'edited.yaml', version ")
    assert text == holding("first", gate)
    assert airflow.get("/dags/edited")["dag_display_name"] == "edited (older version)"

    gate.touch()
    assert airflow.ended("edited", under_way) == "success"
    assert airflow.get("/dags/edited")["is_stale"] is False
    following = airflow.trigger("edited")
    assert airflow.ended("edited", following) == "success"
    assert "it says first" in airflow.log("edited", following, "say")

    airflow.write("edited.yaml", holding("second", gate))
    wait_until(lambda: not airflow.import_errors(), 180, "the error to go")
    wait_until(lambda: not any(tag.startswith("older") for tag in tags(airflow, "edited")), 180, "the tag to go")
    mended = airflow.trigger("edited")
    assert airflow.ended("edited", mended) == "success"
    assert "it says second" in airflow.log("edited", mended, "say")


EMPTY = "operator: airflow.providers.standard.operators.empty.EmptyOperator"
GOOD = "sluicegate: 1\nowner: tests\nschedule: once\nsteps:\n"
HEAD = "sluicegate: 1\nowner: tests\nschedule: none\n"
CRON = '{cron: "@hourly", start: 2026-01-01}'
BAD = {
    "open_quote": 'sluicegate: 1\nschedule: "none\nsteps: {}\n',
    "no_mapping": "- sluicegate\nsluicegate: 1\n",
    "duplicate_key": HEAD + "schedule: once\nsteps:\n  a: {" + EMPTY + "}\n",
    "unknown_key": "sluicegate: 1\nshedule: none\nsteps:\n  a: {" + EMPTY + "}\n",
    "unknown_argument": HEAD + "steps:\n  a: {" + BASH + ", with: {bash_comand: 'true'}}\n",
    "wrong_type": HEAD + "retries: three\nsteps:\n  a: {" + EMPTY + "}\n",
    "wrong_choice": HEAD + "steps:\n  a: {" + EMPTY + ", trigger_rule: all_sucess}\n",
    "wrong_duration": HEAD + "steps:\n  a: {" + EMPTY + ", timeout: soon}\n",
    "wrong_cron": 'sluicegate: 1\nschedule: {cron: "61 * * * *", start: 2026-01-01}\nsteps:\n  a: {' + EMPTY + "}\n",
    "wrong_zone": "sluicegate: 1\nschedule: {cron: '@daily', start: 2026-01-01, timezone: Europe/Berln}\n"
    "steps:\n  a: {" + EMPTY + "}\n",
    "wrong_template": HEAD + "steps:\n  a: {load: 's3://b/{{ ds }/x.csv', into: 'table://w/t', key: k}\n",
    "unknown_name": HEAD + "steps:\n  a: {load: 's3://b/{{ dss }}/x.csv', into: 'table://w/t', key: k}\n",
    "no_module": HEAD + "steps:\n  a: {operator: airflow.providers.standrd.operators.bash.BashOperator}\n",
    "no_function": HEAD + "steps:\n  a: {python: 'json:dumpz'}\n",
    "no_dataset": HEAD + "steps:\n  a: {load: raww, into: 'table://w/t', key: k}\n",
    "two_writers": HEAD + "datasets: {d: s3://b/d/}\nsteps:\n  a: {" + EMPTY + ", writes: d}\n"
    "  b: {" + EMPTY + ", writes: d}\n",
    "cycle": HEAD + "steps:\n  a: {" + EMPTY + ", after: b}\n  b: {" + EMPTY + ", after: a}\n",
    "no_grain": f"sluicegate: 1\nschedule: {CRON}\nsteps:\n  a: {{load: many_daily.d, into: 'table://w/t', key: k}}\n",
    "Bad-Name": HEAD + "steps:\n  a: {" + EMPTY + "}\n",
    "refused": HEAD + "steps:\n  a: {" + BASH + ", with: {bash_command: 'true', executor: no.such.Executor}}\n",
}
DAILY = (
    "sluicegate: 1\nowner: tests\nschedule: {cron: '@daily', start: 2026-01-01}\npaused: true\n"
    "datasets: {d: s3://b/d.csv}\nsteps:\n  a: {" + EMPTY + ", writes: d}\n"
)


def test_two_hundred_good_files_run_beside_twenty_bad_ones_of_every_kind(airflow: Airflow) -> None:
    assert len(BAD) == 20
    names = [f"many_{number:03}" for number in range(200)]
    airflow.write("many/many_daily.yaml", DAILY)
    for name, text in BAD.items():
        airflow.write(f"many/{name}.yaml", text)
    for name in names:
        # One in ten needs a worker; the scheduler itself ends the others, as it does with every empty task.
        step = BASH + ", with: {bash_command: 'true'}" if name.endswith("0") else EMPTY
        airflow.write(f"many/good/{name}.yaml", f"{GOOD}  say: {{{step}}}\n")
    stubs = {f"many/{name}.yaml.py" for name in BAD}
    errors = wait_until(lambda: found if len(found := airflow.import_errors()) >= 20 else None, 180, "the errors")
    assert errors.keys() == stubs
    for name in BAD:
        assert f"many/{name}.yaml:" in errors[f"many/{name}.yaml.py"]

    def succeeded() -> bool:
        body = {"dag_ids": names, "states": ["success"], "page_limit": 1000}
        runs = airflow.api.post("/dags/~/dagRuns/list", json=body).raise_for_status().json()["dag_runs"]
        return {run["dag_id"] for run in runs} == set(names)

    wait_until(succeeded, 420, "200 pipelines to have run")
    assert airflow.import_errors().keys() == stubs

    for file in (airflow.workspace.dags / "many").rglob("*.yaml"):
        file.unlink()
    wait_until(lambda: not airflow.import_errors(), 180, "the errors to go")
    wait_until(lambda: airflow.get("/dags/many_000")["is_stale"], 180, "a deleted pipeline to go")


def test_a_run_goes_on_with_the_files_that_it_began_with(airflow: Airflow, tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    def pipeline(word: str) -> None:
        dags = airflow.workspace.pinned
        (dags / "pinned_words.py").write_text(f"def word():\n    return '{word}'\n")
        text = holding(word, gate) + "  told: {python: 'pinned_words:word', after: hold}\n"
        (dags / "pinned.yaml").write_text(text.replace("say:", f"say_{word}:"))

    pipeline("first")
    airflow.wait_for_dag("pinned")
    before = airflow.trigger("pinned")
    wait_until(lambda: airflow.task("pinned", before, "hold")["state"] == "running", 180, "the first step to run")
    pipeline("second")
    wait_until(lambda: airflow.api.get("/dags/pinned/tasks/say_second").status_code == 200, 180, "the new version")
    gate.touch()
    after = airflow.trigger("pinned")
    assert airflow.ended("pinned", before) == airflow.ended("pinned", after) == "success"
    assert airflow.result("pinned", before, "told") == "first"
    assert airflow.result("pinned", after, "told") == "second"
    assert "it says first" in airflow.log("pinned", before, "say_first")
    assert "it says second" in airflow.log("pinned", after, "say_second")

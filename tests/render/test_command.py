from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sluicegate.cli import app
from tests.fresh import FreshAirflow
from tests.render.pipelines import write


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    root = write(tmp_path / "dags")
    monkeypatch.setattr(sys, "path", before)
    return root


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["render", *words])


def told(*words: str) -> Any:
    done = run(*words)
    assert (done.exit_code, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_json_has_what_differs_from_defaults_and_nothing_of_the_machine(root: Path) -> None:
    done = run("kinds", "sources")
    assert str(root) not in done.stdout
    assert "0x" not in done.stdout
    both = json.loads(done.stdout)
    assert list(both) == ["kinds", "sources"]
    kinds = both["kinds"]
    assert kinds["file"] == "deep/deeper/kinds.yaml"
    assert kinds["arguments"]["schedule"] == {
        "airflow.sdk.CronDataIntervalTimetable": {"expression": "0 5 * * *", "timezone": "Europe/Berlin"}
    }
    assert kinds["arguments"]["start_date"] == {"datetime": "2026-01-01T23:00:00+00:00"}
    assert kinds["arguments"]["params"]["limit"] == {
        "airflow.sdk.Param": {"default": 10, "minimum": 1, "type": "integer"}
    }
    assert ["load_kinds", "tell"] in kinds["edges"]
    tell = kinds["tasks"]["tell"]
    assert tell["operator"] == "airflow.providers.standard.operators.bash.BashOperator"
    assert tell["arguments"]["bash_command"] == {
        "lines": ["for i in 1 2; do", "  echo \"{{ window.start }} $i\" 'x'", "done", ""]
    }
    assert tell["arguments"]["execution_timeout"] == {"timedelta": "0:01:30"}
    assert "do_xcom_push" not in tell["arguments"]
    assert kinds["tasks"]["load_kinds"]["arguments"]["root"] == "$DAGS_ROOT"


def test_json_is_the_same_from_another_folder_with_another_hash_seed(
    root: Path, tmp_path: Path, fresh: FreshAirflow
) -> None:
    elsewhere = write(tmp_path / "elsewhere" / "dags")
    done = fresh.run("from sluicegate.cli import main; main()", "render", elsewhere)
    assert done.returncode == 0, done.stderr
    assert done.stdout == run("dags").stdout
    assert len(json.loads(done.stdout)) == 7


def test_json_tells_mapped_steps_groups_and_teardowns(root: Path) -> None:
    reach = told("reach")["reach"]
    assert reach["groups"]["outer__inner"]["parent"] == "outer"
    assert reach["tasks"]["clean_up"]["group"] == "outer__inner"
    assert reach["tasks"]["clean_up"]["expand"]["item"][0] == {"country": "DE", "region": "eu"}
    assert reach["tasks"]["echo"]["expand"] == {"item": {"output": "names"}}
    assert reach["tasks"]["echo"]["operator"] == "airflow.providers.standard.operators.bash.BashOperator"
    assert reach["tasks"]["grow"]["setup"]
    assert reach["tasks"]["shrink"]["fails_run"]
    assert reach["tasks"]["ask"]["arguments"]["python_callable"] == {"function": "harbour.is_ready"}


def test_a_change_of_the_file_is_a_change_of_its_lines_only(root: Path) -> None:
    before = run("upstream").stdout.splitlines()
    file = root / "upstream.yaml"
    file.write_text(file.read_text().replace("key: id", "key: port"))
    after = run("upstream").stdout.splitlines()
    changed = [(old.strip(), new.strip()) for old, new in zip(before, after, strict=True) if old != new]
    assert changed == [('"id"', '"port"')]


def test_python_goes_to_a_file_or_where_the_pipelines_are(root: Path, tmp_path: Path) -> None:
    assert run("lone", "--python").stdout.startswith('"""The pipeline lone."""\n')
    assert run("lone", "--python", "-o", "one.py").exit_code == 0
    assert (tmp_path / "one.py").read_text() == run("lone", "--python").stdout
    assert run("dags", "--python", "-o", "written").exit_code == 0
    files = {str(file.relative_to(tmp_path / "written")) for file in (tmp_path / "written").rglob("*.py")}
    assert files == {
        "clash.py",
        "deep/deeper/kinds.py", "deep/sources.py", "lone.py", "reach.py", "timed.py", "upstream.py",
    }  # fmt: skip


def test_a_file_with_mistakes_is_told_and_1_and_the_others_are_rendered(root: Path) -> None:
    (root / "lone.yaml").write_text("sluicegate: 1\nsteps:\n  a: {operator: airflow.providers.nowhere.X}\n")
    (root / "timed.yaml").write_text("sluicegate: 1\nshedule: none\nsteps: {}\n")
    done = run("dags")
    assert done.exit_code == 1
    assert "dags/lone.yaml:3:" in done.stderr
    assert "dags/timed.yaml:2:1: error[unknown-key]: " in done.stderr
    assert sorted(json.loads(done.stdout)) == ["clash", "kinds", "reach", "sources", "upstream"]
    assert run("upstream").exit_code == 0


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["kindz"], "there is no pipeline `kindz`; did you mean `kinds`?"),
        (["dags/nowhere.yaml"], "there is no pipeline `dags/nowhere.yaml`"),
        (["--python"], "7 pipelines are 7 Python files: -o FOLDER"),
        (["--python", "--json", "kinds"], "either --json or --python"),
        (["kinds", "-o", "nowhere/a.json"], "nowhere/a.json cannot be written"),
        (["kinds", "--root", "nowhere"], "there is no nowhere"),
    ],
)
def test_wrong_use_is_2_with_what_to_do(root: Path, words: list[str], what: str) -> None:
    done = run(*words)
    assert done.exit_code == 2
    assert what in done.stderr


def test_what_no_expression_makes_again_is_refused_with_its_place(root: Path) -> None:
    (root / "oddities.py").write_text(
        "class Odd:\n    def __init__(self, *, size: int) -> None:\n        self.wide = size\n"
    )
    (root / "lone.yaml").write_text(
        "sluicegate: 1\nsteps:\n  a:\n    operator: airflow.providers.standard.operators.python.PythonOperator\n"
        "    with: {python_callable: harbour:tell, op_args: [{class: oddities.Odd, with: {size: 1}}]}\n"
    )
    done = run("lone", "--python")
    assert done.exit_code == 1
    assert "lone.a: `op_args`: a Odd cannot be written as Python" in done.stderr

"""What comes out of a conversion is the DAG that dag-factory 1.1.0 itself makes: tasks, edges, operators, arguments."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sluicegate.cli import app
from tests.factory.files import dags_of
from tests.migrate.conftest import INPUTS, mapped_and_typed
from tests.migrate.shapes import shape_of

pytestmark = [pytest.mark.system, mapped_and_typed]


@pytest.fixture(scope="module")
def dag_factory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where its package is: from PyPI, alone; it runs on the Airflow that is here."""
    folder = tmp_path_factory.mktemp("dagfactory")
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin/pip"), "install", "--quiet", "--no-deps", "dag-factory==1.1.0"]
    subprocess.run(pip, check=True, capture_output=True)
    return next(folder.glob("lib/python*/site-packages"))


def theirs(file: Path, package: Path) -> dict[str, Any]:
    """The DAGs that dag-factory makes of a file, as plain values."""
    paths = os.pathsep.join([str(package), str(file.parent), str(Path(__file__).parents[2])])
    code = {"PYTHONPATH": paths, "CODE_FOLDER": str(file.parent), "DO_NOT_TRACK": "1"}
    command = [sys.executable, str(Path(__file__).with_name("shapes.py")), str(file)]
    done = subprocess.run(command, env={**os.environ, **code}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.rpartition("SHAPES ")[2]))


def renamed(dag: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """With the ids that the conversion gives, also where a template says one."""
    text = json.dumps(dag)
    for old, new in names.items():
        text = text.replace(f"'{old}'", f"'{new}'").replace(f'"{old}"', f'"{new}"')
    found = json.loads(text)
    return {**found, "edges": sorted(found["edges"])}


@pytest.mark.parametrize("name", ["basics", "groups", "mapping", "callables"])
def test_both_make_the_same_dag(inputs: Path, name: str, dag_factory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(inputs))
    expected = theirs(inputs / f"{name}.yml", dag_factory)
    done = CliRunner().invoke(app, ["import", "dag-factory", str(inputs / f"{name}.yml"), "-o", str(inputs)])
    assert done.exit_code == 0, done.stderr
    for dag_id, dag in expected.items():
        ours = shape_of(dags_of(inputs, f"{dag_id.replace('-', '_')}.yaml")[0])
        assert set(ours["tasks"]) == {task.rpartition(".")[2] for task in dag["tasks"]}
        same = renamed(dag, {task: task.rpartition(".")[2] for task in dag["tasks"] if "." in task})
        assert ours["edges"] == same["edges"]
        assert ours["dag"] == same["dag"]
        for task, one in same["tasks"].items():
            assert _without_results(ours["tasks"][task]) == _without_results(one), f"{dag_id}.{task}"


def _without_results(task: dict[str, Any]) -> dict[str, Any]:
    """The result of another task is an XComArg there and a template here."""
    arguments = {
        key: value for key, value in task["arguments"].items() if "XComArg" not in value and "xcom_pull" not in value
    }
    taken = {} if task["operator"] != "PythonOperator" or "op_kwargs" in arguments else {"op_kwargs": "a result"}
    return {**task, "arguments": {**arguments, **taken}}


def test_there_is_something_to_compare() -> None:
    assert {path.stem for path in INPUTS.glob("*.yml")} == {"basics", "groups", "mapping", "callables", "values"}

"""What comes out of a conversion is the DAG that dag-factory 1.1.0 itself makes: tasks, edges, operators, arguments."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sluicegate.cli import app
from tests.factory.files import dags_of
from tests.migrate.conftest import INPUTS
from tests.migrate.shapes import shape_of
from tests.uv import uv

pytestmark = pytest.mark.system

NAMES = ("basics", "groups", "mapping", "callables")
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dag_factory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where its package is: from PyPI, alone; it runs on the Airflow that is here."""
    folder = tmp_path_factory.mktemp("dagfactory")
    install = [uv(), "pip", "install", "--quiet", "--no-deps", "--python", sys.executable, "--target", str(folder)]
    subprocess.run([*install, "dag-factory==1.1.0"], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def theirs(dag_factory: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """By file, the DAGs that dag-factory makes of it, as plain values."""
    folder = Path(shutil.copytree(INPUTS, tmp_path_factory.mktemp("theirs") / "dags"))
    paths = os.pathsep.join([str(dag_factory), str(folder), str(REPOSITORY)])
    code = {"PYTHONPATH": paths, "CODE_FOLDER": str(folder), "DO_NOT_TRACK": "1"}
    command = [sys.executable, str(Path(__file__).with_name("shapes.py")), *(f"{folder}/{name}.yml" for name in NAMES)]
    done = subprocess.run(command, env={**os.environ, **code}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    shapes = [json.loads(line.removeprefix("SHAPES ")) for line in done.stdout.splitlines() if "SHAPES " in line[:7]]
    return dict(zip(NAMES, shapes, strict=True))


def renamed(dag: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """With the ids that the conversion gives, also where a template says one."""
    text = json.dumps(dag)
    for old, new in names.items():
        text = text.replace(f"'{old}'", f"'{new}'").replace(f'"{old}"', f'"{new}"')
    found = json.loads(text)
    return {**found, "edges": sorted(found["edges"])}


@pytest.mark.parametrize("name", NAMES)
def test_both_make_the_same_dag(
    inputs: Path, name: str, theirs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(inputs))
    done = CliRunner().invoke(app, ["import", "dag-factory", str(inputs / f"{name}.yml"), "-o", str(inputs)])
    assert done.exit_code == 0, done.stderr
    assert theirs[name]
    for dag_id, dag in theirs[name].items():
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

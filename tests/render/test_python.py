"""A DAG written as Python is the factory's DAG, without the factory."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from sluicegate.factory.attempt import attempt
from sluicegate.factory.code_path import find_code
from sluicegate.pipeline import read_tree
from sluicegate.render import python_of, rendered
from tests.fresh import FreshAirflow
from tests.render import pipelines
from tests.render.built import seen

REPOSITORY = Path(__file__).parents[2]


def written(root: Path, target: Path) -> tuple[dict[str, Any], list[Path]]:
    """What Airflow sees of the factory's DAGs, and the files that are written of them below `target`."""
    before = list(sys.path)
    tree = read_tree(root)
    assert [diagnostic for diagnostic in tree.diagnostics if diagnostic.is_error] == []
    find_code(root)
    seen_ = {}
    files = []
    for name, pipeline in tree.pipelines.items():
        built, unplaced = attempt(pipeline, tree.readable)
        assert built is not None, unplaced
        seen_[name] = seen(built.dag, str(root))
        file = PurePosixPath(pipeline.file.relative_to(root).as_posix())
        dag = rendered(built.dag, built.arguments, built.task_arguments)
        text = python_of(dag, root=str(root), file=file, description=pipeline.description or "")
        files.append(target / file.with_name(f"{name}.py"))
        files[-1].parent.mkdir(parents=True, exist_ok=True)
        files[-1].write_text(text)
    sys.path[:] = before
    return seen_, files


@dataclass(frozen=True)
class Made:
    """By pipeline, what Airflow sees of the factory's DAG and of the one that the written file makes."""

    factorys: Mapping[str, Any]
    ours: Mapping[str, Any]
    folder: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, fresh: FreshAirflow) -> Made:
    every = pipelines.write(tmp_path_factory.mktemp("every") / "dags")
    target = tmp_path_factory.mktemp("written")
    factorys, files = written(every, target)
    samples, more = written(REPOSITORY / "dags", target)
    shutil.copy(every / "harbour.py", target)
    done = fresh.run(Path(__file__).with_name("built.py"), target, *files, *more)
    assert done.returncode == 0, done.stderr
    return Made(factorys | samples, json.loads(done.stdout.splitlines()[-1]), target)


CASES = [
    *("delays", "flights", "inbox", "reference", "weather"),
    *("clash", "kinds", "lone", "reach", "sources", "timed", "upstream"),
]


@pytest.mark.parametrize("name", CASES)
def test_the_written_dag_is_serialized_as_the_factorys(made: Made, name: str) -> None:
    assert made.ours[name]["dag"] == made.factorys[name]["dag"]


@pytest.mark.parametrize("name", CASES)
def test_the_written_steps_have_all_that_the_factorys_have(made: Made, name: str) -> None:
    assert made.ours[name] == made.factorys[name]


def test_every_pipeline_was_compared(made: Made) -> None:
    assert set(made.factorys) == set(made.ours) == set(CASES)


def test_the_files_are_as_a_formatter_and_a_linter_want_them(made: Made) -> None:
    options = ["--isolated", "--line-length=120", "--exclude=harbour.py", str(made.folder)]
    for words in (["format", "--check", "--diff"], ["check", "--select=B,C4,D300,E,F,I,PIE,RUF100,UP,W"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, *options], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout

"""A DAG written as Python is the factory's DAG, without the factory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from sluicegate.factory.load import attempt
from sluicegate.factory.site import find_code
from sluicegate.pipeline import read_tree
from sluicegate.render import python_of, recording, rendered
from tests.render import pipelines
from tests.render.built import seen

REPOSITORY = Path(__file__).parents[2]


def both(root: Path, target: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What Airflow sees of the factory's DAGs, and of those that the written files make."""
    before = list(sys.path)
    tree = read_tree(root)
    assert [mistake for mistake in tree.mistakes if mistake.is_error] == []
    find_code(root)
    theirs = {}
    files = []
    for name, pipeline in tree.pipelines.items():
        with recording() as calls:
            dag, problems = attempt(pipeline, tree.readable)
        assert dag is not None, problems
        theirs[name] = seen(dag, str(root))
        file = PurePosixPath(pipeline.file.relative_to(root).as_posix())
        text = python_of(rendered(dag, calls), root=str(root), file=file, description=pipeline.description or "")
        files.append(target / file.with_name(f"{name}.py"))
        files[-1].parent.mkdir(parents=True, exist_ok=True)
        files[-1].write_text(text)
    sys.path[:] = before
    words = [sys.executable, str(Path(__file__).with_name("built.py")), str(target), *map(str, files)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    return theirs, json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Any]]:
    """By folder and pipeline: the factory's DAG, the written one, and the folder of the files."""
    found = {}
    every = tmp_path_factory.mktemp("every")
    for name, root in (("samples", REPOSITORY / "dags"), ("every", pipelines.write(every / "dags"))):
        target = tmp_path_factory.mktemp(f"written_{name}")
        if name == "every":
            for extra in ("harbour.py", "jobs/a.py", "jobs/b.py"):
                (target / extra).parent.mkdir(exist_ok=True)
                (target / extra).write_text((root / extra).read_text())
        theirs, ours = both(root, target)
        found[name] = (theirs, ours, target)
    return found


CASES = [
    *(("samples", name) for name in ("delays", "flights", "inbox", "reference", "weather")),
    *(("every", name) for name in ("kinds", "lone", "reach", "sources", "timed", "upstream")),
]


@pytest.mark.parametrize(("where", "name"), CASES)
def test_the_written_dag_is_serialized_as_the_factorys(made: Mapping[str, Any], where: str, name: str) -> None:
    theirs, ours, _ = made[where]
    assert ours[name]["dag"] == theirs[name]["dag"]


@pytest.mark.parametrize(("where", "name"), CASES)
def test_the_written_steps_have_all_that_the_factorys_have(made: Mapping[str, Any], where: str, name: str) -> None:
    theirs, ours, _ = made[where]
    assert ours[name] == theirs[name]


def test_every_pipeline_was_compared(made: Mapping[str, Any]) -> None:
    assert {(where, name) for where, (theirs, *_) in made.items() for name in theirs} == set(CASES)


def test_the_files_are_as_a_formatter_and_a_linter_want_them(made: Mapping[str, Any]) -> None:
    folders = [str(target) for _, _, target in made.values()]
    options = ["--isolated", "--line-length=120", "--exclude=harbour.py"]
    for words in (["format", "--check", "--diff"], ["check", "--select=B,C4,D300,E,F,I,PIE,RUF100,UP,W"]):
        command = [sys.executable, "-m", "ruff", *words, *options, *folders]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from sluicegate.cli.migrate import _known
from sluicegate.migrate import Converted, Note, Options, convert
from sluicegate.pipeline.diagnostics import Diagnostic
from sluicegate.pipeline.text.yaml import parse

INPUTS = Path(__file__).parent / "dagfactory"
TODAY = date(2026, 2, 10)

known = cache(_known)
"""Of an operator that is installed, looked up once for all tests."""


@dataclass(frozen=True)
class Result:
    """What became of a file."""

    pipelines: dict[str, Converted]
    diagnostics: tuple[Diagnostic, ...]
    folder: Path
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def only(self) -> dict[str, Any]:
        """The value of the only pipeline."""
        [value] = self.values.values()
        return dict(value)

    @property
    def notes(self) -> list[Note]:
        return [note for pipeline in self.pipelines.values() for note in pipeline.notes]

    def told(self, *words: str) -> list[Note]:
        """The notes in which all of these words are."""
        return [note for note in self.notes if all(word in note.message for word in words)]


@dataclass(frozen=True)
class Shop:
    """A folder for files of dag-factory. Texts may be indented as in the test."""

    folder: Path

    def write(self, text: str, name: str = "shop.yml") -> Path:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text).lstrip("\n"), "utf-8")
        return file

    def convert(self, text: str, name: str = "shop.yml") -> Result:
        return self.of(self.write(text, name))

    def of(self, file: Path) -> Result:
        found, diagnostics = convert(file, Options(known, TODAY))
        values = {each.name: parse(each.text.encode(), Path(f"{each.name}.yaml")).value for each in found}
        return Result({each.name: each for each in found}, tuple(diagnostics), self.folder, values)

    def task(self, body: str, dag: str = "") -> Result:
        """Of a DAG with one Bash task that says `body` too."""
        head = "d:\n  default_args: {start_date: 2025-01-01}\n"
        lines = [line for line in dedent(body).strip().splitlines() if line]
        task = "".join(f"      {line}\n" for line in lines)
        return self.convert(f"{head}{dag}  tasks:\n    t:\n      operator: {BASH}\n      bash_command: echo\n{task}")

    def dag(self, body: str) -> Result:
        """Of a DAG that says `body`, with one task."""
        lines = "".join(f"  {line}\n" for line in dedent(body).strip("\n").splitlines())
        return self.convert(f"d:\n{lines}  tasks:\n    t: {{operator: {EMPTY}}}\n")


BASH = "airflow.providers.standard.operators.bash.BashOperator"
EMPTY = "airflow.providers.standard.operators.empty.EmptyOperator"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop")


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """The sample files of dag-factory, and the code they name, in a dags folder."""
    return Path(shutil.copytree(INPUTS, tmp_path / "dags"))

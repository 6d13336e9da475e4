from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from sluicegate.pipeline import Diagnostic, Pipeline, PipelineErrors, Tree, read_tree
from sluicegate.pipeline.file import read_draft
from sluicegate.pipeline.text.environment import Environment
from sluicegate.pipeline.tree import Together, read_together


def read_pipeline(file: Path, root: Path, environment: Environment | None = None) -> Pipeline:
    """The one pipeline that a good `file` describes."""
    draft = read_draft(file, root, environment)
    if not draft.is_good:
        raise PipelineErrors(draft.diagnostics, root)
    (only,) = draft.pipelines
    return only


@dataclass(frozen=True)
class Dags:
    """A dags root of its own. Texts may be indented as in the test."""

    root: Path

    def write(self, name: str, text: str) -> Path:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text).lstrip("\n"), "utf-8")
        return file

    def read(self, text: str, name: str = "orders.yaml") -> Pipeline:
        return read_pipeline(self.write(name, text), self.root)

    def together(self, name: str) -> Together:
        return read_together(self.root / name, self.root)

    def tree(self) -> Tree:
        return read_tree(self.root)

    def diagnostics(self, text: str, name: str = "orders.yaml") -> tuple[Diagnostic, ...]:
        """Those that keep the file from being read."""
        with pytest.raises(PipelineErrors) as errors:
            self.read(text, name)
        return errors.value.diagnostics

    def diagnostic(self, text: str, name: str = "orders.yaml") -> Diagnostic:
        """The only one."""
        found = self.diagnostics(text, name)
        assert len(found) == 1, "\n".join(map(str, found))
        return found[0]


@pytest.fixture
def dags(tmp_path: Path) -> Dags:
    root = tmp_path / "dags"
    root.mkdir()
    return Dags(root)


@pytest.fixture
def stands_at() -> Callable[[Diagnostic, str], bool]:
    """Whether a mistake's caret stands at the beginning of those words."""

    def stands(diagnostic: Diagnostic, words: str) -> bool:
        return diagnostic.source[diagnostic.column - 1 :].startswith(words)

    return stands

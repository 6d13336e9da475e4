from __future__ import annotations

from pathlib import Path

import pytest

from sluicegate.pipeline import read_tree
from sluicegate.pipeline.tree import cycle_diagnostics


def reader(*others: str) -> str:
    reads = ", ".join(f"{other}: {other}.out" for other in others)
    return f"""\
sluicegate: 1
schedule: {{cron: "@daily", start: 2026-01-01}}
datasets:
  out: s3://lake/{"-".join(others) or "first"}/{{{{ ds }}}}.csv
steps:
  a: {{python: "work:make", reads: {{{reads}}}, writes: out}}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "work.py").write_text("def make(reads, writes): ...\n")
    return tmp_path


def test_cycles_through_a_file_are_those_that_the_whole_tree_shows(root: Path) -> None:
    files = {"a": reader("b"), "b": reader("c"), "c": reader("a"), "reads_c": reader("c"), "alone": reader()}
    for name, text in files.items():
        (root / f"{name}.yaml").write_text(text)
    tree = read_tree(root)
    for name in files:
        file = root / f"{name}.yaml"
        told = [(each.line, each.column, each.where) for each in tree.diagnostics_of(file) if each.code == "cycle"]
        assert [(each.line, each.column, each.where) for each in cycle_diagnostics(file, root)] == told
        assert bool(told) == (name in "abc")


def test_an_upstream_that_is_missing_or_there_twice_is_not_followed(root: Path) -> None:
    (root / "a.yaml").write_text(reader("nobody", "twice"))
    for folder in ("x", "y"):
        (root / folder).mkdir()
        (root / folder / "twice.yaml").write_text(reader("a"))
    assert cycle_diagnostics(root / "a.yaml", root) == ()


def test_a_file_that_is_no_pipeline_does_not_stand_in_the_way_of_one_with_its_name(root: Path) -> None:
    (root / "config").mkdir()
    (root / "config" / "b.yaml").write_text("values: 1\n")
    (root / "a.yaml").write_text(reader("b"))
    (root / "b.yaml").write_text(reader("a"))
    [diagnostic] = cycle_diagnostics(root / "a.yaml", root)
    assert diagnostic.code == "cycle"

from __future__ import annotations

from pathlib import Path

import pytest
from airflow._shared.module_loading import find_path_from_directory

from sluicegate.pipeline.walk import IGNORE, yaml_files


def found(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in yaml_files(root)}


def by_airflow(root: Path) -> set[str]:
    paths = (Path(path).relative_to(root).as_posix() for path in find_path_from_directory(root, IGNORE))
    return {path for path in paths if path.endswith((".yaml", ".yml"))}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a.yaml", "b.yml", "c.txt", "team/a.yaml", "team/old/x.yaml", "old/y.yaml", "team/keep/z.yaml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


@pytest.mark.parametrize(
    ("rules", "gone"),
    [
        ("", set()),
        ("# only a comment\n\n", set()),
        ("a.yaml\n", {"a.yaml", "team/a.yaml"}),
        ("/a.yaml\n", {"a.yaml"}),
        ("old/\n", {"team/old/x.yaml", "old/y.yaml"}),
        ("team/*\n", {"team/a.yaml", "team/old/x.yaml", "team/keep/z.yaml"}),
        ("team/*\n!team/keep\n", {"team/a.yaml", "team/old/x.yaml"}),
        ("*.yml  # not ours\n", {"b.yml"}),
        ("*.yaml\n!z.yaml\n", {"a.yaml", "team/a.yaml", "team/old/x.yaml", "old/y.yaml"}),
    ],
)
def test_ignored_files_are_left_out_as_airflow_leaves_them_out(root: Path, rules: str, gone: set[str]) -> None:
    everything = found(root)
    (root / IGNORE).write_text(rules)
    assert found(root) == everything - gone == by_airflow(root)


def test_an_ignore_file_in_a_folder_holds_for_that_folder(root: Path) -> None:
    (root / "team" / IGNORE).write_text("/a.yaml\nold\n")
    assert found(root) == {"a.yaml", "b.yml", "old/y.yaml", "team/keep/z.yaml"} == by_airflow(root)


def test_a_linked_folder_is_read_once_and_a_loop_ends(root: Path) -> None:
    (root / "team" / "loop").symlink_to(root)
    (root / "linked").symlink_to(root / "team", target_is_directory=True)
    names = found(root)
    assert "linked/a.yaml" in names
    assert not any(name.startswith("team/") for name in names)


def test_hidden_files_are_left_out(root: Path) -> None:
    (root / ".hidden.yaml").touch()
    (root / ".git").mkdir()
    (root / ".git" / "a.yaml").touch()
    assert not {name for name in found(root) if name.startswith(".")}

"""The commit of a dags root, as git itself says it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from sluicegate.receipts.git import checkout_of


def git(folder: Path, *words: str) -> str:
    own = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    who = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    done = subprocess.run(
        ["git", *who, *words], cwd=folder, env=os.environ | own, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def dags(tmp_path: Path) -> Path:
    dags = tmp_path / "repository" / "dags"
    dags.mkdir(parents=True)
    (dags / "orders.yaml").write_text("sluicegate: 1\n")
    git(dags.parent, "init", "-q")
    git(dags.parent, "add", ".")
    git(dags.parent, "commit", "-qm", "one")
    return dags


def test_a_clean_folder_has_its_commit(dags: Path) -> None:
    found = checkout_of(dags)
    assert found is not None
    assert found._asdict() == {"commit": git(dags, "rev-parse", "HEAD"), "dirty": False}


def test_packed_references_and_linked_work_trees_are_read(dags: Path, tmp_path: Path) -> None:
    git(dags, "pack-refs", "--all")
    git(dags, "worktree", "add", "-q", str(tmp_path / "linked"))
    for place in (dags, tmp_path / "linked" / "dags"):
        found = checkout_of(place)
        assert found is not None
        assert found._asdict() == {"commit": git(dags, "rev-parse", "HEAD"), "dirty": False}


def test_a_touched_file_is_not_a_change_and_an_edited_one_is(dags: Path) -> None:
    os.utime(dags / "orders.yaml", (0, 0))
    assert checkout_of(dags).dirty is False  # type: ignore[union-attr]
    (dags / "orders.yaml").write_text("sluicegate: 2\n")
    assert checkout_of(dags).dirty is True  # type: ignore[union-attr]


def test_new_code_is_a_change_and_what_is_outside_the_folder_is_not(dags: Path) -> None:
    (dags.parent / "README.md").write_text("x")
    (dags / "notes.txt").write_text("x")
    assert checkout_of(dags).dirty is False  # type: ignore[union-attr]
    (dags / "extra.py").write_text("x = 1\n")
    assert checkout_of(dags).dirty is True  # type: ignore[union-attr]


def test_what_is_added_and_not_committed_is_never_called_clean(dags: Path) -> None:
    (dags / "extra.py").write_text("x = 1\n")
    git(dags, "add", ".")
    assert checkout_of(dags).dirty is not False  # type: ignore[union-attr]
    git(dags, "commit", "-qm", "two")
    assert checkout_of(dags).dirty is False  # type: ignore[union-attr]


def test_a_folder_outside_any_repository_has_no_commit(tmp_path: Path) -> None:
    assert checkout_of(tmp_path) is None

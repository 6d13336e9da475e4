"""An empty dags root, whose file system may be lost, deletes nothing until somebody confirms it."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from sluicegate.discovery import stub_sync
from sluicegate.discovery.bundle import PipelineBundle
from sluicegate.discovery.lost_root import is_lost
from sluicegate.discovery.store import BundleStore
from sluicegate.pipeline.walk import yaml_files
from tests.discovery.bundles import bag_of, bundle_at, small, task_bag, told
from tests.factory.files import MISSPELT, write

LOST = "empty dags root.py"


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stub_sync, "_SETTLED", -1.0)


@pytest.fixture
def lost(root: Path, bundle: PipelineBundle) -> PipelineBundle:
    """Its root had two good files and a bad one, and is an empty mount point now."""
    write(root, a=small("a"), b=small("b"), bad=MISSPELT)
    bundle.refresh()
    shutil.rmtree(root)
    root.mkdir()
    bundle.refresh()
    return bundle


def test_what_is_scheduled_stays_and_an_import_error_says_why(root: Path, lost: PipelineBundle) -> None:
    bag = bag_of(lost)
    assert set(bag.dag_ids) == {"a", "b"}
    assert set(bag.import_errors) == {LOST, "bad.yaml.py"}
    message = bag.import_errors[LOST]
    for words in (str(root), "2 pipelines", "mount it again", f"touch {root}/.sluicegate-empty"):
        assert words in message


def test_it_stays_through_further_refreshes_and_a_new_process(root: Path, lost: PipelineBundle) -> None:
    for bundle in (lost, bundle_at(lost.base_dir.parent, root)):
        bundle.refresh()
        bundle.refresh()
        assert told(bundle).keys() == {"a", "b"}


def test_it_stays_where_the_sync_state_is_lost_as_well(lost: PipelineBundle) -> None:
    BundleStore(lost.home).sync_state.unlink()
    shutil.rmtree(lost.path)
    lost.refresh()
    assert told(lost).keys() == {"a", "b"}
    assert LOST in bag_of(lost).import_errors


def test_a_task_starts_from_what_was_kept(lost: PipelineBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    bag = task_bag(lost, "a", monkeypatch)
    assert (bag.dag_ids, bag.import_errors) == (["a"], {})


def test_a_file_that_comes_back_ends_it(root: Path, lost: PipelineBundle) -> None:
    write(root, b=small("b"))
    lost.refresh()
    bag = bag_of(lost)
    assert (bag.dag_ids, bag.import_errors) == (["b"], {})


def test_a_person_confirms_that_all_were_deleted(root: Path, lost: PipelineBundle) -> None:
    (root / ".sluicegate-empty").touch()
    lost.refresh()
    bag = bag_of(lost)
    assert (bag.dag_ids, bag.import_errors) == ([], {})
    assert BundleStore(lost.home).names() == []


def test_a_root_that_never_had_a_pipeline_is_just_empty(bundle: PipelineBundle) -> None:
    bundle.refresh()
    assert bag_of(bundle).import_errors == {}
    assert not is_lost(bundle.root, BundleStore(bundle.home))


def test_no_snapshot_is_made_of_a_lost_root(root: Path, tmp_path: Path) -> None:
    bundle = bundle_at(tmp_path / "bundles", root, snapshots=str(tmp_path / "snapshots"))
    write(root, a=small("a"))
    bundle.refresh()
    version = bundle.get_current_version()
    (root / "a.yaml").unlink()
    bundle.refresh()
    assert bundle.get_current_version() == version
    assert len(list((tmp_path / "snapshots" / "pipelines").iterdir())) == 1


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO])
def test_a_folder_that_cannot_be_listed_is_not_an_empty_one(
    root: Path, bundle: PipelineBundle, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    write(root / "team", a=small("a"))
    write(root, b=small("b"))
    bundle.refresh()
    scandir = os.scandir

    def stale(path: Any) -> Any:
        if str(path) == str(root / "team"):
            raise OSError(number, os.strerror(number), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", stale)
    with pytest.raises(OSError, match="team"):
        bundle.refresh()
    assert told(bundle).keys() == {"a", "b"}


def test_a_folder_that_nobody_here_may_list_is_left_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root / "lost+found", a=small("a"))
    write(root, b=small("b"))
    scandir = os.scandir

    def refused(path: Any) -> Any:
        if str(path).endswith("lost+found"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    assert yaml_files(root) == [root / "b.yaml"]

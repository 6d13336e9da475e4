"""What a run began with, it goes on with."""

from __future__ import annotations

import importlib
import io
import multiprocessing
import os
import re
import shutil
import signal
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from sluicegate.discovery import snapshots as snapshot_module
from sluicegate.discovery.bundle import PipelineBundle
from sluicegate.discovery.store import BundleStore
from tests.discovery.bundles import OPERATORS, bag_of, bundle_at, custom, small, task_bag
from tests.factory.files import MISSPELT, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "snapshots"


@pytest.fixture
def bundle(root: Path, tmp_path: Path, folder: Path) -> PipelineBundle:
    return bundle_at(tmp_path / "bundles", root, snapshots=str(folder))


def version_of(bundle: PipelineBundle) -> str:
    version = bundle.get_current_version()
    assert version is not None
    return version.version


def pinned(tmp_path: Path, root: Path, folder: Path, version: str, storage: str = "worker") -> PipelineBundle:
    return bundle_at(tmp_path / storage, root, version=version, snapshots=str(folder))


def test_without_snapshots_no_version_is_promised(root: Path, tmp_path: Path) -> None:
    bundle = bundle_at(tmp_path / "bundles", root)
    write(root, a=small("a"))
    bundle.refresh()
    assert (bundle.supports_versioning, bundle.get_current_version()) == (False, None)


def test_two_machines_with_the_same_files_have_the_same_version(root: Path, tmp_path: Path, folder: Path) -> None:
    versions = []
    for name in ("one", "other"):
        place = tmp_path / name / "dags"
        write(place, a=small("a"), bad=MISSPELT)
        write(place / "jobs")
        (place / "jobs" / "job.py").write_text("print()")
        os.utime(place / "a.yaml", (len(versions), 1))
        bundle = bundle_at(tmp_path / f"storage_{name}", place, snapshots=str(tmp_path / f"snapshots_{name}"))
        bundle.refresh()
        versions.append(version_of(bundle))
    assert versions[0] == versions[1]


def test_the_version_changes_with_every_file_and_comes_back_with_it(root: Path, bundle: PipelineBundle) -> None:
    write(root, a=small("a"))
    bundle.refresh()
    first = version_of(bundle)
    (root / "code.py").write_text("1")
    bundle.refresh()
    assert version_of(bundle) != first
    (root / "code.py").unlink()
    bundle.refresh()
    assert version_of(bundle) == first


def test_a_pinned_worker_runs_the_old_files_while_the_tree_has_moved_on(
    root: Path, bundle: PipelineBundle, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "mine.py").write_text(OPERATORS)
    (root / "functions.py").write_text("def told(): return 'old'\n")
    (root / "jobs").mkdir()
    (root / "jobs" / "job.py").write_text("print('old')")
    (root / "run.sh").write_text("true")
    (root / "run.sh").chmod(0o755)
    write(root, a=custom("mine") + "    retries: {count: 1}\n", b=small("b"))
    bundle.refresh()
    version = version_of(bundle)

    (root / "mine.py").write_text("raise RuntimeError('new')\n")
    (root / "functions.py").write_text("def told(): return 'new'\n")
    (root / "jobs" / "job.py").write_text("print('new')")
    write(root, a=MISSPELT)
    (root / "b.yaml").unlink()
    bundle.refresh()
    assert version_of(bundle) != version

    worker = pinned(tmp_path, root, folder, version)
    bag = task_bag(worker, "a", monkeypatch)
    assert (bag.dag_ids, bag.import_errors) == (["a"], {})
    dag = bag.dags["a"]
    assert dag.get_task("a").retries == 1
    tree = BundleStore(worker.home).tree
    assert dag.template_searchpath == [str(tree)]
    assert sys.modules["mine"].__file__ == str(tree / "mine.py")
    assert importlib.import_module("functions").told() == "old"
    assert (tree / "jobs" / "job.py").read_text() == "print('old')"
    assert os.access(tree / "run.sh", os.X_OK)
    assert task_bag(worker, "b", monkeypatch).dag_ids == ["b"]
    worker.refresh()
    assert version_of(worker) == version


def test_an_older_version_is_in_the_snapshot_too(
    root: Path, bundle: PipelineBundle, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, a=small("a"))
    bundle.refresh()
    write(root, a=MISSPELT)
    bundle.refresh()
    worker = pinned(tmp_path, root, folder, version_of(bundle))
    dag = task_bag(worker, "a", monkeypatch).dags["a"]
    head, _, text = Path(dag.source).read_text().partition("\n")
    assert re.fullmatch(r"# 'a\.yaml', version [0-9a-f]{12}, good since 2.* UTC\. The file has errors now.*", head)
    assert text == small("a")
    shutil.rmtree(tmp_path / "bundles")
    assert Path(dag.source).is_file()


def _unreadable(worker: PipelineBundle) -> None:
    for entry in (BundleStore(worker.home).folder / "pipelines").iterdir():
        entry.write_bytes(b"sluicegate 99 airflow 9 py9.9\n" + entry.read_bytes().partition(b"\n")[2])


def test_pipelines_of_another_python_are_made_again_from_the_snapshots_files(
    root: Path, bundle: PipelineBundle, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, a=small("a", more="owner: one\n"))
    bundle.refresh()
    worker = pinned(tmp_path, root, folder, version_of(bundle))
    worker.initialize()
    _unreadable(worker)
    write(root, a=small("a", more="owner: two\n"))
    dag = task_bag(worker, "a", monkeypatch).dags["a"]
    assert dag.get_task("a").owner == "one"
    assert bag_of(worker).dag_ids == ["a"], "all of a shard"


def test_an_older_version_that_cannot_be_read_there_says_so(
    root: Path, bundle: PipelineBundle, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, a=small("a"))
    bundle.refresh()
    write(root, a=MISSPELT)
    bundle.refresh()
    worker = pinned(tmp_path, root, folder, version_of(bundle))
    worker.initialize()
    _unreadable(worker)
    [text] = task_bag(worker, "a", monkeypatch).import_errors.values()
    assert "a.yaml:2:1: error" in text
    assert "pinned to a snapshot in which `a` cannot be read here" in text
    assert "run on latest version" in text


def test_a_missing_snapshot_says_what_to_do(root: Path, tmp_path: Path, folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"does not see the folder.*run on latest version"):
        pinned(tmp_path, root, folder, "0" * 40).initialize()
    unkept = bundle_at(tmp_path / "worker", root, version="0" * 40)
    with pytest.raises(ValueError, match=r"keeps no `snapshots` any more.*run on latest version"):
        unkept.initialize()


def test_what_is_left_of_a_removed_snapshot_is_fetched_again(
    root: Path, bundle: PipelineBundle, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, a=small("a"))
    bundle.refresh()
    worker = pinned(tmp_path, root, folder, version_of(bundle))
    worker.initialize()
    shutil.rmtree(BundleStore(worker.home).tree)
    assert task_bag(worker, "a", monkeypatch).dag_ids == ["a"]


def test_old_snapshots_go_but_not_what_was_the_newest_lately_nor_what_another_bundle_has(
    root: Path, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = bundle_at(tmp_path / "bundles", root, snapshots=str(folder))
    own = folder / "pipelines"
    (folder / "other").mkdir(parents=True)
    other = folder / "other" / "1.tar.gz"
    other.touch()
    os.utime(other, (1, 1))
    kept = []
    for number in range(3):
        write(root, a=small("a", into=f"t{number}"))
        bundle.refresh()
        kept.append(own / f"{version_of(bundle)}.tar.gz")
        if number < 2:
            os.utime(kept[-1], (1, 1))
    # The first was replaced long ago, the second, however long it was the newest, just now.
    os.utime(kept[0], (1, 1))
    write(root, a=small("a", into="t3"))
    bundle.refresh()
    assert [path.exists() for path in kept] == [False, True, True]
    assert other.exists()


def test_snapshots_in_the_root_are_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be in its root"):
        bundle_at(tmp_path / "bundles", root, snapshots=str(root / "snapshots"))


def test_a_file_that_changes_while_it_is_packed_is_in_the_name(
    root: Path, bundle: PipelineBundle, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, a=small("a"))
    (root / "code.py").write_text("1")
    seen = snapshot_module.version_of

    def then_changes(*arguments: Any) -> str:
        version = seen(*arguments)
        (root / "code.py").write_text("2")
        return version

    monkeypatch.setattr(snapshot_module, "version_of", then_changes)
    bundle.refresh()
    monkeypatch.undo()
    version = version_of(bundle)
    worker = pinned(tmp_path, root, folder, version)
    worker.initialize()
    assert (BundleStore(worker.home).tree / "code.py").read_text() == "2"
    bundle.refresh()
    assert version_of(bundle) == version


def test_odd_names_and_big_letters_can_be_packed(
    root: Path, bundle: PipelineBundle, tmp_path: Path, folder: Path
) -> None:
    names = [os.fsdecode(b"\xff.csv"), "é" * 120 + ".csv", "a b\n.csv", "back\\slash.csv"]
    for name in names:
        (root / name).write_text(name.encode(errors="replace").decode())
    write(root, a=small("a"))
    bundle.refresh()
    worker = pinned(tmp_path, root, folder, version_of(bundle))
    worker.initialize()
    assert {path.name for path in BundleStore(worker.home).tree.iterdir()} == {*names, "a.yaml"}


def test_if_no_snapshot_can_be_written_airflow_is_shown_nothing_new(
    root: Path, bundle: PipelineBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, a=small("a"))
    bundle.refresh()
    version, shard = version_of(bundle), (bundle.path / "shards" / "000.py").read_text()
    write(root, a=small("a", into="elsewhere"))

    def full(*arguments: Any, **more: Any) -> str:
        raise OSError("no space left")

    monkeypatch.setattr(snapshot_module, "_write", full)
    with pytest.raises(OSError, match="no space"):
        bundle.refresh()
    assert (version_of(bundle), (bundle.path / "shards" / "000.py").read_text()) == (version, shard)
    monkeypatch.undo()
    bundle.refresh()
    assert version_of(bundle) != version


# Processes that are killed, and several at once.


def _fetch(tmp_path: Path, root: Path, folder: Path, version: str, storage: str) -> None:
    pinned(tmp_path, root, folder, version, storage).initialize()


def test_workers_may_fetch_at_once(
    root: Path, bundle: PipelineBundle, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, a=small("a"))
    for number in range(200):
        (root / f"{number}.csv").write_bytes(os.urandom(2000))
    bundle.refresh()
    arguments = (tmp_path, root, folder, version_of(bundle), "worker")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_fetch, args=arguments) for _ in range(4)]
    for each in workers:
        each.start()
    for each in workers:
        each.join(300)
    assert [each.exitcode for each in workers] == [0] * 4
    worker = pinned(*arguments)
    assert len(list(BundleStore(worker.home).tree.iterdir())) == 201
    assert [path.name for path in worker.home.parent.iterdir()] == [version_of(bundle)], "a draft was left"


@pytest.mark.system
def test_a_fetch_that_is_killed_leaves_nothing_half(
    root: Path, bundle: PipelineBundle, tmp_path: Path, folder: Path
) -> None:
    write(root, a=small("a"))
    for number in range(300):
        (root / f"{number}.csv").write_bytes(os.urandom(5000))
    bundle.refresh()
    arguments = (tmp_path, root, folder, version_of(bundle), "worker")
    home = pinned(*arguments).home
    context = multiprocessing.get_context("fork")
    for number in range(25):
        process = context.Process(target=_fetch, args=arguments)
        process.start()
        time.sleep(0.004 * number)
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        if home.exists():
            assert len(list(BundleStore(home).tree.iterdir())) == 301
            shutil.rmtree(home)
    _fetch(*arguments)
    assert len(list(BundleStore(home).tree.iterdir())) == 301


def _publish(storage: Path, root: Path, folder: Path) -> None:
    bundle_at(storage, root, snapshots=str(folder)).refresh()


@pytest.mark.system
def test_a_publisher_that_is_killed_leaves_nothing_half(
    root: Path, bundle: PipelineBundle, tmp_path: Path, folder: Path
) -> None:
    write(root, a=small("a"))
    for number in range(300):
        (root / f"{number}.csv").write_bytes(os.urandom(5000))
    context = multiprocessing.get_context("fork")
    for number in range(25):
        (root / "code.py").write_text(str(number))
        process = context.Process(target=_publish, args=(tmp_path / "bundles", root, folder))
        process.start()
        time.sleep(0.01 * number)
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        for each in (folder / "pipelines").glob("*.tar.gz"):
            version = each.name.removesuffix(".tar.gz")
            _fetch(tmp_path, root, folder, version, "worker")
            home = pinned(tmp_path, root, folder, version).home
            assert len(list(BundleStore(home).tree.iterdir())) == 302
            assert BundleStore(home).names() == ["a"]
    bundle.refresh()
    worker = pinned(tmp_path, root, folder, version_of(bundle))
    worker.initialize()
    assert (BundleStore(worker.home).tree / "code.py").read_text() == "24"


@pytest.mark.parametrize("name", ["../outside", "/outside", "tree/../../outside"])
def test_a_snapshot_that_is_none_of_ours_writes_nothing_elsewhere(tmp_path: Path, folder: Path, name: str) -> None:
    folder.mkdir()
    with tarfile.open(folder / f"{'0' * 40}.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = 4
        archive.addfile(member, io.BytesIO(b"evil"))
    with pytest.raises(ValueError, match="nothing that a snapshot holds"):
        snapshot_module.fetch(folder, "0" * 40, tmp_path / "versions" / "one")
    assert not list(tmp_path.rglob("outside"))
    assert not (tmp_path / "versions" / "one").exists()

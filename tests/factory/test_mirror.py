from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from sluicegate.factory import mirror as mirror_module
from sluicegate.factory.mirror import FINGERPRINT, mirror


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "dags"
    folder.mkdir()
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "stubs"


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a test are young; here they count as old, except where a test says otherwise."""
    monkeypatch.setattr(mirror_module, "_SETTLED", -1.0)


def names(root: Path) -> dict[str, str]:
    return {f"{path.relative_to(root).as_posix()}.py": path.read_text() for path in sorted(root.rglob("*.yaml"))}


def mirrored(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.py")}


def test_every_file_has_a_stub_also_in_subfolders(root: Path, folder: Path) -> None:
    (root / "a.yaml").write_text("one")
    (root / "team" / "x").mkdir(parents=True)
    (root / "team" / "x" / "b.yaml").write_text("two")
    mirror(root, folder, names, nullcontext)
    assert mirrored(folder) == {"a.yaml.py": "one", "team/x/b.yaml.py": "two"}


def test_a_deleted_file_takes_its_stub_and_its_empty_folder_along(root: Path, folder: Path) -> None:
    (root / "team").mkdir()
    (root / "team" / "b.yaml").write_text("two")
    (root / "a.yaml").write_text("one")
    mirror(root, folder, names, nullcontext)
    (root / "team" / "b.yaml").unlink()
    mirror(root, folder, names, nullcontext)
    assert mirrored(folder) == {"a.yaml.py": "one"}
    assert not (folder / "team").exists()


def test_an_unchanged_stub_is_not_written_again(root: Path, folder: Path) -> None:
    (root / "a.yaml").write_text("one")
    (root / "b.yaml").write_text("one")
    mirror(root, folder, names, nullcontext)
    os.utime(folder / "a.yaml.py", (1, 1))
    (root / "b.yaml").write_text("two")
    mirror(root, folder, names, nullcontext)
    assert (folder / "a.yaml.py").stat().st_mtime == 1
    assert (folder / "b.yaml.py").read_text() == "two"


def test_nothing_is_read_when_nothing_changed(root: Path, folder: Path) -> None:
    (root / "a.yaml").write_text("one")
    assert mirror(root, folder, names, nullcontext)
    assert not mirror(root, folder, _refuse, nullcontext)


def test_a_change_of_the_same_size_and_time_of_modification_is_seen(root: Path, folder: Path) -> None:
    file = root / "a.yaml"
    file.write_text("one")
    times = (file.stat().st_atime, file.stat().st_mtime)
    mirror(root, folder, names, nullcontext)
    copy = root / "copy"
    copy.write_text("two")
    copy.replace(file)
    os.utime(file, times)
    mirror(root, folder, names, nullcontext)
    assert (folder / "a.yaml.py").read_text() == "two"


def test_a_young_change_is_looked_at_again(root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A second change within the same tick of the clock would otherwise be missed for ever.
    monkeypatch.setattr(mirror_module, "_SETTLED", 60.0)
    (root / "a.yaml").write_text("one")
    mirror(root, folder, names, nullcontext)
    assert mirror(root, folder, names, nullcontext)


def test_lost_stubs_are_made_again(root: Path, folder: Path) -> None:
    (root / "a.yaml").write_text("one")
    mirror(root, folder, names, nullcontext)
    (folder / "a.yaml.py").unlink()
    mirror(root, folder, names, nullcontext)
    assert mirrored(folder) == {"a.yaml.py": "one"}


def test_a_broken_fingerprint_is_no_obstacle(root: Path, folder: Path) -> None:
    (root / "a.yaml").write_text("one")
    mirror(root, folder, names, nullcontext)
    (folder / FINGERPRINT).write_text('{"state": ')
    mirror(root, folder, names, nullcontext)
    assert not mirror(root, folder, _refuse, nullcontext)


def test_a_root_that_is_gone_does_not_take_the_pipelines_away(root: Path, folder: Path) -> None:
    (root / "a.yaml").write_text("one")
    mirror(root, folder, names, nullcontext)
    root.rename(root.with_name("elsewhere"))
    with pytest.raises(FileNotFoundError, match="stay as they were"):
        mirror(root, folder, names, nullcontext)
    assert mirrored(folder) == {"a.yaml.py": "one"}


def test_a_stub_is_never_seen_half_written(root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "a.yaml").write_text("one")
    mirror(root, folder, names, nullcontext)
    (root / "a.yaml").write_text("two")

    def dies(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        mirror(root, folder, names, nullcontext)
    monkeypatch.undo()
    assert mirrored(folder) == {"a.yaml.py": "one"}
    mirror(root, folder, names, nullcontext)
    assert mirrored(folder) == {"a.yaml.py": "two"}


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    import fcntl

    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _mirror_often(root: Path, folder: Path, times: int) -> None:
    for _ in range(times):
        (folder / FINGERPRINT).unlink(missing_ok=True)
        mirror(root, folder, names, lambda: _locked(root.parent / "lock"))


def test_processes_may_mirror_at_once(root: Path, folder: Path) -> None:
    for number in range(20):
        (root / f"p{number}.yaml").write_text(str(number))
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_mirror_often, args=(root, folder, 10)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert mirrored(folder) == names(root)
    assert not list(folder.glob(".*.draft"))


def _refuse(root: Path) -> Mapping[str, str]:
    raise AssertionError("the tree was read though nothing had changed")

"""Files of this machine: listed, used in place, replaced whole."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sluicegate.faults import FaultError
from sluicegate.storage import Storage

STORAGE = Storage()


def test_one_file_has_the_hash_of_its_content_as_version(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"id\n1\n")
    (part,) = STORAGE.list_parts(f"file://{tmp_path}/a.csv")
    assert part.uri == f"file://{tmp_path}/a.csv"
    assert part.size == 5
    assert part.version == hashlib.sha256(b"id\n1\n").hexdigest()
    assert part.last_modified.tzinfo is not None


def test_a_folder_is_its_parts_by_name(tmp_path: Path) -> None:
    for name in (
        "part-1.csv",
        "part-0.csv",
        "_SUCCESS",
        ".part-0.csv.crc",
        "day=1/part-2.csv",
        "archive/old.csv",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "part-3.csv").touch()
    names = [part.uri.removeprefix(f"{tmp_path}/") for part in STORAGE.list_parts(f"{tmp_path}/")]
    assert names == ["day=1/part-2.csv", "part-0.csv", "part-1.csv"]
    assert [uri.removeprefix(f"{tmp_path}/") for uri in STORAGE.part_uris(f"{tmp_path}/")] == names


def test_a_local_file_is_used_in_place(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x")
    (part,) = STORAGE.list_parts(str(tmp_path / "a.csv"))
    assert STORAGE.fetch(part, tmp_path / "elsewhere") == tmp_path / "a.csv"


def test_a_file_that_was_written_to_since_it_was_listed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x")
    (part,) = STORAGE.list_parts(str(path))
    path.write_text("other")
    for act in (lambda: STORAGE.fetch(part, tmp_path), lambda: STORAGE.verify(part)):
        with pytest.raises(FaultError) as caught:
            act()
        assert caught.value.code == "SOURCE_CHANGED"


def test_a_file_that_was_only_touched_is_the_same_version(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x")
    (part,) = STORAGE.list_parts(str(path))
    os.utime(path, (1, 1))
    assert STORAGE.fetch(part, tmp_path) == path


def test_a_file_that_is_gone_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x")
    (part,) = STORAGE.list_parts(str(path))
    path.unlink()
    with pytest.raises(FaultError) as caught:
        STORAGE.fetch(part, tmp_path)
    assert caught.value.code == "SOURCE_MISSING"


def test_what_is_missing_says_what_is_there_instead(tmp_path: Path) -> None:
    (tmp_path / "2026-01-02.csv").write_text("x")
    with pytest.raises(FaultError) as caught:
        STORAGE.require_parts(f"{tmp_path}/2026-01-01.csv")
    assert caught.value.code == "SOURCE_MISSING"
    assert "2026-01-02.csv" in caught.value.detail


def test_no_window_at_all_is_a_missing_source() -> None:
    with pytest.raises(FaultError) as caught:
        STORAGE.require_parts([])
    assert caught.value.code == "SOURCE_MISSING"


def test_several_windows_come_in_their_order(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv"):
        (tmp_path / name).write_text(name)
    uris = [f"{tmp_path}/b.csv", f"{tmp_path}/a.csv"]
    assert [part.uri for part in STORAGE.require_parts(uris)] == uris
    assert [part.uri for part in STORAGE.require_parts([*uris, f"{tmp_path}/", f"{tmp_path}/*.csv"])] == uris


def test_a_folder_written_whole_but_empty_exists(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert not STORAGE.exists(f"{tmp_path}/out/")
    (tmp_path / "out" / "_SUCCESS").touch()
    assert STORAGE.exists(f"{tmp_path}/out/")
    assert STORAGE.require_parts(f"{tmp_path}/out/") == ()


def test_nothing_exists_in_a_folder_that_does_not(tmp_path: Path) -> None:
    assert STORAGE.list_parts(f"{tmp_path}/no/") == ()
    assert STORAGE.list_parts(f"{tmp_path}/no/a.csv") == ()
    assert not STORAGE.exists(f"{tmp_path}/no/")


def test_a_file_is_put_where_no_folder_was(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("new")
    STORAGE.put_atomic(source, f"file://{tmp_path}/a/b/out.csv")
    assert (tmp_path / "a" / "b" / "out.csv").read_text() == "new"
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["out.csv"]
    assert source.exists()


def test_a_put_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("old")
    with pytest.raises(FileNotFoundError):
        STORAGE.put_atomic(tmp_path / "no-such-file", str(tmp_path / "out.csv"))
    assert (tmp_path / "out.csv").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_a_folder_cannot_be_put(tmp_path: Path) -> None:
    with pytest.raises(FaultError) as caught:
        STORAGE.put_atomic(tmp_path / "x", f"{tmp_path}/out/")
    assert caught.value.code == "WRONG_USE"


def test_deleting_what_is_gone_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x")
    parts = STORAGE.list_parts(f"{tmp_path}/")
    STORAGE.delete_parts(parts)
    STORAGE.delete_parts(parts)
    assert list(tmp_path.iterdir()) == []


WRITER = """
import sys
from pathlib import Path
from sluicegate.storage import Storage
source, target = map(Path, sys.argv[1:])
print("ready", flush=True)
while True:
    Storage().put_atomic(source, str(target))
"""


def test_a_writer_that_is_killed_leaves_a_whole_file(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "out" / "a.bin"
    source.write_bytes(os.urandom(4 << 20))
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", WRITER, source, target], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            while not target.exists():
                time.sleep(0.01)
            time.sleep(0.05)  # some files more, and wherever that is
            writer.send_signal(signal.SIGKILL)
        assert target.read_bytes() == source.read_bytes()
        # What the killed one left is hidden from whoever lists the folder.
        assert STORAGE.part_uris(f"{tmp_path}/out/") == (f"{tmp_path}/out/a.bin",)


def test_what_a_killed_writer_left_is_removed_a_day_later(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("x")
    old, young = tmp_path / ".a.csv.0123.sluicegate-tmp", tmp_path / ".a.csv.4567.sluicegate-tmp"
    for left in (old, young):
        left.touch()
    os.utime(old, (1, 1))
    STORAGE.put_atomic(tmp_path / "source", str(tmp_path / "a.csv"))
    assert not old.exists()
    assert young.exists()

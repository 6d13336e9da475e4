"""The commit that a folder is checked out at, read from `.git` itself: a process for it would cost more than a receipt.

Whether files differ from it follows from git's index: size and time of each file, and its content where they differ.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

__all__ = ["Checkout", "checkout_of"]

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_MOST_FILES = 2_000
"""In the index; of a larger tree it is not looked at whether files differ."""
_CODE = (".yaml", ".yml", ".py", ".sql")
"""A file of such a kind that git does not know is a difference too."""


class Checkout(NamedTuple):
    """`dirty`: whether files below the folder differ from `commit`; None where that is not known."""

    commit: str
    dirty: bool | None


def checkout_of(folder: Path) -> Checkout | None:
    """None where `folder` is in no repository, or in one that cannot be read here. Never raises."""
    try:
        for parent in (folder, *folder.parents):
            if (parent / ".git").exists():
                private, common = _git_folders(parent / ".git")
                commit = _head(private, common)
                return None if commit is None else Checkout(commit, _is_dirty(private / "index", parent, folder))
    except (OSError, ValueError, struct.error):
        pass
    return None


def _git_folders(dot_git: Path) -> tuple[Path, Path]:
    """The work tree's own folder, and that of the repository, which differ for a linked work tree."""
    private = dot_git
    if dot_git.is_file():  # "gitdir: /repository/.git/worktrees/name"
        private = (dot_git.parent / dot_git.read_text().partition(":")[2].strip()).resolve()
    shared = private / "commondir"
    return private, (private / shared.read_text().strip()).resolve() if shared.is_file() else private


def _head(private: Path, common: Path) -> str | None:
    said = (private / "HEAD").read_text().strip()
    for _ in range(5):
        if not said.startswith("ref:"):
            return said if _COMMIT.fullmatch(said) else None
        name = said.partition(":")[2].strip()
        loose = next((folder / name for folder in (private, common) if (folder / name).is_file()), None)
        said = loose.read_text().strip() if loose is not None else _packed(common).get(name, "")
    return None


def _packed(common: Path) -> Mapping[str, str]:
    packed = common / "packed-refs"
    if not packed.is_file():
        return {}
    lines = (line.split(" ", 1) for line in packed.read_text().splitlines() if line[:1] not in {"#", "^", ""})
    return {name: commit for commit, name in lines}


def _is_dirty(index: Path, tree: Path, folder: Path) -> bool | None:
    with index.open("rb") as file:
        data = file.read(12)
        signature, version, count = struct.unpack(">4sII", data)
        if signature != b"DIRC" or version not in {2, 3} or count > _MOST_FILES:
            return None
        data += file.read()
    below = folder.relative_to(tree).as_posix()
    prefix = "" if below == "." else f"{below}/"
    known: set[str] = set()
    end = 12
    for entry in _entries(data, count):
        end = entry.end
        if entry.path.startswith(prefix):
            known.add(entry.path)
            if entry.differs(tree / entry.path):
                return True
    if any(path not in known for path in _code_below(folder, prefix)):
        return True
    # What is added and not committed yet differs from the commit, though not from the index.
    return False if _is_committed(data[end:]) else None


class _Entry(NamedTuple):
    path: str
    modified: tuple[int, int]
    size: int
    blob: bytes
    end: int

    def differs(self, file: Path) -> bool:
        try:
            found = file.stat()
        except FileNotFoundError:
            return True
        if found.st_size & 0xFFFFFFFF != self.size:
            return True
        if divmod(found.st_mtime_ns, 1_000_000_000) == self.modified:
            return False
        data = file.read_bytes()
        make = hashlib.sha1 if len(self.blob) == 20 else hashlib.sha256
        return make(b"blob %d\0" % len(data) + data).digest() != self.blob


def _entries(data: bytes, count: int) -> Iterator[_Entry]:
    at = 12
    for _ in range(count):
        numbers = struct.unpack(">10I20sH", data[at : at + 62])
        extended = 2 if numbers[11] & 0x4000 else 0
        begin = at + 62 + extended
        end = data.index(b"\0", begin)
        path = data[begin:end].decode("utf-8", "surrogateescape")
        at += (62 + extended + (end - begin) + 8) // 8 * 8
        yield _Entry(path, (numbers[2], numbers[3]), numbers[9], numbers[10], at)


def _is_committed(extensions: bytes) -> bool:
    """Whether git's cached tree of the whole index is valid: adding a file makes it invalid, a commit makes it anew."""
    at = 0
    while at + 8 <= len(extensions) - 20:
        name, size = struct.unpack(">4sI", extensions[at : at + 8])
        if name == b"TREE":
            root = extensions[at + 8 : at + 8 + size]
            return not root.partition(b"\0")[2].startswith(b"-1")
        at += 8 + size
    return False


def _code_below(folder: Path, prefix: str) -> Iterator[str]:
    seen = 0
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__pycache__"]
        for name in files:
            seen += 1
            if seen > _MOST_FILES:
                return
            if name.endswith(_CODE):
                yield prefix + Path(place, name).relative_to(folder).as_posix()

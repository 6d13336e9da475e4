"""The files of a dags root, and those beside the pipelines by which these are judged: found once a scan."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from sluicegate.discovery.code_deps import imports, needs
from sluicegate.pipeline import Pipeline
from sluicegate.pipeline.read.draft import Draft
from sluicegate.pipeline.walk import IGNORE, SUFFIXES, skip_unlisted

__all__ = ["MAY_BE_EMPTY", "Code", "walk"]

MAY_BE_EMPTY = ".sluicegate-empty"
"""The file in a dags root that says: where there is no pipeline here, they were deleted on purpose."""


def walk(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """All files below `root` that may matter, in a stable order; what is hidden or compiled does not.

    Links are followed, but not into a folder that contains them.

    :raises OSError: when a folder cannot be listed, as on a lost file system
    """
    around: dict[str, tuple[str, ...]] = {}
    for folder, folders, files in os.walk(root, onerror=skip_unlisted, followlinks=True):
        real = os.path.realpath(folder)
        above = around.get(os.path.dirname(folder), ())  # noqa: PTH120
        if real in above:
            folders.clear()
            continue
        around[folder] = (*above, real)
        folders[:] = sorted(name for name in folders if name != "__pycache__" and not name.startswith("."))
        for name in sorted(files):
            if name.startswith(".") and name not in (IGNORE, MAY_BE_EMPTY):
                continue
            path = os.path.join(folder, name)  # noqa: PTH118 - called for every file at every refresh
            try:
                status = os.stat(path)  # noqa: PTH116
            except OSError:
                continue  # deleted meanwhile, or a link to nowhere or to itself
            if stat.S_ISREG(status.st_mode):  # reading a pipe would never end
                yield path, status


class Code:
    """The files beside the pipelines: each one's digest, and one of all of them, found once a scan."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._one: dict[str, str] = {}
        self._imported: dict[str, frozenset[str]] = {}
        self._all: str | None = None
        self._newest = 0.0

    def of(self, draft: Draft) -> str:
        """What the draft was judged by. With errors in it, that may be any file: one may be missing."""
        if not draft.is_good:
            return self.whole()
        return "\n".join(self.of_pipeline(pipeline) for pipeline in draft.pipelines)

    def of_pipeline(self, pipeline: Pipeline) -> str:
        """Of the files that it names, and of those that they import."""
        found = set(needs(pipeline))
        left = [path for path in found if path.endswith(".py")]
        while left:
            further = self._imports(left.pop()) - found
            found |= further
            left += further
        return " ".join(f"{path}={self._digest(path)}" for path in sorted(found))

    def whole(self) -> str:
        if self._all is None:
            digest = hashlib.sha256()
            for path, status in walk(self._root):
                if not path.endswith(SUFFIXES):
                    self._newest = max(self._newest, status.st_ctime)
                    entry = f"{path}\0{status.st_ctime_ns}\0{status.st_size}\0{status.st_ino}\0"
                    digest.update(entry.encode(errors="surrogateescape"))
            self._all = digest.hexdigest()
        return self._all

    def _imports(self, path: str) -> frozenset[str]:
        if path not in self._imported:
            try:
                there = imports(path, (self._root / path).read_bytes())
            except (OSError, ValueError):
                there = frozenset()
            self._imported[path] = frozenset(each for each in there if self._digest(each) != "-")
        return self._imported[path]

    def newest(self) -> float:
        """When the newest of them changed."""
        self.whole()
        return self._newest

    def _digest(self, path: str) -> str:
        if path not in self._one:
            try:
                self._one[path] = hashlib.sha256((self._root / path).read_bytes()).hexdigest()
            except OSError:
                self._one[path] = "-"
        return self._one[path]

"""A folder of stubs kept the same as the pipeline files of a dags root: shards of good ones, one for each bad file.

Airflow 3.3 lists Python files only. A stub is only written when it changes: its time of change is what makes Airflow
parse it at once. Where nothing changed, a refresh costs one walk through the tree.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from sluicegate.discovery.code_digest import walk
from sluicegate.discovery.scan import Survey, survey
from sluicegate.discovery.scan_cache import world
from sluicegate.discovery.snapshots import publish
from sluicegate.discovery.store import Home, sweep, write_whole
from sluicegate.discovery.stubs import (
    LEAST,
    SHARDS,
    STUB_SUFFIX,
    by_shard,
    error_name,
    error_stub,
    shard_name,
    shard_of,
    shard_stub,
)
from sluicegate.pipeline.text.environment import Environment
from sluicegate.pipeline.walk import yaml_files

__all__ = ["SHARD_SIZE", "Mirror"]

SHARD_SIZE = 50
"""Pipelines a shard, on average. Fewer: more processes to parse all of them; more: more to parse when one changes."""

_SETTLED = 2.0
"""Seconds after which a second change of a file cannot have the same time of change as the first."""

_SHRINK = 4

_PARSING = 10.0
"""Seconds after which no parse is under way any more that began before a stub changed."""

_Due = tuple[float, str]
"""A stub to be parsed once more, and when: seconds since the epoch."""


@dataclass(frozen=True)
class Mirror:
    """Keeps `home` up to date with `root`. Any number of processes may do so at once.

    :param size: pipelines a shard
    :param snapshots: where each state of the tree is kept, for runs that are pinned to it
    :param stale_after: seconds by which the last parse of a file must be newer than that of a DAG in it, for Airflow to
        take the DAG for deleted: its `[dag_processor] stale_dag_threshold`
    """

    root: Path
    home: Home
    lock: Callable[[], AbstractContextManager[None]]
    environment: Environment
    size: int = SHARD_SIZE
    snapshots: Path | None = None
    stale_after: float = 50.0

    def refresh(self) -> Survey | None:
        """Make the stubs what the tree says. None where nothing had to be looked at.

        :raises FileNotFoundError: when the root does not exist; what was mirrored stays as it is
        """
        if not self.root.is_dir():
            raise FileNotFoundError(f"the dags root {self.root} does not exist; its pipelines stay as they were")
        known = self._known()
        if self._is_current(known):
            if any(due <= time.time() for due, _ in _again(known)):
                with self.lock():
                    known = self._known()
                    self._write({**known, "again": self._have_parsed(_again(known))})
            return None
        with self.lock():
            # Taken before the files are read: a change while they are read is then seen the next time.
            state, newest = self._state()
            known = self._known()
            if self._is_current(known, state):
                return None
            found = survey(self.root, self.home, self.environment)
            shards = self._count(known, found)
            wanted = _stubs(self.root, found, shards)
            # First, so that there is a snapshot of whatever Airflow is shown.
            version = self._publish(found, wanted)
            for name, text in wanted.items():
                write_whole(self.home.stubs / name, text.encode())
            for name in sorted(self._present() - wanted.keys()):
                _remove(self.home.stubs / name, self.home.stubs)
            again = self._have_parsed([*_again(known), *self._parted(known, found)])
            self._sweep()
            settled = state if state == self._state()[0] and time.time() - newest > _SETTLED else ""
            files = {name: entry.file for name, entry in found.entries.items()}
            told = {"state": settled, "shards": shards, "version": version, "pipelines": files, "again": again}
            self._write({**told, "errors": dict(found.errors), "size": self.size, "stubs": sorted(wanted)})
        return found

    def provide_stubs(self) -> None:
        """Let a worker have the stub of any shard: what it needs of its pipeline it finds out when it parses one."""
        if not self.home.has_stubs():
            count = self._most(len(yaml_files(self.root)) if self.root.is_dir() else 0)
            # The one that tells that all are there comes last.
            for number in (*range(LEAST, count), *range(LEAST)):
                write_whole(self.home.stubs / shard_name(number), shard_stub(self.root, {}).encode())

    def version(self) -> str | None:
        """Of the tree as it was mirrored last; None where no snapshots are kept."""
        found = self._known().get("version")
        return str(found) if found else None

    def errors(self) -> dict[str, str]:
        """What was wrong with which file when the tree was mirrored last."""
        found = self._known().get("errors")
        return {str(file): str(text) for file, text in found.items()} if isinstance(found, dict) else {}

    def pipelines(self) -> dict[str, str]:
        """The file of each pipeline that was scheduled when the tree was mirrored last, by its name."""
        return _pipelines(self._known())

    def _known(self) -> dict[str, object]:
        try:
            known = json.loads(self.home.fingerprint.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    def _is_current(self, known: Mapping[str, object], seen: str = "") -> bool:
        """:param seen: the state of the tree, where it is known already"""
        state, names = known.get("state"), known.get("stubs")
        if not state or not isinstance(names, list) or bool(self.snapshots) != bool(known.get("version")):
            return False
        return state == (seen or self._state()[0]) and set(names) == self._present()

    def _write(self, known: Mapping[str, object]) -> None:
        write_whole(self.home.fingerprint, json.dumps(known).encode())

    def _parted(self, known: Mapping[str, object], found: Survey) -> list[_Due]:
        """The shards that a pipeline has just left for good, and when to have each parsed once more.

        Airflow takes a DAG for deleted when a parse of its file came long enough after the last one that had it. The
        parse that the deletion causes may come too soon for that, and the next comes after `min_file_process_interval`.
        """
        shards = known.get("shards")
        if not isinstance(shards, int):
            return []
        left = {shard_name(shard_of(name, shards)) for name in _pipelines(known).keys() - found.entries.keys()}
        return [(time.time() + self.stale_after + _PARSING, name) for name in sorted(left)]

    def _have_parsed(self, again: Iterable[_Due]) -> list[_Due]:
        """Have Airflow parse the stubs whose time has come, by their time of modification. Those that are left."""
        now = time.time()
        left = []
        for due, name in again:
            if due > now:
                left.append((due, name))
                continue
            with suppress(FileNotFoundError):  # and its DAGs went with it
                os.utime(self.home.stubs / name)
        return left

    def _state(self) -> tuple[str, float]:
        """A digest that changes with any file below the root, and when the newest of them changed.

        The time of change, unlike that of modification, cannot be set: not by a checkout, not by a copy.
        """
        seen = self.environment.digest()
        digest = hashlib.sha256(f"{world()}\0{self.root}\0{self.size}\0{seen}\0".encode(errors="surrogateescape"))
        newest = 0.0
        for path, status in walk(self.root):
            newest = max(newest, status.st_ctime)
            entry = f"{path}\0{status.st_ctime_ns}\0{status.st_size}\0{status.st_ino}\0"
            digest.update(entry.encode(errors="surrogateescape"))
        if self.home.complaints.is_dir():
            for each in sorted(os.scandir(self.home.complaints), key=lambda entry: entry.name):
                digest.update(f"{each.name}\0{each.stat().st_mtime_ns}\0".encode(errors="surrogateescape"))
        return digest.hexdigest(), newest

    def _count(self, known: Mapping[str, object], found: Survey) -> int:
        """How many shards: as many as are needed, but a few pipelines less do not move all the others.

        Never near so many that a worker could lack one: it knows how many files there are, not what a `matrix:` makes.
        """
        files = {entry.file for entry in found.entries.values()} | found.errors.keys()
        limit = self._most(len(files)) // 2
        needed = min(ceil(len(found.entries) / self.size), limit)
        before = known.get("shards") if known.get("size") == self.size else None
        return before if isinstance(before, int) and needed <= before <= min(needed * _SHRINK, limit) else needed

    def _most(self, files: int) -> int:
        """For how many shards a worker that knows nothing yet keeps a stub."""
        return max(LEAST, _SHRINK * ceil(files / self.size))

    def _present(self) -> set[str]:
        stubs = self.home.stubs
        return {
            path.relative_to(stubs).as_posix()
            for path in stubs.rglob(f"*{STUB_SUFFIX}")
            if "__pycache__" not in path.parts
        }

    def _publish(self, found: Survey, stubs: Mapping[str, str]) -> str:
        if self.snapshots is None:
            return ""
        shards = {name: text for name, text in stubs.items() if name.startswith(f"{SHARDS}/")}
        return publish(self.snapshots, self.root, self.home, found.entries, shards, before=self.version())

    def _sweep(self) -> None:
        home = self.home
        for folder in (home.folder, home.entries, home.complaints, home.older("").parent, home.stubs / SHARDS):
            for draft in sweep(folder):
                draft.unlink(missing_ok=True)


def _pipelines(known: Mapping[str, object]) -> dict[str, str]:
    found = known.get("pipelines")
    return {str(name): str(file) for name, file in found.items()} if isinstance(found, dict) else {}


def _again(known: Mapping[str, object]) -> list[_Due]:
    found = known.get("again")
    return [(due, name) for due, name in found] if isinstance(found, list) else []


def _stubs(root: Path, found: Survey, shards: int) -> dict[str, str]:
    """The text of every stub, by its path relative to the folder of stubs."""
    texts = {
        shard_name(number): shard_stub(root, {name: found.entries[name].digest() for name in names})
        # The last first: what moves to a new shard is there before it goes, and what moves from one as well.
        for number, names in reversed(by_shard(found.entries, shards).items())
    }
    return texts | {error_name(file): error_stub(file, text) for file, text in found.errors.items()}


def _remove(path: Path, folder: Path) -> None:
    """Remove a stub and the folders that it leaves empty, `folder` excepted."""
    path.unlink(missing_ok=True)
    parent = path.parent
    while parent != folder:
        try:
            parent.rmdir()
        except OSError:
            return  # something else is in it
        parent = parent.parent

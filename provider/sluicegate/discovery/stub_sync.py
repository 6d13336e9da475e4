"""A folder of stubs kept the same as the pipeline files of a dags root: shards of good ones, one for each bad file.

Airflow 3.3 lists Python files only. A stub is only written when it changes: its time of change is what makes Airflow
parse it at once. Where nothing changed, a refresh costs one walk through the tree.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

from sluicegate.discovery.cache import write_whole
from sluicegate.discovery.code_digest import walk
from sluicegate.discovery.installed import installed_form
from sluicegate.discovery.lost_root import NAME, is_lost, lost_message
from sluicegate.discovery.scan import ScanResult, scan
from sluicegate.discovery.snapshots import publish
from sluicegate.discovery.store import BUILD_FAILURES, BundleStore
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
from sluicegate.discovery.sync_state import Reparse, SyncState
from sluicegate.pipeline.text.environment import Environment
from sluicegate.pipeline.walk import yaml_files

__all__ = ["SHARD_SIZE", "StubSync"]

SHARD_SIZE = 50
"""Pipelines a shard, on average. Fewer: more processes to parse all of them; more: more to parse when one changes."""

_SETTLED = 2.0
"""Seconds after which a second change of a file cannot have the same time of change as the first."""

_SHRINK = 4

_PARSING = 10.0
"""Seconds after which no parse is under way any more that began before a stub changed."""


@dataclass(frozen=True)
class StubSync:
    """Keeps `store` up to date with `root`. Any number of processes may do so at once.

    :param size: pipelines a shard
    :param snapshots: where each state of the tree is kept, for runs that are pinned to it
    :param stale_after: seconds by which the last parse of a file must be newer than that of a DAG in it, for Airflow to
        take the DAG for deleted: its `[dag_processor] stale_dag_threshold`
    """

    root: Path
    store: BundleStore
    lock: Callable[[], AbstractContextManager[None]]
    environment: Environment
    size: int = SHARD_SIZE
    snapshots: Path | None = None
    stale_after: float = 50.0

    def refresh(self) -> ScanResult | None:
        """Make the stubs what the tree says. None where nothing had to be looked at.

        :raises FileNotFoundError: when the root does not exist; what was scheduled stays as it is
        """
        if not self.root.is_dir():
            raise FileNotFoundError(
                f"the dags root {self.root} does not exist; its pipelines keep their last good versions"
            )
        known = self.state()
        if self._is_current(known):
            if any(each.due <= time.time() for each in known.again):
                with self.lock():
                    known = self.state()
                    self._write(replace(known, again=self._have_parsed(known.again)))
            return None
        with self.lock():
            # Taken before the files are read: a change while they are read is then seen the next time.
            tree, newest = self._tree()
            known = self.state()
            if self._is_current(known, tree):
                return None
            lost = is_lost(self.root, self.store)
            found = self._kept(known) if lost else scan(self.root, self.store, self.environment)
            shards = self._count(known, found)
            wanted = _stubs(self.root, found, shards)
            # First, so that there is a snapshot of whatever Airflow is shown.
            version = known.version if lost else self._publish(found, wanted, known.version)
            self._put(wanted)
            again = self._have_parsed([*known.again, *self._parted(known, found)])
            self.store.sweep()
            self._write(
                SyncState(
                    tree=tree if time.time() - newest > _SETTLED and tree == self._tree()[0] else "",
                    size=self.size,
                    shards=shards,
                    version=version,
                    pipelines={name: each.file for name, each in found.pipelines.items()},
                    errors=found.errors,
                    stubs=tuple(sorted(wanted)),
                    again=again,
                )
            )
        return found

    def provide_stubs(self) -> None:
        """Let a worker have the stub of any shard: what it needs of its pipeline it finds out when it parses one."""
        if not self.store.has_stubs():
            count = self._most(len(yaml_files(self.root)) if self.root.is_dir() else 0)
            # The one that says that all are there comes last.
            for number in (*range(LEAST, count), *range(LEAST)):
                write_whole(self.store.stubs / shard_name(number), shard_stub(self.root, {}).encode())

    def state(self) -> SyncState:
        """Of the tree of which the stubs were made."""
        return SyncState.read(self.store.sync_state)

    def _is_current(self, known: SyncState, tree: str = "") -> bool:
        """:param tree: the state of the tree, where it is known already"""
        if not known.tree or bool(self.snapshots) != bool(known.version):
            return False
        return known.tree == (tree or self._tree()[0]) and set(known.stubs) == self._present()

    def _write(self, state: SyncState) -> None:
        state.write(self.store.sync_state)

    def _kept(self, known: SyncState) -> ScanResult:
        """What was scheduled before the root was lost, and that it is."""
        names = known.pipelines or self.store.names()
        pipelines = {name: each for name in names if (each := self.store.pipeline(name)) is not None}
        return ScanResult(pipelines, {**known.errors, NAME: lost_message(self.root, self.store)})

    def _put(self, stubs: Mapping[str, str]) -> None:
        """Have those stubs and no others."""
        for name, text in stubs.items():
            write_whole(self.store.stubs / name, text.encode())
        for name in sorted(self._present() - stubs.keys()):
            _remove(self.store.stubs / name, self.store.stubs)

    def _parted(self, known: SyncState, found: ScanResult) -> list[Reparse]:
        """The shards that a pipeline has just left for good, and when to have each parsed once more.

        Airflow takes a DAG for deleted when a parse of its file came long enough after the last one that had it. The
        parse that the deletion causes may come too soon for that, and the next comes after `min_file_process_interval`.
        """
        if known.shards is None:
            return []
        left = {shard_name(shard_of(name, known.shards)) for name in known.pipelines.keys() - found.pipelines.keys()}
        return [Reparse(time.time() + self.stale_after + _PARSING, name) for name in sorted(left)]

    def _have_parsed(self, again: Iterable[Reparse]) -> tuple[Reparse, ...]:
        """Have Airflow parse the stubs whose time has come, by their time of modification. Those that are left."""
        now = time.time()
        left = []
        for each in again:
            if each.due > now:
                left.append(each)
                continue
            with suppress(FileNotFoundError):  # and its DAGs went with it
                os.utime(self.store.stubs / each.stub)
        return tuple(left)

    def _tree(self) -> tuple[str, float]:
        """A digest that changes with any file below the root, and when the newest of them changed.

        The time of change, unlike that of modification, cannot be set: not by a checkout, not by a copy.
        """
        seen = self.environment.digest()
        head = f"{installed_form()}\0{self.root}\0{self.size}\0{seen}\0"
        digest = hashlib.sha256(head.encode(errors="surrogateescape"))
        newest = 0.0
        for path, status in walk(self.root):
            newest = max(newest, status.st_ctime)
            entry = f"{path}\0{status.st_ctime_ns}\0{status.st_size}\0{status.st_ino}\0"
            digest.update(entry.encode(errors="surrogateescape"))
        for key in self.store.cache.keys(BUILD_FAILURES):
            digest.update(f"{key}\0".encode())
        return digest.hexdigest(), newest

    def _count(self, known: SyncState, found: ScanResult) -> int:
        """How many shards: as many as are needed, but a few pipelines less do not move all the others.

        Never near so many that a worker could lack one: it knows how many files there are, not what a `matrix:` makes.
        """
        files = {each.file for each in found.pipelines.values()} | found.errors.keys()
        limit = self._most(len(files)) // 2
        needed = min(ceil(len(found.pipelines) / self.size), limit)
        before = known.shards if known.size == self.size else None
        return before if before is not None and needed <= before <= min(needed * _SHRINK, limit) else needed

    def _most(self, files: int) -> int:
        """For how many shards a worker that knows nothing yet keeps a stub."""
        return max(LEAST, _SHRINK * ceil(files / self.size))

    def _present(self) -> set[str]:
        stubs = self.store.stubs
        return {
            path.relative_to(stubs).as_posix()
            for path in stubs.rglob(f"*{STUB_SUFFIX}")
            if "__pycache__" not in path.parts
        }

    def _publish(self, found: ScanResult, stubs: Mapping[str, str], before: str) -> str:
        if self.snapshots is None:
            return ""
        shards = {name: text for name, text in stubs.items() if name.startswith(f"{SHARDS}/")}
        return publish(self.snapshots, self.root, self.store, found.pipelines, shards, before=before or None)


def _stubs(root: Path, found: ScanResult, shards: int) -> dict[str, str]:
    """The text of every stub, by its path relative to the folder of stubs."""
    texts = {
        shard_name(number): shard_stub(root, {name: found.pipelines[name].digest() for name in names})
        # The last first: what moves to a new shard is there before it goes, and what moves from one as well.
        for number, names in reversed(by_shard(found.pipelines, shards).items())
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

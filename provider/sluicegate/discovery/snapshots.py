"""States of a dags root, each in one file named by its digest: what a run began with, it goes on with.

The folder is one that all machines see. A snapshot holds the tree, code and jobs included, and the compiled
pipelines and shards that were made of it.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from sluicegate.discovery.cache import draft_of, sweep
from sluicegate.discovery.code_digest import walk
from sluicegate.discovery.compiled import CompiledPipeline
from sluicegate.discovery.store import BundleStore

__all__ = ["KEEP_DAYS", "fetch", "publish", "version_of"]

_SUFFIX = ".tar.gz"
KEEP_DAYS = 90
"""How long after it was the newest one a snapshot is kept: as long as a run may take, or be cleared again."""

Piece = tuple[str, bytes, int]
"""A file of the tree: its path below the dags root, what is in it, its mode."""


def version_of(root: Path, pipelines: Mapping[str, CompiledPipeline]) -> str:
    """The digest of all that a snapshot would hold: the same on every machine with the same files."""
    return _digest(((name, data) for name, data, _ in _tree(root)), pipelines)


def publish(
    folder: Path,
    root: Path,
    store: BundleStore,
    pipelines: Mapping[str, CompiledPipeline],
    shards: Mapping[str, str],
    before: str | None,
) -> str:
    """Put the present state into `folder`, unless it is there; remove what no run can need any more.

    :param pipelines: what is scheduled, as `store` has it
    :param shards: the text of each shard's stub, by its path below the folder of stubs
    :param before: the version that was the newest until now
    :returns: the version of what was put there
    """
    folder.mkdir(parents=True, exist_ok=True)
    version = version_of(root, pipelines)
    if not (folder / (version + _SUFFIX)).exists():
        draft = draft_of(folder / version)
        try:
            # Named by what was written, should a file have changed since.
            version = _write(draft, root, store, pipelines, shards)
            draft.replace(folder / (version + _SUFFIX))
        finally:
            draft.unlink(missing_ok=True)
    for newest in {version, before or version}:
        with suppress(FileNotFoundError):
            os.utime(folder / (newest + _SUFFIX))
    _prune(folder, folder / (version + _SUFFIX))
    return version


def fetch(folder: Path, version: str, into: Path) -> None:
    """Make `into` the store of a snapshot. Any number of processes may do so at once.

    :raises FileNotFoundError: when there is no such snapshot
    """
    if BundleStore(into).tree.is_dir():
        return
    source = folder / (version + _SUFFIX)
    if not source.is_file():
        raise FileNotFoundError(
            f"there is no snapshot {version} in {folder}: either this machine does not see the folder in which the "
            f"dag-processor keeps them, or it is older than {KEEP_DAYS} days; clear the task with "
            "`run on latest version` to go on with the files as they are now"
        )
    into.parent.mkdir(parents=True, exist_ok=True)
    for abandoned in sweep(into.parent):
        shutil.rmtree(abandoned, ignore_errors=True)
    draft = draft_of(into)
    try:
        with tarfile.open(source) as archive:
            _unpack(archive, draft)
        BundleStore(draft).tree.mkdir(exist_ok=True)
        _put(draft, into)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _unpack(archive: tarfile.TarFile, folder: Path) -> None:
    """What `_write` wrote: files, all of them below `folder`. (`filter="data"` is there since Python 3.11.4 only.)"""
    folder.mkdir(parents=True, exist_ok=True)
    for member in archive:
        data = archive.extractfile(member) if member.isreg() else None
        if data is None or member.name.startswith("/") or ".." in PurePosixPath(member.name).parts:
            raise ValueError(f"{member.name!r} is nothing that a snapshot holds: who wrote this one?")
        target = folder / member.name
        target.parent.mkdir(parents=True, exist_ok=True)
        with data, target.open("wb") as file:
            shutil.copyfileobj(data, file)
        target.chmod(member.mode & 0o755)


def _put(draft: Path, into: Path) -> None:
    """Give the whole of `draft` the name `into`, unless another process was faster."""
    try:
        draft.rename(into)
    except OSError:
        if BundleStore(into).tree.is_dir():
            return
        shutil.rmtree(into, ignore_errors=True)  # what is left of one that was removed
        draft.rename(into)


def _digest(tree: Iterable[tuple[str, bytes]], pipelines: Mapping[str, CompiledPipeline]) -> str:
    digest = hashlib.sha256()
    for name, data in tree:
        digest.update(f"{name}\0{hashlib.sha256(data).hexdigest()}\0".encode(errors="surrogateescape"))
    for name in sorted(pipelines):
        digest.update(f"{name}\0{pipelines[name].digest()}\0".encode())
    return digest.hexdigest()[:40]


def _tree(root: Path) -> Iterator[Piece]:
    for path, status in walk(root):
        try:
            data = Path(path).read_bytes()
        except OSError:
            continue  # deleted meanwhile, or not readable here
        yield os.path.relpath(path, root), data, status.st_mode & 0o777


def _write(
    draft: Path, root: Path, store: BundleStore, pipelines: Mapping[str, CompiledPipeline], shards: Mapping[str, str]
) -> str:
    """Returns the digest of what was written."""
    with tarfile.open(draft, "w:gz", compresslevel=1) as archive:

        def written() -> Iterator[tuple[str, bytes]]:
            for name, data, mode in _tree(root):
                _add(archive, f"tree/{name}", data, mode)
                yield name, data

        version = _digest(written(), pipelines)
        for each in pipelines.values():
            for path in store.files_of(each):
                _add(archive, path.relative_to(store.folder).as_posix(), path.read_bytes())
        for name, text in shards.items():
            _add(archive, f"{store.stubs.name}/{name}", text.encode())
    return version


def _add(archive: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), mode
    archive.addfile(member, io.BytesIO(data))


def _prune(folder: Path, newest: Path) -> None:
    oldest = time.time() - KEEP_DAYS * 86400
    for each in folder.glob(f"*{_SUFFIX}"):
        with suppress(FileNotFoundError):  # another process was faster
            if each != newest and each.stat().st_mtime < oldest:
                each.unlink()
    for draft in sweep(folder):
        draft.unlink(missing_ok=True)

"""States of a dags root, each in one file named by its digest: what a run began with, it goes on with.

The folder is one that all machines see. A snapshot holds the tree, code and jobs included, and the entries and
shards that were made of it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

from sluicegate.factory.entry import Entry
from sluicegate.factory.home import Home
from sluicegate.factory.survey import walk

__all__ = ["KEEP_DAYS", "fetch", "publish", "version_of"]

_SUFFIX = ".zip"
KEEP_DAYS = 90
"""How long after it was the newest one a snapshot is kept: as long as a run may take, or be cleared again."""


def version_of(root: Path, entries: Mapping[str, Entry]) -> str:
    """The digest of all that a snapshot would hold: the same on every machine with the same files."""
    digest = hashlib.sha256()
    for path, _ in walk(root):
        name = os.path.relpath(path, root)
        try:
            content = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        except FileNotFoundError:
            continue
        digest.update(f"{name}\0{content}\0".encode(errors="surrogateescape"))
    for name in sorted(entries):
        digest.update(f"{name}\0{entries[name].digest()}\0".encode())
    return digest.hexdigest()[:40]


def publish(folder: Path, version: str, root: Path, home: Home, before: str | None) -> None:
    """Put the present state into `folder`, unless it is there; remove what nobody can need any more.

    :param before: the version that was the newest until now
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / (version + _SUFFIX)
    if before and before != version and (old := folder / (before + _SUFFIX)).exists():
        os.utime(old)
    if target.exists():
        os.utime(target)
    else:
        draft = folder / f".{version}.{os.getpid()}.draft"
        try:
            _write(draft, root, home)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    _prune(folder, target)


def fetch(folder: Path, version: str, into: Path) -> None:
    """Make `into` the home of a snapshot. Any number of processes may do so at once.

    :raises FileNotFoundError: when there is no such snapshot
    """
    if Home(into).tree.is_dir():
        return
    source = folder / (version + _SUFFIX)
    if not source.is_file():
        raise FileNotFoundError(
            f"there is no snapshot {version} in {folder}: either this machine does not see the folder in which the "
            f"dag-processor keeps them, or it is older than {KEEP_DAYS} days; clear the task with "
            "`run on latest version` to go on with the files as they are now"
        )
    draft = into.with_name(f".{into.name}.{os.getpid()}.draft")
    try:
        with zipfile.ZipFile(source) as archive:
            archive.extractall(draft)
        Home(draft).tree.mkdir(exist_ok=True)
        try:
            draft.rename(into)
        except OSError:
            if not Home(into).tree.is_dir():
                raise  # another process was not simply faster
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write(draft: Path, root: Path, home: Home) -> None:
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path, _ in walk(root):
            _add(archive, path, f"tree/{os.path.relpath(path, root)}")
        for kept in (home.entries, home.stubs / "shards"):
            for each in sorted(kept.glob("[!.]*")) if kept.is_dir() else ():
                if each.is_file():
                    _add(archive, str(each), each.relative_to(home.folder).as_posix())


def _add(archive: zipfile.ZipFile, path: str, name: str) -> None:
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return  # deleted meanwhile: the next state is without it
    archive.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)


def _prune(folder: Path, newest: Path) -> None:
    oldest = time.time() - KEEP_DAYS * 86400
    for each in folder.glob(f"*{_SUFFIX}"):
        try:
            if each != newest and each.stat().st_mtime < oldest:
                each.unlink()
        except FileNotFoundError:
            continue  # another process was faster

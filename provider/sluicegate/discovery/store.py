"""What a bundle keeps in Airflow's storage: stubs for Airflow, an entry for each pipeline, what was seen before.

Every file is written whole or not at all. Any number of processes may write at once: each of them writes something
that is right by itself.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sluicegate.discovery.compiled import Entry, dump, load
from sluicegate.discovery.stubs import LEAST, shard_name

__all__ = ["Complaint", "Home", "draft_of", "sweep", "write_whole"]

_DRAFT = ".draft"
_ABANDONED = 86400.0
"""Seconds after which a draft is one of a process that was killed."""


@dataclass(frozen=True)
class Complaint:
    """Why a pipeline could not be built, and when that was (seconds since the epoch)."""

    text: str
    time: float


@dataclass(frozen=True)
class Home:
    """`folder` need not exist."""

    folder: Path

    @property
    def stubs(self) -> Path:
        return self.folder / "stubs"

    @property
    def tree(self) -> Path:
        """In a snapshot, the dags root as it was."""
        return self.folder / "tree"

    @property
    def memory(self) -> Path:
        """What the last look at the tree found, for the next one."""
        return self.folder / "memory"

    @property
    def fingerprint(self) -> Path:
        """What the tree was like when the stubs were made of it. Where there is none, nobody keeps this home."""
        return self.folder / "tree.json"

    def has_stubs(self) -> bool:
        """Whether there is one for every shard that Airflow may name when a task starts."""
        return self.fingerprint.exists() or (self.stubs / shard_name(LEAST - 1)).exists()

    @property
    def entries(self) -> Path:
        return self.folder / "pipelines"

    @property
    def complaints(self) -> Path:
        """A file for each pipeline that could not be built when Airflow parsed it, though it could before."""
        return self.folder / "complaints"

    def older(self, name: str) -> Path:
        """What the file of a pipeline said of which an older version runs, for Airflow's Code tab."""
        return self.folder / "older" / f"{name}.yaml"

    def entry(self, name: str) -> Entry | None:
        """The pipeline of that name, if there is one that can be read here."""
        try:
            return load((self.entries / name).read_bytes())
        except OSError:
            return None

    def names(self) -> list[str]:
        """Of the pipelines that there are entries of."""
        return _listed(self.entries)

    def put(self, entry: Entry) -> None:
        if entry.older:
            write_whole(self.older(entry.name), entry.text)
        write_whole(self.entries / entry.name, dump(entry))
        if not entry.older:
            self.older(entry.name).unlink(missing_ok=True)

    def forget(self, name: str) -> None:
        (self.entries / name).unlink(missing_ok=True)
        self.older(name).unlink(missing_ok=True)

    def complain(self, name: str, version: str, text: str) -> None:
        """Note that this version of a pipeline, the digest of its entry, could not be built."""
        write_whole(self.complaints / name, f"{version}\n{text}".encode(errors="replace"))

    def withdraw(self, name: str) -> None:
        """Take a complaint back."""
        (self.complaints / name).unlink(missing_ok=True)

    def complained_of(self) -> list[str]:
        """The names of pipelines that could not be built."""
        return _listed(self.complaints)

    def complaint(self, entry: Entry) -> Complaint | None:
        """Why this very version could not be built, if that was so."""
        path = self.complaints / entry.name
        try:
            text, moment = path.read_text("utf-8", "replace"), path.stat().st_mtime
        except OSError:
            return None
        digest, _, words = text.partition("\n")
        return Complaint(words, moment) if digest == entry.digest() else None


def write_whole(path: Path, data: bytes) -> bool:
    """Write `data` if it is not there already: all of it, or nothing. Returns whether it was written."""
    try:
        if path.read_bytes() == data:
            return False
    except OSError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = draft_of(path)
    try:
        draft.write_bytes(data)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return True


def draft_of(path: Path) -> Path:
    """A name beside `path` that no other process on any machine has."""
    return path.with_name(f".{secrets.token_hex(8)}{_DRAFT}")


def sweep(folder: Path) -> Iterator[Path]:
    """The drafts that killed processes left in a folder."""
    for draft in folder.glob(f".*{_DRAFT}"):
        with suppress(FileNotFoundError):
            if draft.stat().st_mtime < time.time() - _ABANDONED:
                yield draft


def _listed(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return []

"""Values of typed kinds in files, each under a key: for what can be made again, a digest of all that it was made of.

Every file is written whole or not at all, and begins with the form in which it was written: what another version
wrote counts as not there. Any number of processes may write at once.
"""

from __future__ import annotations

import hashlib
import pickle
import secrets
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

__all__ = ["Cache", "Kind", "draft_of", "key_of", "sweep", "write_whole"]

ValueT = TypeVar("ValueT")

_DRAFT = ".draft"
_ABANDONED = 86400.0
"""Seconds after which a draft is one of a process that was killed."""


@dataclass(frozen=True)
class Kind(Generic[ValueT]):
    """`name` is the folder of its files; `form` says who can read what is written here."""

    name: str
    value: type[ValueT]
    form: Callable[[], str]


@dataclass(frozen=True)
class Cache:
    """`folder` need not exist."""

    folder: Path

    def path(self, kind: Kind[ValueT], key: str) -> Path:
        return self.folder / kind.name / key

    def get(self, kind: Kind[ValueT], key: str) -> ValueT | None:
        """None for what is not there, or was written in another form."""
        try:
            head, _, body = self.path(kind, key).read_bytes().partition(b"\n")
        except OSError:
            return None
        if head != kind.form().encode():
            return None
        try:
            # The folder is Airflow's bundle storage: a process that writes there can put a DAG file there as well.
            found = pickle.loads(body)  # noqa: S301
        except Exception:
            return None
        return found if isinstance(found, kind.value) else None

    def put(self, kind: Kind[ValueT], key: str, value: ValueT) -> None:
        write_whole(self.path(kind, key), kind.form().encode() + b"\n" + pickle.dumps(value, pickle.HIGHEST_PROTOCOL))

    def forget(self, kind: Kind[ValueT], key: str) -> None:
        self.path(kind, key).unlink(missing_ok=True)

    def keys(self, kind: Kind[ValueT]) -> list[str]:
        try:
            return sorted(path.name for path in (self.folder / kind.name).iterdir() if not path.name.startswith("."))
        except FileNotFoundError:
            return []

    def keep(self, kind: Kind[ValueT], keys: Collection[str]) -> None:
        """Forget all but those."""
        for key in self.keys(kind):
            if key not in keys:
                self.forget(kind, key)


def key_of(*parts: str) -> str:
    """A key that changes with any of the parts (sha256, hex)."""
    return hashlib.sha256("\0".join(parts).encode(errors="surrogateescape")).hexdigest()


def write_whole(path: Path, data: bytes) -> None:
    """Write all of `data` or nothing, and leave a file alone that says it already."""
    try:
        if path.read_bytes() == data:
            return
    except OSError:
        pass
    draft = draft_of(path)
    try:
        try:
            draft.write_bytes(data)
        except FileNotFoundError:
            draft.parent.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(data)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def draft_of(path: Path) -> Path:
    """A name beside `path` that no other process on any machine has."""
    return path.with_name(f".{secrets.token_hex(8)}{_DRAFT}")


def sweep(folder: Path) -> Iterator[Path]:
    """The drafts that killed processes left in a folder."""
    for draft in folder.glob(f".*{_DRAFT}"):
        with suppress(FileNotFoundError):
            if draft.stat().st_mtime < time.time() - _ABANDONED:
                yield draft

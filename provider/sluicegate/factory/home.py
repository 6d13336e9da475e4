"""What a bundle keeps in Airflow's storage: stubs for Airflow, an entry for each pipeline, what was seen before.

Every file is written whole or not at all. Any number of processes may write at once: each of them writes something
that is right by itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sluicegate.factory.entry import Entry, dump, load

__all__ = ["Home", "write_whole"]

_ENTRY = ".entry"
_COMPLAINT = ".txt"


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
    def entries(self) -> Path:
        return self.folder / "pipelines"

    @property
    def complaints(self) -> Path:
        """A file for each pipeline that could not be built when Airflow parsed it, though it could before."""
        return self.folder / "complaints"

    def entry(self, name: str) -> Entry | None:
        """The pipeline of that name, if there is one that can be read here."""
        try:
            return load((self.entries / f"{name}{_ENTRY}").read_bytes())
        except OSError:
            return None

    def names(self) -> Iterator[str]:
        """Of the pipelines that there are entries of."""
        try:
            found = [path.name for path in self.entries.iterdir()]
        except FileNotFoundError:
            return
        yield from sorted(name.removesuffix(_ENTRY) for name in found if name.endswith(_ENTRY))

    def put(self, entry: Entry) -> None:
        write_whole(self.entries / f"{entry.name}{_ENTRY}", dump(entry))

    def forget(self, name: str) -> None:
        (self.entries / f"{name}{_ENTRY}").unlink(missing_ok=True)
        self.withdraw(name)

    def complain(self, entry: Entry, text: str) -> None:
        """Note that this version of a pipeline could not be built."""
        write_whole(self.complaints / f"{entry.name}{_COMPLAINT}", f"{entry.digest()}\n{text}".encode())

    def withdraw(self, name: str) -> None:
        """Take a complaint back."""
        (self.complaints / f"{name}{_COMPLAINT}").unlink(missing_ok=True)

    def complaint(self, entry: Entry) -> str | None:
        """Why this very version could not be built, if that was so."""
        try:
            text = (self.complaints / f"{entry.name}{_COMPLAINT}").read_text("utf-8", "replace")
        except OSError:
            return None
        digest, _, words = text.partition("\n")
        return words if digest == entry.digest() else None


def write_whole(path: Path, data: bytes) -> bool:
    """Write `data` if it is not there already: all of it, or nothing. Returns whether it was written."""
    try:
        if path.read_bytes() == data:
            return False
    except OSError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    draft.write_bytes(data)
    draft.replace(path)
    return True

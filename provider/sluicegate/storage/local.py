"""Files of this machine: used in place, replaced by a rename that survives a crash."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from sluicegate.faults.errors import fault
from sluicegate.graph.glob import Glob
from sluicegate.storage.part import Part, is_part
from sluicegate.storage.traces import Traces, is_spark_part, is_trace
from sluicegate.storage.uri import Address, parse_uri

__all__ = ["LocalFiles"]

_TEMPORARY = ".sluicegate-tmp"
_STALE_SECONDS = 24 * 3600


class LocalFiles:
    """One kind of place behind `Storage`. Relative paths start at the current folder."""

    def list_parts(self, address: Address) -> tuple[Part, ...]:
        return tuple(_part(uri, parse_uri(uri).path) for uri in self.part_uris(address))

    def list_folder(self, address: Address) -> tuple[tuple[Part, ...], Traces]:
        traces = self.traces(address)
        parts = self.list_parts(address)
        traces.has_spark_parts = any(is_spark_part(part.uri) for part in parts)
        return parts, traces

    def traces(self, address: Address) -> Traces:
        """What is in a folder beside its parts."""
        traces = Traces()
        for relative, modified in _marks(address.path):
            traces.see(relative, modified)
        return traces

    def part_uris(self, address: Address) -> tuple[str, ...]:
        if not address.folder:
            return (address.uri,) if address.path.is_file() else ()
        found = sorted(_walk(address.path))
        return tuple(address.child(relative) for relative, size in found if is_part(relative, size))

    def list_matching(self, folder: Address, wanted: Glob) -> tuple[Part, ...]:
        """The files below `folder` that match, sorted by name."""
        found = sorted(name for name in self.below(folder, wanted.depth) if wanted.matches(name))
        return tuple(_part(folder.child(name), folder.path / name) for name in found)

    def exists(self, address: Address) -> bool:
        """Whether there is a file."""
        return address.path.is_file()

    def sizes(self, address: Address) -> Iterator[tuple[str, int]]:
        """Path below a folder and bytes of each file; of a file, its own bytes. None of them is read."""
        if not address.folder:
            if address.path.is_file():
                yield "", address.path.stat().st_size
            return
        for name in self.below(address, None):
            with contextlib.suppress(FileNotFoundError):  # gone since the listing
                yield name, (address.path / name).stat().st_size

    def glimpse(self, address: Address) -> Iterator[tuple[str, Part]]:
        """Path below a folder and the part that each file is, with its size and time for a version; of a file, itself.

        None of them is read.
        """
        names = self.below(address, None) if address.folder else [""] if address.path.is_file() else []
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # not there, or gone since the listing
                status = (address.path / name).stat()
                uri = address.child(name) if name else address.uri
                yield name, Part(uri, status.st_size, f"{status.st_size}@{status.st_mtime_ns}", _modified(status))

    def below(self, address: Address, depth: int | None) -> Iterator[str]:
        """The paths of all files below a folder that are not empty, `depth` names deep where that is known."""
        for place, folders, names in os.walk(address.path):
            deep = len(Path(place).relative_to(address.path).parts) + 1
            for name in names if depth in (None, deep) else ():
                path = Path(place) / name
                with contextlib.suppress(FileNotFoundError):  # gone since the listing
                    if path.stat().st_size:
                        yield path.relative_to(address.path).as_posix()
            if depth is not None and deep >= depth:
                folders.clear()

    def fetch(self, part: Part, address: Address, into: Path) -> Path:
        self.verify(part, address)
        return address.path

    def verify(self, part: Part, address: Address) -> None:
        """:raises FaultError: SOURCE_MISSING or SOURCE_CHANGED when `part` is not what it was."""
        try:
            status = address.path.stat()
            if (status.st_size, _modified(status)) == (part.size, part.last_modified):
                return
            if _sha256(address.path) == part.version:
                return
        except FileNotFoundError as gone:
            raise fault("SOURCE_MISSING", f"{part.uri} is gone", uri=part.uri) from gone
        raise fault("SOURCE_CHANGED", f"{part.uri} was written to meanwhile", uri=part.uri)

    def put_atomic(self, path: Path, address: Address) -> None:
        target = address.path
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        # Hidden, so that a process that lists the folder meanwhile does not take it for a part.
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}{_TEMPORARY}")
        try:
            with path.open("rb") as source, temporary.open("xb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
                sink.flush()
                os.fsync(sink.fileno())
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)

    def delete_parts(self, addresses: tuple[Address, ...]) -> None:
        for address in addresses:
            address.path.unlink(missing_ok=True)

    def switch(self, staged: Address, address: Address) -> None:
        """Rename one file of a folder to another; `staged` is gone then.

        :raises FaultError: SOURCE_MISSING when it is gone already.
        """
        try:
            with staged.path.open("rb") as file:
                os.fsync(file.fileno())
            staged.path.replace(address.path)
        except FileNotFoundError as gone:
            raise fault("SOURCE_MISSING", f"{staged.uri} is gone", uri=staged.uri) from gone
        _sync_folder(address.path.parent)

    def tail(self, address: Address, size: int) -> bytes:
        with address.path.open("rb") as file:
            file.seek(-min(size, file.seek(0, os.SEEK_END)), os.SEEK_END)
            return file.read()

    def neighbours(self, address: Address, limit: int) -> tuple[str, ...]:
        """Names of files where `address` should be, for the message that it is missing."""
        folder = address.path if address.folder else address.path.parent
        return tuple(name for name, _ in sorted(_walk(folder))[:limit])


def _walk(folder: Path) -> Iterator[tuple[str, int]]:
    """Path below `folder`, with slashes, and size of every file; nothing when there is no such folder."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if "=" in name and not name.startswith(("_", "."))]
        for name in names:
            path = Path(place) / name
            with contextlib.suppress(FileNotFoundError):  # gone since the listing
                yield path.relative_to(folder).as_posix(), path.stat().st_size


def _marks(folder: Path) -> Iterator[tuple[str, datetime]]:
    """Path and time of what is in a folder beside its parts: markers, and what is below folders without data."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for path in folder.iterdir():
            if is_trace(path.name):
                for each in (path, *path.rglob("*")):
                    with contextlib.suppress(FileNotFoundError):
                        name = each.relative_to(folder).as_posix() + ("/" if each.is_dir() else "")
                        yield name, _modified(each.stat())


def _part(uri: str, path: Path) -> Part:
    before = path.stat()
    digest = _sha256(path)
    after = path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise fault("SOURCE_CHANGED", f"{uri} is being written", uri=uri)
    return Part(uri, before.st_size, digest, _modified(before))


def _modified(status: os.stat_result) -> datetime:
    return datetime.fromtimestamp(status.st_mtime, UTC)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sweep(target: Path) -> None:
    """Remove what writers of `target` left behind that were killed long ago."""
    for left in target.parent.glob(f".{target.name}.*{_TEMPORARY}"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                left.unlink()


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

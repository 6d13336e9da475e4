"""A folder of Parquet files as a table: what is in it, by the footers of its files, and the place for those to come.

Files whose names begin with `_` are not the table's to any reader; what is not in place yet is in `_staging/`.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluicegate.faults import fault
from sluicegate.ledger.entries import Load
from sluicegate.pipeline.keys.model import Mode
from sluicegate.records.types import ColumnType
from sluicegate.storage import Part, Storage, parse_uri
from sluicegate.targets.parquet.dialect import schema_of
from sluicegate.targets.parquet.files import DataFile, NewFile, columns_of
from sluicegate.targets.parquet.place import lake_uri
from sluicegate.targets.target import Replaced

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

__all__ = ["Lake", "StagedFile"]

_STAGING = "_staging/"
_TABLE = "part-0.parquet"
_TAIL = 1 << 16
_AT_ONCE = 8
_WORDS = 8
"""Bytes at the end of a file: the size of its footer, and a mark."""


@dataclass(frozen=True)
class StagedFile:
    """A file that is ready to take its place: its URI, that of the place, and what it is known by."""

    staged: str
    uri: str
    size: int
    sha256: str


class Lake:
    """The folder at `uri`, whose files are read and written through `storage`."""

    lost = "SOURCE_MISSING"

    def __init__(self, uri: str, storage: Storage) -> None:
        self.uri = lake_uri(uri)
        self._storage = storage
        self._is_local = self.uri.startswith("file://")

    def files(self) -> tuple[DataFile, ...]:
        """Those of the table, sorted by name.

        :raises FaultError: SCHEMA_MISMATCH when something else is in the folder, or columns differ in type.
        """
        parts, other = self._storage.table_files(self.uri)
        if other is not None:
            raise fault(
                "SCHEMA_MISMATCH", f"{self.uri} is {other}, which is not written here; load into another folder"
            )
        uris = [one if isinstance(one, str) else one.uri for one in parts]
        for uri in uris:
            name = uri.removeprefix(self.uri)
            if "/" in name or not name.endswith(".parquet"):
                raise fault(
                    "SCHEMA_MISMATCH",
                    f"{self.uri} is not a table of Parquet files alone: {name} is in it; load into another folder",
                )
        if self._is_local or len(uris) < 2:
            footers = [self._footer(uri) for uri in uris]
        else:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                footers = list(pool.map(self._footer, uris))
        return tuple(
            DataFile(uri.removeprefix(self.uri), uri, footer, part if isinstance(part, Part) else None)
            for uri, footer, part in zip(uris, footers, parts, strict=True)
        )

    def columns(self, files: Sequence[DataFile]) -> Mapping[str, ColumnType]:
        return columns_of(self.uri, files)

    def local(self, file: DataFile, into: Path) -> Path:
        """The file as one of this machine."""
        if file.part is None:
            return parse_uri(file.uri).path
        return self._storage.fetch(file.part, into)

    def new_path(self, work: Path, *, keep: bool = True) -> Path:
        """Where a file can be written that is to be staged; in `work` if it is not for keeps."""
        folder = parse_uri(self.uri + _STAGING).path if self._is_local and keep else work
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{uuid.uuid4().hex}.parquet"

    def stage(self, path: Path, name: str) -> StagedFile:
        """Make the file at `path`, which `new_path` gave, ready to become `name`."""
        staged = self.uri + _STAGING + path.name
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = path.stat().st_size
        if not self._is_local:
            self._storage.put_atomic(path, staged)
            path.unlink()
        return StagedFile(staged, self.uri + name, size, digest)

    def place_of(self, mode: Mode, replaced: Replaced | None) -> str | None:
        if mode is Mode.REPLACE_WINDOW:
            assert replaced is not None
            return f"window-{_word(replaced.start)}-{_word(replaced.end)}.parquet"
        return None if mode is Mode.APPEND else _TABLE

    def schema(self, columns: Mapping[str, ColumnType]) -> pa.Schema:
        return schema_of(columns)

    def stage_all(self, new: Sequence[NewFile], columns: Mapping[str, ColumnType], load: Load) -> Mapping[str, Any]:
        """The staged files with their places, and the URIs of files that go."""
        named = [(one.name or _own_name(load), one.path) for one in new]
        staged = [self.stage(path, name) for name, path in named if path is not None]
        gone = [self.uri + name for name, path in named if path is None]
        return {"place": [asdict(one) for one in staged], "delete": gone}

    def switch(self, switch: Mapping[str, Any], require_lock: Callable[[], None]) -> bool:
        staged = [StagedFile(**one) for one in switch["place"]]
        for file in staged:
            require_lock()
            if not self.place(file):
                return False
        if switch["delete"]:
            require_lock()
            self.delete([str(uri) for uri in switch["delete"]])
        # Only now: as long as one of them is there, the switch might not be complete.
        self.delete([file.staged for file in staged])
        return True

    def place(self, file: StagedFile) -> bool:
        """Put a staged file in its place, also where that was done before; False if there is neither."""
        from sluicegate.faults import FaultError

        try:
            self._storage.switch(file.staged, file.uri)
        except FaultError as gone:
            if gone.code != "SOURCE_MISSING":
                raise
            return self._is_there(file)
        return True

    def _is_there(self, file: StagedFile) -> bool:
        if not self._is_local:
            return any(part.size == file.size for part in self._storage.list_parts(file.uri))
        found = self._storage.list_parts(file.uri)
        return [part.version for part in found] == [file.sha256]

    def delete(self, uris: Sequence[str]) -> None:
        self._storage.delete_parts(uris)

    def sweep(self) -> None:
        """Remove what attempts left behind that were killed. Only under the lock."""
        self._storage.delete_parts(self._storage.matching(self.uri + _STAGING + "*.parquet"))

    def _footer(self, uri: str) -> pq.FileMetaData:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            tail = self._storage.tail(uri, _TAIL)
            size = int.from_bytes(tail[-_WORDS:-4], "little") + _WORDS
            if size > len(tail):
                tail = self._storage.tail(uri, size)
            return pq.read_metadata(pa.BufferReader(tail))
        except (pa.ArrowInvalid, OSError) as broken:
            raise fault("SOURCE_UNREADABLE", f"{uri} is not a Parquet file: {broken}", uri=uri) from broken


def _own_name(load: Load) -> str:
    """The file of a load that appends: the same source version has the same one."""
    text = "\n".join((load.source, load.source_version, load.config_digest))
    return f"append-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}.parquet"


def _word(value: date | datetime) -> str:
    if not isinstance(value, datetime):
        return value.strftime("%Y%m%d")
    return value.strftime("%Y%m%dT%H%M%S") + (f".{value.microsecond:06}" if value.microsecond else "")

"""A folder of Parquet files as a table: what is in it, by the footers of its files, and the place for those to come.

Files whose names begin with `_` are not the table's to any reader; what is not in place yet is in `_staging/`.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluicegate.faults import fault
from sluicegate.records.types import ColumnType
from sluicegate.storage import Part, Storage, parse_uri
from sluicegate.targets.parquet.dialect import column_type
from sluicegate.targets.parquet.place import lake_uri

if TYPE_CHECKING:
    import pyarrow.parquet as pq

__all__ = ["DataFile", "Lake", "StagedFile"]

_STAGING = "_staging/"
_TAIL = 1 << 16
_AT_ONCE = 8
_WORDS = 8
"""Bytes at the end of a file: the size of its footer, and a mark."""


@dataclass(frozen=True)
class DataFile:
    """One file of the table. `name` is that within the folder; `part` its version, in S3."""

    name: str
    uri: str
    footer: pq.FileMetaData
    part: Part | None = None

    @property
    def rows(self) -> int:
        return int(self.footer.num_rows)

    @property
    def columns(self) -> dict[str, ColumnType]:
        return {field.name: column_type(field) for field in self.footer.schema.to_arrow_schema()}

    def bounds(self, column: str) -> tuple[Any, Any] | None:
        """The least and the greatest value of a column; None where the file does not say them."""
        least: list[Any] = []
        greatest: list[Any] = []
        for number in range(self.footer.num_row_groups):
            group = self.footer.row_group(number)
            found = (group.column(one) for one in range(group.num_columns))
            stated = next((one.statistics for one in found if one.path_in_schema == column), None)
            if stated is None or not stated.has_min_max:
                return None
            least.append(stated.min)
            greatest.append(stated.max)
        return (min(least), max(greatest)) if least else None


@dataclass(frozen=True)
class StagedFile:
    """A file that is ready to take its place: its URI, that of the place, and what it is known by."""

    staged: str
    uri: str
    size: int
    sha256: str


class Lake:
    """The folder at `uri`, whose files are read and written through `storage`."""

    def __init__(self, uri: str, storage: Storage) -> None:
        self.uri = lake_uri(uri)
        self._storage = storage
        self._is_local = self.uri.startswith("file://")

    def files(self) -> tuple[DataFile, ...]:
        """Those of the table, sorted by name.

        :raises FaultError: SCHEMA_MISMATCH when something else is in the folder, or columns differ in type.
        """
        parts: Sequence[Part | str]
        parts = self._storage.part_uris(self.uri) if self._is_local else self._storage.list_parts(self.uri)
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

    def columns(self, files: Sequence[DataFile]) -> dict[str, ColumnType]:
        """Those of all files, in the order in which they are met."""
        found: dict[str, tuple[ColumnType, str]] = {}
        for file in files:
            for name, type_ in file.columns.items():
                before, where = found.setdefault(name, (type_, file.name))
                if before != type_:
                    raise fault(
                        "SCHEMA_MISMATCH",
                        f"{self.uri}: the column {name!r} is {before} in {where} and {type_} in {file.name}",
                    )
        return {name: type_ for name, (type_, _) in found.items()}

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

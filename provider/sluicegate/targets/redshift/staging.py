"""Records on their way: Parquet files in a folder of S3, from which Redshift copies them."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluicegate.faults import FaultError
from sluicegate.records.write import write_file
from sluicegate.storage import Storage
from sluicegate.storage.filetype import FileType
from sluicegate.targets.ahead import ahead
from sluicegate.targets.redshift.dialect import RedshiftDialect
from sluicegate.targets.redshift.place import RedshiftTable
from sluicegate.targets.redshift.statements import GONE, POSITION
from sluicegate.targets.target import Merge

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Staging"]

_FILE_ROWS = 1 << 20
"""Records in one file: the slices of a cluster copy files side by side."""


class Staging:
    """The staged files of one target, below `folder`. Names are never used twice: what a process that was frozen still
    writes, no load reads.
    """

    def __init__(self, folder: str, place: RedshiftTable, storage: Storage) -> None:
        # Of the connection too: tables of two databases may have one name, and each has a lock of its own.
        self.folder = f"{folder}sluicegate/{hashlib.sha256(place.name.encode()).hexdigest()[:16]}/"
        self._storage = storage
        self._staged: list[str] = []

    def stage(self, merge: Merge, work: Path, *, numbered: bool = False) -> str:
        """Write the records of `merge` into files; returns the beginning of their URIs.

        :param work: a folder of this machine.
        """
        import pyarrow as pa

        prefix = f"{self.folder}{uuid.uuid4().hex}-"
        between = (0, merge.rows) if numbered else None
        types = list(merge.columns.values())
        with merge.records.read(types, RedshiftDialect.written, between, numbered=numbered) as stream:
            schema = _schema(merge, numbered=numbered)
            batches = ahead(pa.RecordBatchReader.from_stream(stream))
            for number, some in enumerate(_by_file(batches)):
                path = work / f"{number}.parquet"
                write_file(path, schema, (_as_schema(batch, schema) for batch in some), FileType("parquet"), None)
                uri = f"{prefix}{number:04}.parquet"
                self._staged.append(uri)
                self._storage.put_atomic(path, uri)
                path.unlink()
        return prefix

    def list_files(self, folder: str, work: Path) -> str:
        """Write the list of the files in `folder`, for COPY; returns its URI."""
        parts = self._storage.list_parts(folder)
        entries = [{"url": one.uri, "mandatory": True, "meta": {"content_length": one.size}} for one in parts]
        path, uri = work / "list.json", f"{self.folder}{uuid.uuid4().hex}.json"
        path.write_text(json.dumps({"entries": entries}))
        self._staged.append(uri)
        self._storage.put_atomic(path, uri)
        path.unlink()
        return uri

    def tidy(self) -> None:
        """Remove what this load has staged; what cannot be removed now, the next load removes."""
        with suppress(FaultError):
            self._storage.delete_parts(self._staged)
        self._staged = []

    def sweep(self) -> None:
        """Remove what attempts left behind that were killed. Only under the lock."""
        self._storage.delete_parts(self._storage.part_uris(self.folder))


def _schema(merge: Merge, *, numbered: bool) -> pa.Schema:
    import pyarrow as pa

    fields: list[pa.Field[Any]] = [pa.field(POSITION, pa.int64())] * numbered
    fields += [pa.field(name, RedshiftDialect.arrow(type_)) for name, type_ in merge.columns.items()]
    return pa.schema(fields + [pa.field(GONE, pa.bool_())] * merge.has_tombstones)


def _by_file(batches: Iterator[pa.RecordBatch]) -> Iterator[Iterator[pa.RecordBatch]]:
    """Batches for one file after the other, each of which is read to its end before the next."""
    for first in batches:
        yield _until_full(first, batches)


def _until_full(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    rows = first.num_rows
    while rows < _FILE_ROWS and (batch := next(rest, None)) is not None:
        yield batch
        rows += batch.num_rows


def _as_schema(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    def fitted(column: Any, type_: pa.DataType) -> Any:
        return column if column.type == type_ else column.cast(type_)

    arrays = [fitted(column, field.type) for column, field in zip(batch.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)

"""A stream of Arrow batches as one file, the same bytes for the same records, in constant memory."""

from __future__ import annotations

import codecs
import gzip
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import date, datetime, time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from sluicegate.faults.errors import fault
from sluicegate.pipeline.keys.model import Format
from sluicegate.storage.filetype import FileType

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["write_file"]

_GROUP_ROWS = 65_536
_GROUP_BYTES = 32_000_000
"""Of a group's texts."""

Write = Callable[["pa.RecordBatch"], None]


def write_file(
    path: Path,
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    file_type: FileType,
    format: Format | None,  # noqa: A002 - the word of the pipeline file
) -> int:
    """Write `batches` to `path` and return their number of rows.

    :raises FaultError: WRONG_USE when a column has a type that the kind of file cannot hold.
    """
    how = format or Format()
    opened = {"parquet": _parquet, "csv": _csv, "jsonl": _jsonl}[file_type.kind]
    rows = 0
    with opened(path, schema, file_type, how) as write:
        for group in _groups(batches, schema):
            write(group)
            rows += group.num_rows
    return rows


def _groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of at most `_GROUP_ROWS` and `_GROUP_BYTES`, however they were sliced: equal rows, equal
    bytes. A row that is longer is a batch of its own.
    """
    import pyarrow as pa

    waiting: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        while batch.num_rows:
            some, long = _first(batch, _GROUP_ROWS - rows, None if rows == 0 else _GROUP_BYTES - size)
            if some:
                waiting.append(batch.slice(0, some))
                rows, size, batch = rows + some, size + long, batch.slice(some)
            if batch.num_rows or rows == _GROUP_ROWS:
                yield _one_batch(pa.Table.from_batches(waiting, schema=schema))
                waiting, rows, size = [], 0, 0
    if rows:
        yield _one_batch(pa.Table.from_batches(waiting, schema=schema))


def _first(batch: pa.RecordBatch, rows: int, room: int | None) -> tuple[int, int]:
    """How many of the first `rows` of `batch` there is room for, and the bytes of their texts; at least one where there
    is a whole group's room, None.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    batch = batch.slice(0, rows)
    least, room = (1, _GROUP_BYTES) if room is None else (0, room)
    texts: list[Any] = [
        column for column in batch.columns if pa.types.is_string(column.type) or pa.types.is_binary(column.type)
    ]
    lengths = [pc.binary_length(column) for column in texts]
    whole = sum(pc.sum(some).as_py() or 0 for some in lengths)
    if whole <= room:
        return batch.num_rows, whole
    each = sum(pc.fill_null(some, 0).to_numpy(zero_copy_only=False).astype("int64") for some in lengths)
    ends = np.cumsum(each)
    some = max(least, int(np.searchsorted(ends, room, side="right")))
    return some, int(ends[some - 1]) if some else 0


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    return table.combine_chunks().to_batches()[0]


@contextmanager
def _parquet(path: Path, schema: pa.Schema, file_type: FileType, how: Format) -> Iterator[Write]:
    import pyarrow.parquet as pq

    with ExitStack() as stack:
        writer: pq.ParquetWriter | None = None

        def opened(dictionaries: list[str] | bool) -> pq.ParquetWriter:
            try:
                made = pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=dictionaries)  # type: ignore[arg-type]
            except (NotImplementedError, ValueError) as unwritable:
                raise fault("WRONG_USE", f"Parquet cannot hold these columns: {unwritable}") from unwritable
            stack.enter_context(made)
            return made

        def write(batch: pa.RecordBatch) -> None:
            nonlocal writer
            if writer is None:
                writer = opened(_repeated(batch))
            writer.write_batch(batch, row_group_size=_GROUP_ROWS)

        yield write
        if writer is None:
            opened(True)


def _repeated(batch: pa.RecordBatch) -> list[str]:
    """The columns whose values come several times: a dictionary of others costs time and room, and is given up."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if not pa.types.is_nested(column.type) and not pa.types.is_boolean(column.type):
            try:
                few = 4 * int(pc.count_distinct(column).as_py()) <= batch.num_rows
            except NotImplementedError:
                few = True  # of a type that cannot be counted
            if few:
                found.append(name)
        elif pa.types.is_nested(column.type):
            found.append(name)
    return found


@contextmanager
def _csv(path: Path, schema: pa.Schema, file_type: FileType, how: Format) -> Iterator[Write]:
    import pyarrow as pa
    from pyarrow import csv

    nested = [column.name for column in schema if pa.types.is_nested(column.type)]
    if nested:
        names = ", ".join(nested)
        raise fault("WRONG_USE", f"CSV cannot hold nested columns: {names}; write Parquet or JSON lines")
    options = csv.WriteOptions(include_header=how.header, delimiter=file_type.delimiter(how), quoting_style="needed")
    null = "" if not how.null or "" in how.null else how.null[0]
    written = pa.schema([pa.field(name, pa.string()) for name in schema.names]) if null else schema
    with (
        _sink(path, file_type, how.encoding) as sink,
        csv.CSVWriter(sink, written, write_options=options) as writer,
    ):
        yield lambda batch: writer.write_batch(_null_as(batch, null, written) if null else batch)


def _null_as(batch: pa.RecordBatch, null: str, written: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    columns = [column.cast(pa.string()).fill_null(null) for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, schema=written)


@contextmanager
def _jsonl(path: Path, schema: pa.Schema, file_type: FileType, how: Format) -> Iterator[Write]:
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    names = schema.names
    with _sink(path, file_type, how.encoding) as sink:

        def write(batch: pa.RecordBatch) -> None:
            columns = [_values(column) for column in batch.columns]
            lines = (encode(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True))
            sink.write("".join(f"{line}\n" for line in lines).encode())

        yield write


def _values(column: pa.Array[Any]) -> list[Any]:
    import pyarrow as pa

    values: list[Any] = column.to_pylist()
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_boolean(kind):
        return values
    return [_json(value) for value in values]


def _json(value: Any) -> Any:
    """What JSON has no word for, as the text that a load casts back."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int | bool):
        return value
    if isinstance(value, dict):
        return {key: _json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_json(each) for each in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return str(value)  # Decimal, timedelta, UUID


@contextmanager
def _sink(path: Path, file_type: FileType, encoding: str) -> Iterator[IO[bytes]]:
    with ExitStack() as stack:
        sink: IO[bytes] = stack.enter_context(path.open("wb"))
        if file_type.gzip:
            # No name and no time of day in the file: equal rows, equal bytes.
            packed = gzip.GzipFile(filename="", mode="wb", fileobj=sink, mtime=0)
            sink = cast("IO[bytes]", stack.enter_context(cast("AbstractContextManager[Any]", packed)))
        if codecs.lookup(encoding).name not in {"utf-8", "ascii"}:
            sink = cast("IO[bytes]", stack.enter_context(_Recoded(sink, encoding)))
        yield sink


class _Recoded(io.RawIOBase):
    """Takes UTF-8 and hands on another encoding."""

    def __init__(self, sink: IO[bytes], encoding: str) -> None:
        super().__init__()
        self._sink = sink
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._encoder = codecs.getincrementalencoder(encoding)()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        raw = bytes(data)
        self._sink.write(self._encoder.encode(self._decoder.decode(raw)))
        return len(raw)

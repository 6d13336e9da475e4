"""COPY of prepared records into Postgres: in its binary format, or as CSV where a type's binary form is not known.

Binary values are neither written as text here nor read as text there, which is most of what a COPY costs. While the
server takes records, or does something else, a thread writes those that follow.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any, cast

from psycopg import Connection, sql

from sluicegate.targets.ahead import ahead
from sluicegate.targets.postgres.dialect import PostgresDialect
from sluicegate.targets.postgres.merge import identifiers
from sluicegate.targets.stream import ArrowStream, batches_of, reader_of
from sluicegate.targets.target import Merge

if TYPE_CHECKING:
    from collections.abc import Generator

    import pyarrow as pa

__all__ = ["Stream", "as_binary", "as_csv", "copy_in", "opened"]

_DIALECT = PostgresDialect()
_FEW = 10_000
"""Records for which a thread is not worth its start."""
_AHEAD = 4_000_000
"""Bytes."""
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"


class Stream:
    """Records as COPY takes them, to be written by one COPY or by several, one after the other.

    :param names: the columns that they are written into.
    """

    def __init__(self, names: Sequence[str], chunks: Iterator[bytes], *, is_binary: bool) -> None:
        self._names, self._chunks, self._is_binary = names, chunks, is_binary
        self._next = next(chunks, None)
        self.rows = 0
        """How many the server took."""

    @property
    def is_done(self) -> bool:
        return self._next is None

    def copy(self, connection: Connection[tuple[Any, ...]], into: sql.Identifier, most: int | None = None) -> int:
        """Write those that follow; returns how many the server took.

        :param most: about so many bytes of them.
        """
        form = sql.SQL("binary" if self._is_binary else "csv")
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT {})").format(into, identifiers(self._names), form)
        written = 0
        with connection.cursor() as cursor:
            with cursor.copy(statement) as sink:
                if self._is_binary:
                    sink.write(_HEADER)
                while self._next is not None and (most is None or written < most):
                    sink.write(self._next)
                    written += len(self._next)
                    self._next = next(self._chunks, None)
                if self._is_binary:
                    sink.write(_TRAILER)
            self.rows += cursor.rowcount
            return cursor.rowcount


@contextmanager
def opened(merge: Merge, names: Sequence[str], between: tuple[int, int] | None = None) -> Iterator[Stream]:
    """The records of `merge`.

    :param names: the columns of `merge`, with one for the positions in front where only those `between` two positions
        are asked for, and one for tombstones behind where there are some.
    """
    types = tuple(merge.columns.values())
    is_binary = all(_DIALECT.has_binary(type_) for type_ in types)
    written: Callable[..., str] = _DIALECT.binary_form if is_binary else _DIALECT.text_form
    numbered = len(names) > len(types) + merge.has_tombstones
    with ExitStack() as stack:
        stream = stack.enter_context(merge.records.read(types, written, between, numbered=numbered))
        chunks = as_binary(stream) if is_binary else as_csv(stream)
        if merge.rows > _FEW:
            chunks = ahead(chunks, _AHEAD, len)
        # Before the stream, which a thread may be reading.
        stack.enter_context(closing(cast("Generator[bytes]", chunks)))
        yield Stream(names, chunks, is_binary=is_binary)


def copy_in(
    connection: Connection[tuple[Any, ...]],
    into: sql.Identifier,
    names: Sequence[str],
    merge: Merge,
    between: tuple[int, int] | None = None,
) -> int:
    """Write the records of `merge` into the columns `names` of `into`, see `opened`; returns how many it took."""
    with opened(merge, names, between) as records:
        return records.copy(connection, into)


def as_binary(stream: ArrowStream) -> Iterator[bytes]:
    """The records as the binary format has them, without what it has in front of all of them and behind."""
    from pgpq import ArrowToPostgresBinaryEncoder

    reader = reader_of(stream)
    # pgpq is typed for pyarrow alone, and takes whatever has Arrow's interface.
    encoder = ArrowToPostgresBinaryEncoder(cast("pa.Schema", reader.schema))
    encoder.write_header()
    for batch in batches_of(reader):
        # It gathers small batches.
        if chunk := encoder.write_batch(cast("pa.RecordBatch", batch)):
            yield chunk
    if chunk := encoder.finish().removesuffix(_TRAILER):
        yield chunk


def as_csv(stream: ArrowStream) -> Iterator[bytes]:
    """NULL is a value without quotes, and an empty text one with."""
    import pyarrow as pa
    from pyarrow import csv

    options = csv.WriteOptions(include_header=False, quoting_style="all_valid")
    for batch in pa.RecordBatchReader.from_stream(stream):
        sink = io.BytesIO()
        csv.write_csv(batch, sink, options)
        yield sink.getvalue()

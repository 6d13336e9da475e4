"""A stream of records in Arrow's format, which any library of Arrow's reads by the PyCapsule interface.

Read here without pyarrow: importing that takes 85 ms of a task's time, and 45 MB.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from arro3.core import RecordBatch, RecordBatchReader

__all__ = ["ArrowStream", "batches_of", "reader_of"]

_SAID = "C Data interface error: "


class ArrowStream(Protocol):
    """Batches of records, to be read once."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


def reader_of(stream: ArrowStream) -> RecordBatchReader:
    """What reads `stream`, and knows its schema."""
    from arro3.core import RecordBatchReader

    return RecordBatchReader.from_stream(stream)


def batches_of(reader: RecordBatchReader) -> Iterator[RecordBatch]:
    """The batches of a stream that DuckDB fills.

    :raises duckdb.Error: what DuckDB says in the middle of it, which comes as a text.
    """
    import duckdb

    kinds = {"Out of Memory Error": duckdb.OutOfMemoryException, "INTERRUPT Error": duckdb.InterruptException}
    while True:
        try:
            batch = next(reader, None)
        except Exception as error:
            said = str(error).removeprefix(_SAID)
            raise kinds.get(said.partition(":")[0], duckdb.Error)(said) from error
        if batch is None:
            return
        yield batch

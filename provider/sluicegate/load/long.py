"""Long records: read in the order of the stage, some megabytes at a time.

DuckDB sorts and streams 2,048 records at least at once. Of records of 2 kB, sorting takes more memory than a load has;
and a long record costs a target more than the place in its index does, which is what the order of the key is good for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sluicegate.load.prepared import Prepared, open_stream
from sluicegate.load.staged import Staged
from sluicegate.records.types import ColumnType
from sluicegate.targets.stream import ArrowStream

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

__all__ = ["LONG", "LongRecords", "prepared_of"]

LONG = 1_500
"""Bytes of a record on average."""
_BYTES = 2_000_000
"""Read at a time."""


def prepared_of(staged: Staged, rows: int, unwritten: Collection[str], mean: int) -> Prepared:
    """The records that stay of a stage, see `Prepared`.

    :param mean: bytes of a record, on average.
    """
    return Prepared(staged, rows, unwritten) if mean < LONG else LongRecords(staged, rows, unwritten, mean)


class LongRecords(Prepared):
    """:param mean: bytes of a record."""

    is_ordered = False

    def __init__(self, staged: Staged, rows: int, unwritten: Collection[str], mean: int) -> None:
        super().__init__(staged, rows, unwritten)
        self._step = max(1, _BYTES // mean)

    @contextmanager
    def read(
        self,
        types: Sequence[ColumnType],
        written: Callable[[ColumnType, str], str],
        between: tuple[int, int] | None = None,
        *,
        numbered: bool = False,
    ) -> Iterator[ArrowStream]:
        import pyarrow as pa

        values = self._values(types, written)
        first, end = 0, self._staged.rows
        query = f"SELECT {values} FROM staged s WHERE {self._staged.kept()}"
        if between is not None:
            self._number()
            some = f"p.position >= {between[0]} AND p.position < {between[1]}"
            first, end = self._staged.row(
                f"SELECT coalesce(min(stage_row), 0), coalesce(max(stage_row) + 1, 0) FROM prepared p WHERE {some}"
            )
            values = f"p.position, {values}" if numbered else values
            query = f"SELECT {values} FROM staged s JOIN prepared p ON p.stage_row = s.rowid WHERE {some}"
        with self._staged.duck.cursor() as cursor:
            schema = pa.RecordBatchReader.from_stream(open_stream(cursor, f"{query} LIMIT 0")).schema
            yield pa.RecordBatchReader.from_batches(schema, self._batches(cursor, query, range(first, end, self._step)))

    def _batches(self, cursor: DuckDBPyConnection, query: str, rows: range) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for row in rows:
            some = f"s.rowid >= {row} AND s.rowid < {min(row + self._step, rows.stop)}"
            yield from pa.RecordBatchReader.from_stream(open_stream(cursor, f"{query} AND {some} ORDER BY s.rowid"))

    def _in_order(self) -> str:
        return f"SELECT s.rowid AS stage_row FROM staged s WHERE {self._staged.kept()} ORDER BY s.rowid"

"""The records of a stage that go in, as a stream of Arrow batches, in the order of their key."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sluicegate.load.staged import Staged
from sluicegate.records.engine import with_room
from sluicegate.records.types import ColumnType
from sluicegate.targets.stream import ArrowStream
from sluicegate.targets.target import Stored

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Prepared", "open_stream"]

_BATCH = 1 << 13
"""Records."""


class Prepared:
    """See `targets.target.Records`. The stage has to stay as it is while these are read.

    :param unwritten: columns that the target is not given.
    """

    stored: Stored | None = None
    is_ordered = True

    def __init__(self, staged: Staged, rows: int, unwritten: Collection[str] = ()) -> None:
        self._staged = staged
        self._columns = {name: type_ for name, type_ in staged.columns.items() if name not in unwritten}
        self._has_positions = False
        self.rows = rows

    @contextmanager
    def read(
        self,
        types: Sequence[ColumnType],
        written: Callable[[ColumnType, str], str],
        between: tuple[int, int] | None = None,
        *,
        numbered: bool = False,
    ) -> Iterator[ArrowStream]:
        values = self._values(types, written)
        # A cursor of its own: a result that is not read to its end is closed with it.
        with self._staged.duck.cursor() as cursor:
            if between is None:
                kept, order = self._staged.kept(), self._staged.order()
                yield open_stream(cursor, f"SELECT {values} FROM staged s WHERE {kept} ORDER BY {order}")
            else:
                self._number()
                low, high = between
                values = f"position, {values}" if numbered else values
                some = f"position >= {low} AND position < {high}"
                yield open_stream(cursor, f"SELECT {values} FROM prepared WHERE {some} ORDER BY position")

    def _values(self, types: Sequence[ColumnType], written: Callable[[ColumnType, str], str]) -> str:
        """SQL of what is read of a record."""
        places = [self._staged.places[name] for name in self._columns]
        values = ", ".join(
            f"{written(wanted, _as(type_, wanted, place))} AS {place}"
            for wanted, type_, place in zip(types, self._columns.values(), places, strict=True)
        )
        return f"{values}, gone" if self._staged.has_tombstones else values

    def rows_at(self) -> str:
        """A relation of each record's `position` and its row in the stage, `stage_row`."""
        self._number()
        return "(SELECT position, stage_row FROM prepared)"

    def _number(self) -> None:
        """Keep the records in their order, which asking for some of them would else cost each time."""
        if not self._has_positions:
            self._staged.duck.execute(
                f"CREATE TABLE prepared AS SELECT row_number() OVER () - 1 AS position, * FROM ({self._in_order()})"
            )
            self._has_positions = True

    def _in_order(self) -> str:
        """SQL of what is kept of each record, in their order: its row in the stage, and its values."""
        places = "".join(f", {self._staged.places[name]}" for name in self._columns)
        places += ", gone" if self._staged.has_tombstones else ""
        kept, order = self._staged.kept(), self._staged.order()
        return f"SELECT s.rowid AS stage_row{places} FROM staged s WHERE {kept} ORDER BY {order}"


def _as(type_: ColumnType, wanted: ColumnType, value: str) -> str:
    """SQL of a staged `value` as what DuckDB holds values of the `wanted` type in, which has room for all of them."""
    return value if type_.duck == wanted.duck else f"CAST({value} AS {wanted.duck})"


@dataclass(frozen=True)
class _Submitted:
    """What DuckDB streams of a statement that it has begun."""

    result: Any

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.result.arrow_capsule()


def open_stream(cursor: DuckDBPyConnection, query: str) -> ArrowStream:
    """The records of `query`. Sorting very many of them takes more memory by two threads than by one."""
    return with_room(cursor, lambda: _stream(cursor, query))


def _stream(cursor: DuckDBPyConnection, query: str) -> ArrowStream:
    # DuckDB 2 has no public name yet for a stream in batches of a size that neither imports pyarrow nor binds twice.
    if (submit := getattr(cursor, "_submit", None)) is not None:
        return _Submitted(submit(query, None, "stream", _BATCH))
    reader: ArrowStream = cursor.sql(query).to_arrow_reader(_BATCH)
    return reader

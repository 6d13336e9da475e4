"""Works out what the files of a table are to hold, in DuckDB, out of core: the files are read, and new ones written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluicegate.faults import fault
from sluicegate.pipeline.keys.model import Mode
from sluicegate.records.types import ColumnType
from sluicegate.records.write import write_file
from sluicegate.storage.filetype import FileType
from sluicegate.targets.ahead import ahead
from sluicegate.targets.parquet.changes import changes_of
from sluicegate.targets.parquet.dialect import ParquetDialect
from sluicegate.targets.parquet.files import DataFile, NewFile
from sluicegate.targets.parquet.statements import GONE, Layout, broken_keys, fates, rewritten, rows_of
from sluicegate.targets.target import Applied, Broken, Changes, Merge, Outcome

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

__all__ = ["FileMerger", "KeptFile", "write_records"]

_BATCH, _FEW = 1 << 15, 1 << 8
"""Records; so few of long ones."""


@dataclass(frozen=True)
class KeptFile:
    """A file of the table. `fetch` brings it to this machine; `without`: which of its rows go, `gone` of them."""

    file: DataFile
    fetch: Callable[[], Path]
    number: int
    without: str = "false"
    gone: int = 0

    @property
    def left(self) -> int:
        return self.file.rows - self.gone

    def rows(self, layout: Layout) -> str:
        return rows_of(layout, self.fetch(), tuple(self.file.columns), self.number, without=self.without)


def write_records(path: Path, schema: pa.Schema, merge: Merge, *, with_gone: bool) -> int:
    """Write the records of `merge` as a file of the table; returns how many.

    :param with_gone: whether a column behind the table's says which of them delete.
    """
    import pyarrow as pa

    types = [merge.columns[name] for name in merge.columns]
    order = list(merge.columns)
    if with_gone:
        schema = schema.append(pa.field(GONE, pa.bool_()))
    with merge.records.read(types, ParquetDialect.written) as stream:

        def batches() -> Iterator[pa.RecordBatch]:
            for batch in ahead(pa.RecordBatchReader.from_stream(stream)):
                columns = dict(zip(order, batch.columns, strict=False))
                arrays = [
                    _as(columns[field.name], field.type)
                    if field.name in columns
                    else pa.nulls(batch.num_rows, field.type)
                    for field in schema
                    if field.name != GONE or not with_gone
                ]
                if with_gone:
                    arrays.append(batch.columns[-1])
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)

        return write_file(path, schema, batches(), FileType("parquet"), None)


def _as(column: Any, type_: pa.DataType) -> Any:
    return column if column.type == type_ else column.cast(type_)


class FileMerger:
    """One merge into the files `kept`, with `duck` and in the folder `work`.

    :param new_path: where a file can be written that is to be staged.
    :param schema_of: what files have columns as.
    """

    def __init__(
        self,
        duck: DuckDBPyConnection,
        layout: Layout,
        merge: Merge,
        kept: Sequence[KeptFile],
        new_path: Callable[[], Path],
        schema_of: Callable[[Mapping[str, ColumnType]], pa.Schema],
        *,
        dry_run: bool,
        is_added: bool,
    ) -> None:
        self._duck, self._layout, self._merge, self._kept = duck, layout, merge, kept
        self._new_path, self._schema_of, self._dry_run, self._is_added = new_path, schema_of, dry_run, is_added
        self.files: list[NewFile] = []
        self.has_fates = False
        self._incoming: Path | None = None

    @property
    def _appends(self) -> bool:
        return self._merge.mode in {Mode.APPEND, Mode.REPLACE_WINDOW}

    def run(self, place: str | None, too_many: Callable[[int], bool], buried: int = 0) -> Applied:
        """Write the files that change; `place` is the one for new rows.

        :param buried: how many deletions the table `buried` has.
        """
        merge, there = self._merge, [one for one in self._kept if one.left]
        self._incoming = path = self._new_path()
        write_records(path, self._schema_of(self._layout.columns), merge, with_gone=merge.has_tombstones)
        self._see_incoming(path)
        broken: list[int] = []
        outcome = Outcome(inserted=merge.rows)
        if self._appends:
            if merge.key:
                broken = self._broken(there)
                if too_many(len(broken)):
                    path.unlink()
                    return Applied(Outcome(), self._as_broken(broken), stopped=True)
                outcome = Outcome(inserted=merge.rows - len(broken))
        elif there or merge.has_tombstones or buried:
            outcome = self._fates(there, buried)
        changes = self._changes(there) if self._dry_run else None
        if not self._dry_run:
            self._write(place, path, outcome, broken)
        return Applied(outcome, self._as_broken(broken), changes=changes)

    def tidy(self) -> None:
        """Remove what was written on the way."""
        if self._incoming is not None and all(one.path != self._incoming for one in self.files):
            self._incoming.unlink(missing_ok=True)

    def _see_incoming(self, path: Path) -> None:
        layout, more = self._layout, [GONE] if self._merge.has_tombstones else []
        names = [*layout.columns, *more]
        rows = rows_of(layout, path, names, -1, more="".join(f", {name}" for name in more))
        self._duck.execute(f"CREATE VIEW incoming AS {rows}")

    def _broken(self, there: Sequence[KeptFile]) -> list[int]:
        found = self._duck.execute(broken_keys(self._layout, [one.rows(self._layout) for one in there])).fetchall()
        if found:
            self._duck.execute("CREATE TABLE broken AS SELECT unnest($1::BIGINT[]) AS row", [[row for (row,) in found]])
        return [int(row) for (row,) in found]

    def _as_broken(self, rows: Iterable[int]) -> tuple[Broken, ...]:
        return tuple(Broken(row, "constraint:key", self._merge.key) for row in rows)

    def _fates(self, there: Sequence[KeptFile], buried: int) -> Outcome:
        layout, merge = self._layout, self._merge
        rows = " UNION ALL ".join(one.rows(layout) for one in there) or self._none()
        self._duck.execute(
            fates(
                layout,
                merge.mode,
                rows,
                has_tombstones=merge.has_tombstones,
                has_buried=bool(buried),
                are_long=not merge.records.is_ordered,
            )
        )
        self.has_fates = True
        counts = dict(self._duck.execute("SELECT fate, count(*) FROM fates GROUP BY 1").fetchall())
        if sum(counts.values()) != merge.rows:
            raise fault(
                "SCHEMA_MISMATCH",
                f"the table has rows with the same key ({', '.join(merge.key)}), so a merge cannot be made safe: "
                "nothing enforces a key in files; take the surplus rows out",
            )
        stale = counts.pop("stale", 0) + counts.pop("buried", 0)
        return Outcome(stale=stale, **{name: int(count) for name, count in counts.items()})

    def _none(self) -> str:
        values = ", ".join(f"CAST(NULL AS {type_.duck}) AS {self._layout.places[name]}"
                           for name, type_ in self._layout.columns.items())  # fmt: skip
        return f"SELECT 0 AS file, 0::BIGINT AS row, {values} WHERE false"

    def _changes(self, there: Sequence[KeptFile]) -> Changes:
        rows = " UNION ALL ".join(one.rows(self._layout) for one in there) or self._none()
        return changes_of(self._duck, self._layout, rows, with_fates=self.has_fates)

    def _write(self, place: str | None, path: Path, outcome: Outcome, broken: Sequence[int]) -> None:
        """The files that are to be, out of those that are there and of the records, which are all at `path`."""
        touched = self._touched()
        at_place = next((one for one in self._kept if one.file.name == place), None)
        for one in self._kept:
            if one is at_place:
                continue
            if one.left == 0 and one.gone:
                self.files.append(NewFile(one.file.name, None))
            elif one.gone or one.number in touched:
                self._rewrite(one.file.name, one, None)
        is_changed = at_place is not None and bool(at_place.gone or at_place.number in touched or self._is_added)
        if not (outcome.inserted or is_changed or not self._kept):
            return
        is_plain = not self.has_fates and not broken
        if is_plain and (at_place is None or at_place.left == 0):
            self._put(place, path, outcome.inserted, others=any(one is not at_place and one.left for one in self._kept))
        else:
            self._rewrite(place, at_place, self._inserted(broken))

    def _put(self, place: str | None, path: Path, rows: int, *, others: bool) -> None:
        """The records alone; a file with nothing in it is for a table that has no other, and keeps its columns."""
        self.files.append(NewFile(place, path if rows or not others else None))

    def _touched(self) -> set[int]:
        if not self.has_fates:
            return set()
        found = self._duck.execute("SELECT DISTINCT file FROM fates WHERE fate IN ('updated', 'deleted')").fetchall()
        return {int(number) for (number,) in found}

    def _inserted(self, broken: Sequence[int]) -> str:
        if self.has_fates:
            return "SEMI JOIN (SELECT s_row FROM fates WHERE fate = 'inserted') f ON f.s_row = s.row"
        return "ANTI JOIN broken b ON b.row = s.row" if broken else ""

    def _rewrite(self, name: str | None, one: KeptFile | None, inserts: str | None) -> None:
        """Write a file anew: the rows of `one` that stay, as they are to be, and the records of `inserts`."""
        rows = one.rows(self._layout) if one is not None and one.left else None
        number = one.number if one is not None else -1
        in_order = self._merge.records.is_ordered
        query = rewritten(self._layout, rows, number, with_fates=self.has_fates, inserts=inserts, in_order=in_order)
        path = self._new_path()
        schema = self._schema_of(self._layout.columns)
        # A cursor of its own: what is asked meanwhile does not end the result.
        with self._duck.cursor() as cursor:
            reader = cursor.sql(query).to_arrow_reader(_BATCH if in_order else _FEW)
            write_file(path, schema, (_as_schema(batch, schema) for batch in ahead(reader)), FileType("parquet"), None)
        self.files.append(NewFile(name, path))


def _as_schema(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    arrays = [_as(column, field.type) for column, field in zip(batch.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)

"""One load into a folder of Parquet files, under a lock in the database of its ledger."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from sluicegate.faults import fault
from sluicegate.ledger.entries import Load
from sluicegate.ledger.postgres.intents import PostgresIntents
from sluicegate.ledger.postgres.ledger import PostgresLedger
from sluicegate.pipeline.keys.model import Mode
from sluicegate.records.casts import Cast
from sluicegate.records.engine import open_duckdb
from sluicegate.records.types import ColumnType
from sluicegate.targets.parquet.files import DataFile, Files, NewFile
from sluicegate.targets.parquet.merger import FileMerger, KeptFile
from sluicegate.targets.parquet.statements import Layout, rows_of, where_replaced
from sluicegate.targets.parquet.switch import carry_out
from sluicegate.targets.parquet.tombstones import bury, fetch_buried
from sluicegate.targets.postgres.watch import Watch
from sluicegate.targets.target import Applied, Merge, Replaced, Table, TableColumn

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Desk", "ParquetSession", "table_of"]

log = logging.getLogger("sluicegate.load")

Connection = psycopg.Connection[tuple[Any, ...]]


def table_of(lake: Files, files: Sequence[DataFile]) -> Table:
    """The folder as a table; without files there is none."""
    columns = {name: TableColumn(type_) for name, type_ in lake.columns(files).items()}
    return Table(lake.uri, "", lake.uri, columns)


class NotingLedger(PostgresLedger):
    """A ledger that knows which load was recorded."""

    recorded: Load | None = None

    def record(self, load: Load) -> None:
        super().record(load)
        self.recorded = load


@dataclass
class Desk:
    """Where the work is done: a folder of this machine, a DuckDB while it is open, and what was fetched."""

    folder: Path
    memory_limit: str
    duck: DuckDBPyConnection | None = None
    fetched: dict[str, Path] = field(default_factory=dict)

    @contextlib.contextmanager
    def open(self) -> Iterator[DuckDBPyConnection]:
        with open_duckdb(self.folder, self.memory_limit) as duck:
            # Every order that matters is asked for.
            duck.execute("SET preserve_insertion_order = false")
            self.duck = duck
            try:
                yield duck
            finally:
                self.duck = None


class ParquetSession:
    """See `Session`. New files are written first; `commit` stages them, commits the ledger and switches."""

    def __init__(
        self, connection: Connection, lake: Files, table: Table, desk: Desk, watch: Watch, *, dry_run: bool
    ) -> None:
        self.ledger = NotingLedger(connection)
        self._connection, self._lake, self._seen, self._desk, self._watch = connection, lake, table, desk, watch
        self._dry_run = dry_run
        self._files = lake.files()
        self._columns: dict[str, ColumnType] = {}
        self._replaced: Replaced | None = None
        self._gone: dict[str, int] = {}
        self._new: list[NewFile] = []

    @contextlib.contextmanager
    def changes(self) -> Iterator[None]:
        try:
            with self._connection.transaction():
                yield
        except BaseException:
            for one in self._new:
                if one.path is not None:
                    one.path.unlink(missing_ok=True)
            self._new, self._replaced, self._gone = [], None, {}
            raise

    def prepare(self, seen: Table, wanted: Mapping[str, ColumnType], key: Sequence[str]) -> bool:
        now = table_of(self._lake, self._files)
        if now != seen:
            return False
        self._columns = {name: column.type for name, column in now.columns.items()}
        added = {name: type_ for name, type_ in wanted.items() if name not in now.columns}
        self._columns |= added
        self._lake.schema(self._columns)
        if now.exists and added:
            log.info("adding to %s: %s", now.name, ", ".join(f"{name} {type_}" for name, type_ in added.items()))
        return True

    def remove(self, replaced: Replaced) -> int:
        self._watch.phase = f"looking for the window in {self._lake.uri}"
        self._replaced = replaced
        with self._desk.open() as duck:
            for file in self._files:
                if _may_hold(file, replaced):
                    which = where_replaced(replaced, tuple(file.columns))
                    layout = Layout({}, ())
                    rows = rows_of(layout, self._fetch(file), tuple(file.columns), 0, without=f"NOT ({which})")
                    row = duck.execute(f"SELECT count(*) FROM ({rows})").fetchone()
                    assert row is not None
                    self._gone[file.name] = int(row[0])
        return sum(self._gone.values())

    def apply(self, merge: Merge, too_many: Callable[[int], bool]) -> Applied:
        self._watch.phase = f"bringing {merge.rows:,} records into {self._lake.uri}"
        by_key = merge.mode in {Mode.MERGE, Mode.INSERT_ONLY}
        layout = Layout(self._columns, frozenset(merge.columns), merge.key, merge.newest_by)
        is_added = any(name not in self._seen.columns for name in self._columns)
        with self._desk.open() as duck:
            buried = fetch_buried(self._connection, duck, self._lake.uri, layout) if by_key else 0
            merger = FileMerger(
                duck,
                layout,
                merge,
                self._kept(),
                self._new_path,
                self._lake.schema,
                dry_run=self._dry_run,
                is_added=is_added,
            )
            try:
                applied = merger.run(self._lake.place_of(merge.mode, self._replaced), too_many, buried)
                self._new = merger.files
                if by_key and not self._dry_run:
                    bury(self._connection, duck, self._lake.uri, layout, buried=buried, with_gone=merge.has_tombstones)
            finally:
                merger.tidy()
        return applied

    def _kept(self) -> list[KeptFile]:
        found = []
        for number, file in enumerate(self._files):
            gone = self._gone.get(file.name, 0)
            which = where_replaced(self._replaced, tuple(file.columns)) if self._replaced and gone else "false"
            found.append(KeptFile(file, lambda file=file: self._fetch(file), number, which, gone))  # type: ignore[misc]
        return found

    def _fetch(self, file: DataFile) -> Path:
        if file.name not in self._desk.fetched:
            self._desk.fetched[file.name] = self._lake.local(file, self._desk.folder)
        return self._desk.fetched[file.name]

    def _new_path(self) -> Path:
        return self._lake.new_path(self._desk.folder, keep=not self._dry_run)

    def present(self, key: Sequence[str], values: Sequence[Sequence[str]]) -> list[bool]:
        columns = {name: column.type for name, column in self._seen.columns.items()}
        layout = Layout(columns, frozenset(columns), tuple(key))
        casts = {name: Cast(columns[name]).value(f"k{number}", "VARCHAR") for number, name in enumerate(key)}
        with self._desk.open() as duck:
            texts = ", ".join(f"unnest(${number + 1}::VARCHAR[]) AS k{number}" for number in range(len(key)))
            asked = [[row[number] for row in values] for number in range(len(key))]
            duck.execute(f"CREATE TABLE asked AS SELECT {texts}", asked)
            made = ", ".join(f"{casts[name]} AS {layout.places[name]}" for name in key)
            rows = " UNION ALL ".join(one.rows(layout) for one in self._kept())
            if not rows:
                return [False] * len(values)
            query = (
                f"SELECT EXISTS (SELECT 1 FROM ({rows}) t WHERE {layout.same_key()}) FROM "
                f"(SELECT rowid AS n, {made} FROM asked) s ORDER BY n"
            )
            return [bool(found) for (found,) in duck.execute(query).fetchall()]

    def commit(self) -> None:
        self._watch.phase = f"committing to {self._lake.uri}"
        load = self.ledger.recorded
        if not self._new or load is None:
            self._connection.commit()
            return
        switch = self._lake.stage_all(self._new, self._columns, load)
        intent = PostgresIntents(self._connection).note(self._lake.uri, switch)
        self._connection.commit()
        self._new = []
        if not carry_out(self._connection, self._lake, intent):
            raise fault(
                "WAREHOUSE_BUSY", f"files that were staged in {self._lake.uri} are gone: does something clean up there?"
            )
        self._connection.commit()


def _may_hold(file: DataFile, replaced: Replaced) -> bool:
    """Whether rows of the file may be of the window, by what its footer says."""
    bounds = file.bounds(replaced.column)
    if bounds is None:
        return file.rows > 0
    try:
        least, greatest = (_comparable(value) for value in bounds)
        return bool(least < _comparable(replaced.end) and greatest >= _comparable(replaced.start))
    except TypeError:
        return True


def _comparable(value: Any) -> Any:
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) and value.tzinfo else value

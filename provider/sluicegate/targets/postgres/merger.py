"""Carries out a merge from the stage, or a piece of it, and counts what became of the records."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from sluicegate.faults import FaultError, fault
from sluicegate.pipeline.keys.model import Mode
from sluicegate.targets.postgres.merge import STAGE, Cases, append, counters, create_counters, merge_into
from sluicegate.targets.postgres.tombstones import bury, leave_out_buried, was_anything_buried
from sluicegate.targets.target import Merge, Outcome, Table

__all__ = ["Merger", "keeps_records_away"]

_WORK_MEMORY = "64MB"
"""Has room for the keys of a million rows; a server's own is often 4 MB."""
_FEW = 100_000
"""Records whose keys are looked up in the index of a table that has many more."""
_PAGE_COST = 1.1
"""Of a page that is fetched for itself. Postgres takes 4, as of disks that turn, and would rather read all of a table
of a hundred thousand rows than look up two hundred keys, or all of a million rows than twenty thousand."""
# Row, before, insert: the bits of a trigger that may let a record vanish.
_BEGIN = sql.SQL("""
SELECT EXISTS (
    SELECT FROM pg_trigger
    WHERE NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 7 = 7 AND tgrelid IN (
        SELECT relid FROM pg_partition_tree({table}) UNION SELECT {table}::regclass
    )
), CASE WHEN pg_size_bytes(current_setting('work_mem')) < pg_size_bytes({memory})
        THEN set_config('work_mem', {memory}, true) END,
   CASE WHEN {few} AND current_setting('random_page_cost')::float8 > {page}
        THEN set_config('random_page_cost', {page}::text, true) END, {counters}
""")


class Merger:
    """Merges on `connection`, inside whatever transaction is open there.

    A trigger may let a record vanish that is to be inserted: then what is there and what is new are merged one after
    the other, so that the number of rows that went in is known.

    :param has_tombstones: whether anything of the table was deleted at a version; asked unless it is known.
    :param by_pieces: whether each statement brings in a range of the keys, whose pages are in memory, or soon will be.
    """

    def __init__(
        self,
        connection: psycopg.Connection[tuple[Any, ...]],
        table: Table,
        merge: Merge,
        *,
        has_tombstones: bool | None = None,
        by_pieces: bool = False,
    ) -> None:
        self._connection, self._table, self._merge = connection, table, merge
        self.name = sql.Identifier(table.schema, table.table)
        self._appends = merge.mode in {Mode.APPEND, Mode.REPLACE_WINDOW}
        self._at_first: tuple[int, ...] | None = None
        """The counters before anything has run; they survive a rollback, and so do not follow from what has run."""
        if not self._appends:
            connection.execute(create_counters(merge))
            if has_tombstones is None:
                has_tombstones = was_anything_buried(connection, table, merge)
            self._has_tombstones = has_tombstones
            words = {"table": sql.Literal(self.name.as_string(connection)), "memory": _WORK_MEMORY}
            words |= {"few": sql.Literal(by_pieces or merge.rows <= _FEW), "page": sql.Literal(_PAGE_COST)}
            row = connection.execute(_BEGIN.format(**words, counters=self.counters()), prepare=True).fetchone()
            assert row is not None
            self._steps = (Cases.THERE, Cases.NEW) if row[0] else (Cases.ALL,)
            self._at_first = tuple(row[3])

    def leave_out_buried(self) -> int:
        """Take records out of the stage that are older than the deletion of their key; returns how many."""
        if self._appends or not self._has_tombstones:
            return 0
        return leave_out_buried(self._connection, self._table, self._merge)

    def bury(self) -> None:
        """Keep what the stage deletes."""
        if self._merge.has_tombstones:
            bury(self._connection, self._table, self._merge)

    def statement(self, source: sql.Composable = STAGE) -> sql.Composed:
        if self._appends:
            return append(self.name, self._merge, source)
        return merge_into(self.name, self._merge, source)

    def run(self, rows: int, source: sql.Composable = STAGE, within: sql.Composable | None = None) -> Outcome:
        """Bring the `rows` records of `source` in. `within` is as in `merge_into`."""
        if self._appends:
            return Outcome(inserted=self._connection.execute(self.statement(source)).rowcount)
        before, self._at_first, changed, took = self._at_first or self._counted(), None, 0, 0
        for cases in self._steps:
            took = self._connection.execute(merge_into(self.name, self._merge, source, cases, within)).rowcount
            changed += took
        inserted, stale, deleted = (now - then for now, then in zip(self._counted(), before, strict=True))
        if Cases.NEW in self._steps and took < inserted:
            raise keeps_records_away(self._table, took, inserted)
        return self.outcome(rows, changed, inserted, stale, deleted)

    def outcome(self, rows: int, changed: int, inserted: int, stale: int, deleted: int) -> Outcome:
        """What became of `rows` records, of which `changed` changed a row.

        A deletion is counted twice where a row changes in the moment in which it is to be deleted.
        """
        if self._appends:
            return Outcome(inserted=changed)
        deleted = min(deleted, changed - inserted)
        return Outcome(inserted, changed - inserted - deleted, rows - changed - stale, stale, deleted)

    def counters(self) -> sql.Composed:
        """SQL of the array of what was counted so far: inserted, stale, deleted."""
        return counters(self._merge)

    def _counted(self) -> tuple[int, ...]:
        row = self._connection.execute(sql.SQL("SELECT {}").format(self.counters()), prepare=True).fetchone()
        assert row is not None
        return tuple(row[0])


def keeps_records_away(table: Table, took: int, given: int) -> FaultError:
    return fault(
        "CONSTRAINT_VIOLATED",
        f"{table.name} took {took:,} of {given:,} records: a trigger of the table keeps records away, so that a load "
        "cannot be accounted for",
    )

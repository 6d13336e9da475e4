"""One load into a Postgres table: a transaction under an advisory lock, with the ledger in the same database.

The prepared records were cast and checked before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import psycopg
from psycopg import errors, sql

from sluicegate.faults import fault
from sluicegate.ledger.postgres.ledger import PostgresLedger
from sluicegate.pipeline.keys.model import Mode
from sluicegate.records.types import ColumnType
from sluicegate.targets.postgres.changes import changes_of
from sluicegate.targets.postgres.copy import copy_in
from sluicegate.targets.postgres.dialect import PostgresDialect
from sluicegate.targets.postgres.from_s3 import import_stored
from sluicegate.targets.postgres.isolate import bring_all_but_broken, same_key
from sluicegate.targets.postgres.merge import STAGE, identifiers, remove
from sluicegate.targets.postgres.merger import Merger, keeps_records_away
from sluicegate.targets.postgres.pieces import can_go_by_pieces, merge_by_pieces
from sluicegate.targets.postgres.present import present
from sluicegate.targets.postgres.refusal import puts_down_to_records, refused_as_a_whole
from sluicegate.targets.postgres.stage import create_stage, stage_columns
from sluicegate.targets.postgres.tombstones import was_anything_buried
from sluicegate.targets.postgres.watch import Watch
from sluicegate.targets.target import Applied, Changes, Merge, Outcome, Replaced, Table

__all__ = ["PostgresSession"]

log = logging.getLogger("sluicegate.load")

Connection = psycopg.Connection[tuple[Any, ...]]

_DIALECT = PostgresDialect()
_UNIQUE = """
SELECT array_agg(a.attname::text)
FROM pg_index i
JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, position)
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
WHERE n.nspname = %s AND c.relname = %s AND i.indisunique AND i.indisvalid AND i.indimmediate
  AND i.indpred IS NULL AND i.indexprs IS NULL AND k.position <= i.indnkeyatts
GROUP BY i.indexrelid
"""


class PostgresSession:
    """See `Session`. The transaction on `connection` holds the lock, and its commit keeps data and ledger together."""

    def __init__(
        self,
        connection: Connection,
        table: Table,
        watch: Watch,
        inspect: Callable[[Connection], Table],
        *,
        dry_run: bool,
    ) -> None:
        self.ledger = PostgresLedger(connection, is_current=True)
        self._connection, self._seen, self._watch, self._inspect = connection, table, watch, inspect
        self._name = sql.Identifier(table.schema, table.table)
        self._dry_run = dry_run
        self._changes: Changes | None = None

    def prepare(self, seen: Table, wanted: Mapping[str, ColumnType], key: Sequence[str]) -> bool:
        now = self._inspect(self._connection)
        if now != seen:
            return False
        if not now.exists:
            return self._create(wanted, key)
        for name, type_ in wanted.items():
            if name not in now.columns:
                self._connection.execute(
                    sql.SQL("ALTER TABLE {} ADD COLUMN {} {}").format(
                        self._name, sql.Identifier(name), sql.SQL(_DIALECT.name(type_))
                    )
                )
                log.info("added the column %s %s to %s", name, type_, now.name)
        return True

    def _create(self, wanted: Mapping[str, ColumnType], key: Sequence[str]) -> bool:
        parts = [sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(_DIALECT.name(t))) for name, t in wanted.items()]
        if key:
            parts.append(sql.SQL("PRIMARY KEY ({})").format(identifiers(key)))
        try:
            with self._connection.transaction():
                if not self._connection.execute(
                    "SELECT 1 FROM pg_namespace WHERE nspname = %s", [self._seen.schema]
                ).fetchone():
                    self._connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(self._seen.schema)))
                self._connection.execute(sql.SQL("CREATE TABLE {} ({})").format(self._name, sql.SQL(", ").join(parts)))
        except (errors.DuplicateTable, errors.DuplicateSchema, errors.UniqueViolation):
            return False  # Somebody who does not take our lock was quicker.
        log.info("created %s (%s)", self._seen.name, ", ".join(f"{name} {t}" for name, t in wanted.items()))
        return True

    def changes(self) -> AbstractContextManager[object]:
        return self._connection.transaction()

    def remove(self, replaced: Replaced) -> int:
        self._watch.phase = f"deleting the window from {self._seen.name}"
        with refused_as_a_whole(self._seen.name, "that the rows of the window are deleted"):
            return self._connection.execute(remove(self._name, replaced)).rowcount

    def apply(self, merge: Merge, too_many: Callable[[int], bool]) -> Applied:
        if merge.mode not in {Mode.APPEND, Mode.REPLACE_WINDOW}:
            self._require_unique(merge.key)
        if not merge.rows:
            return Applied(Outcome())
        self._watch.phase = f"bringing {merge.rows:,} records into {self._seen.name}"
        try:
            with self._connection.transaction():
                return Applied(self._bring(merge), changes=self._changes)
        except errors.CardinalityViolation as error:
            raise same_key(self._seen, merge.key) from error
        except psycopg.Error as error:
            if not puts_down_to_records(error):
                raise
            # Not its message, which may show values.
            log.info("%s refused a record (%s): looking for it and its like", self._seen.name, _reason(error))
        return bring_all_but_broken(self._connection, self._seen, merge, too_many, self._report, dry_run=self._dry_run)

    def _report(self, phase: str) -> None:
        self._watch.phase = phase

    def _bring(self, merge: Merge) -> Outcome:
        """All of the records at once."""
        appends = merge.mode in {Mode.APPEND, Mode.REPLACE_WINDOW}
        buries = not appends and was_anything_buried(self._connection, self._seen, merge)
        # Whether there is nothing yet that a record could meet.
        is_free = appends or not (buries or merge.has_tombstones or not self._is_empty())
        if not self._dry_run and is_free:
            try:
                with self._connection.transaction():
                    return Outcome(inserted=self._copy(self._name, merge))
            except errors.UniqueViolation:
                # Somebody who does not take our lock wrote meanwhile, so it is not empty any more.
                if appends:
                    raise
            except errors.FeatureNotSupported:
                log.info("%s takes no COPY (row-level security): records go through a stage", self._seen.name)
        if not self._dry_run and can_go_by_pieces(self._connection, self._seen, merge):
            outcome = merge_by_pieces(self._connection, self._seen, merge, has_tombstones=buries)
            if outcome is not None:
                return outcome
        create_stage(self._connection, self._seen, merge)
        merger = Merger(self._connection, self._seen, merge, has_tombstones=buries)
        outcome = Outcome()
        for between in [None] if self._dry_run else _batches(merge):
            rows = self._copy(STAGE, merge, between)
            buried = merger.leave_out_buried()
            if self._dry_run:
                self._changes = changes_of(self._connection, self._name, merge)
            outcome += merger.run(rows - buried) + Outcome(stale=buried)
            merger.bury()
            if between is not None:
                self._connection.execute(sql.SQL("TRUNCATE {}").format(STAGE))
        return outcome

    def _is_empty(self) -> bool:
        row = self._connection.execute(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(self._name)).fetchone()
        return row is None

    def _copy(self, into: sql.Identifier, merge: Merge, between: tuple[int, int] | None = None) -> int:
        if between is None:
            imported = import_stored(self._connection, self._seen, into, merge, self._report)
            if imported is not None:
                return imported
        wanted = merge.rows if between is None else between[1] - between[0]
        count = copy_in(self._connection, into, stage_columns(merge), merge, between)
        if count != wanted:
            raise keeps_records_away(self._seen, count, wanted)
        return count

    def _require_unique(self, key: Sequence[str]) -> None:
        found = self._connection.execute(_UNIQUE, [self._seen.schema, self._seen.table], prepare=True).fetchall()
        if any(set(columns) == set(key) for (columns,) in found):
            return
        remedy = sql.SQL("ALTER TABLE {} ADD UNIQUE ({})").format(self._name, identifiers(key))
        raise fault(
            "SCHEMA_MISMATCH",
            f"{self._seen.name} has no unique constraint on exactly its key ({', '.join(key)}), so a merge cannot be "
            f"made safe; add one: {remedy.as_string(self._connection)};",
        )

    def present(self, key: Sequence[str], values: Sequence[Sequence[str]]) -> list[bool]:
        return present(self._connection, self._seen, key, values)

    def commit(self) -> None:
        self._watch.phase = "committing"
        with refused_as_a_whole(self._seen.name, "the load as it is committed"):
            self._connection.commit()


def _reason(error: psycopg.Error) -> str:
    return error.diag.constraint_name or f"{type(error).__name__}, SQLSTATE {error.sqlstate}"


def _batches(merge: Merge) -> Iterator[tuple[int, int] | None]:
    """The positions of what one statement brings in; None for all of it at once."""
    if merge.batch_rows is None or merge.rows <= merge.batch_rows:
        yield None
        return
    for low in range(0, merge.rows, merge.batch_rows):
        yield low, min(low + merge.batch_rows, merge.rows)

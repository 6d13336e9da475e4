"""One load into a Postgres table: a transaction under an advisory lock, with the ledger in the same database.

What is in the prepared file was cast and checked before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import psycopg
from psycopg import errors, sql

from sluicegate.faults import fault
from sluicegate.ledger.postgres import PostgresLedger
from sluicegate.pipeline.keys.model import Mode
from sluicegate.records.types import ColumnType
from sluicegate.targets.postgres.dialect import PostgresDialect
from sluicegate.targets.postgres.isolate import bring_all_but_broken, keeps_records_away, same_key
from sluicegate.targets.postgres.refusal import puts_down_to_records
from sluicegate.targets.postgres.upsert import STAGE, identifiers, stale, upsert
from sluicegate.targets.postgres.watch import Watch
from sluicegate.targets.target import Applied, Merge, Outcome, Table

__all__ = ["PostgresSession"]

log = logging.getLogger("sluicegate.load")

Connection = psycopg.Connection[tuple[Any, ...]]

_DIALECT = PostgresDialect()
_CHUNK = 1 << 18
_PARTITIONED = """
SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = %s AND c.relkind = 'p'
"""
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
        self, connection: Connection, table: Table, watch: Watch, inspect: Callable[[Connection], Table]
    ) -> None:
        self.ledger = PostgresLedger(connection)
        self._connection, self._seen, self._watch, self._inspect = connection, table, watch, inspect
        self._name = sql.Identifier(table.schema, table.table)

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

    def apply(self, merge: Merge, too_many: Callable[[int], bool]) -> Applied:
        if merge.mode is not Mode.APPEND:
            self._require_unique(merge.key)
        if not merge.rows:
            return Applied(Outcome())
        self._watch.phase = f"bringing {merge.rows:,} records into {self._seen.name}"
        try:
            with self._connection.transaction():
                return Applied(self._bring(merge))
        except psycopg.Error as error:
            if not puts_down_to_records(error):
                raise
            # Not its message, which may show values.
            log.info("%s refused a record (%s): looking for it and its like", self._seen.name, _reason(error))
        return bring_all_but_broken(
            self._connection, self._seen, merge, too_many, self._report, partitioned=self._is_partitioned()
        )

    def _report(self, phase: str) -> None:
        self._watch.phase = phase

    def _bring(self, merge: Merge) -> Outcome:
        """All of the records at once."""
        if merge.mode is Mode.APPEND or self._is_empty():
            try:
                with self._connection.transaction():
                    return Outcome(inserted=self._copy(self._name, merge))
            except errors.UniqueViolation:
                # Somebody who does not take our lock wrote meanwhile, so it is not empty any more.
                if merge.mode is Mode.APPEND:
                    raise
        self._connection.execute(
            sql.SQL("CREATE TEMP TABLE sluicegate_stage ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(
                identifiers(merge.columns), self._name
            )
        )
        self._copy(STAGE, merge)
        return self._merge_stage(merge)

    def _is_empty(self) -> bool:
        row = self._connection.execute(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(self._name)).fetchone()
        return row is None

    def _is_partitioned(self) -> bool:
        row = self._connection.execute(_PARTITIONED, [self._seen.schema, self._seen.table]).fetchone()
        return row is not None

    def _copy(self, into: sql.Identifier, merge: Merge) -> int:
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(into, identifiers(merge.columns))
        with self._connection.cursor() as cursor:
            with merge.file.open("rb") as file, cursor.copy(statement) as sink:
                while chunk := file.read(_CHUNK):
                    sink.write(chunk)
            return self._all_of(cursor.rowcount, merge)

    def _all_of(self, count: int, merge: Merge) -> int:
        if count != merge.rows:
            raise keeps_records_away(self._seen, count, merge.rows)
        return count

    def _merge_stage(self, merge: Merge) -> Outcome:
        try:
            statement = upsert(self._name, merge, partitioned=self._is_partitioned())
            row = self._connection.execute(statement).fetchone()
        except errors.CardinalityViolation as error:
            raise same_key(self._seen, merge.key) from error
        assert row is not None
        inserted, touched = int(row[0]), int(row[1])
        same = merge.rows - touched
        stale = self._stale(merge) if same and merge.newest_by is not None else 0
        stale = min(stale, same)
        return Outcome(inserted, touched - inserted, same - stale, stale)

    def _stale(self, merge: Merge) -> int:
        self._connection.execute(sql.SQL("ANALYZE {}").format(STAGE))
        row = self._connection.execute(stale(self._name, merge)).fetchone()
        assert row is not None
        return int(row[0])

    def _require_unique(self, key: Sequence[str]) -> None:
        found = self._connection.execute(_UNIQUE, [self._seen.schema, self._seen.table]).fetchall()
        if any(set(columns) == set(key) for (columns,) in found):
            return
        remedy = sql.SQL("ALTER TABLE {} ADD UNIQUE ({})").format(self._name, identifiers(key))
        raise fault(
            "SCHEMA_MISMATCH",
            f"{self._seen.name} has no unique constraint on exactly its key ({', '.join(key)}), so a merge cannot be "
            f"made safe; add one: {remedy.as_string(self._connection)};",
        )

    def commit(self) -> None:
        self._watch.phase = "committing"
        self._connection.commit()


def _reason(error: psycopg.Error) -> str:
    return error.diag.constraint_name or f"{type(error).__name__}, SQLSTATE {error.sqlstate}"

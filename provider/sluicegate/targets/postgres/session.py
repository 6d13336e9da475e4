"""One load into a Postgres table: a transaction under an advisory lock, with the ledger in the same database.

What is in the prepared file was cast and checked before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import errors, sql

from sluicegate.faults import fault
from sluicegate.ledger.postgres import PostgresLedger
from sluicegate.pipeline.keys.model import Mode
from sluicegate.records.types import ColumnType
from sluicegate.targets.postgres.dialect import PostgresDialect
from sluicegate.targets.postgres.upsert import STAGE, identifiers, is_newer, upsert, version_of
from sluicegate.targets.postgres.watch import Watch
from sluicegate.targets.target import Merge, Outcome, Table

__all__ = ["PostgresSession"]

log = logging.getLogger("sluicegate.load")

Connection = psycopg.Connection[tuple[Any, ...]]

_DIALECT = PostgresDialect()
_CHUNK = 1 << 18
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

    def apply(self, merge: Merge) -> Outcome:
        if merge.mode is not Mode.APPEND:
            self._require_unique(merge.key)
        if not merge.rows:
            return Outcome()
        self._watch.phase = f"bringing {merge.rows:,} records into {self._seen.name}"
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

    def _copy(self, into: sql.Identifier, merge: Merge) -> int:
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(into, identifiers(merge.columns))
        with self._connection.cursor() as cursor:
            with merge.file.open("rb") as file, cursor.copy(statement) as sink:
                while chunk := file.read(_CHUNK):
                    sink.write(chunk)
            return self._all_of(cursor.rowcount, merge)

    def _all_of(self, count: int, merge: Merge) -> int:
        if count != merge.rows:
            raise fault(
                "CONSTRAINT_VIOLATED",
                f"{self._seen.name} took {count:,} of {merge.rows:,} records: a trigger or a rule of the table keeps "
                "records away, so that a load cannot be accounted for",
            )
        return count

    def _merge_stage(self, merge: Merge) -> Outcome:
        statement = upsert(self._name, merge)
        try:
            row = self._connection.execute(statement).fetchone()
        except errors.CardinalityViolation as error:
            raise fault(
                "CONSTRAINT_VIOLATED",
                f"two records have a key that is different as text and the same to {self._seen.name} "
                "(a collation or a type that ignores case or blanks): make the key the same in the source",
            ) from error
        assert row is not None
        inserted, touched = int(row[0]), int(row[1])
        same = merge.rows - touched
        stale = self._stale(merge) if same and merge.newest_by is not None else 0
        stale = min(stale, same)
        return Outcome(inserted, touched - inserted, same - stale, stale)

    def _stale(self, merge: Merge) -> int:
        assert merge.newest_by is not None
        self._connection.execute(sql.SQL("ANALYZE {}").format(STAGE))
        older, newer = (version_of(alias, merge) for alias in ("s", "t"))
        same_key = sql.SQL(" AND ").join(sql.SQL("s.{0} = t.{0}").format(sql.Identifier(name)) for name in merge.key)
        return int(
            _one(
                self._connection,
                sql.SQL("SELECT count(*) FROM {} s JOIN {} t ON {} WHERE {}").format(
                    STAGE, self._name, same_key, is_newer(newer, older)
                ),
            )
        )

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


def _one(connection: Connection, query: Any, arguments: Sequence[object] = ()) -> Any:
    row = connection.execute(query, arguments).fetchone()
    assert row is not None
    return row[0]

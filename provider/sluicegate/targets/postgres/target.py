"""A Postgres table as a target: how it is reached, and what it looks like. The work on it is in `session`."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator
from typing import Self

import psycopg
from psycopg import sql

from sluicegate.faults import fault
from sluicegate.ledger.entries import Origin
from sluicegate.ledger.postgres.ledger import PostgresLedger
from sluicegate.ledger.postgres.migrations import is_complete, migrate
from sluicegate.records.dialect import Dialect
from sluicegate.targets.connection import split_table
from sluicegate.targets.postgres import lend
from sluicegate.targets.postgres.connect import Connection, conninfo_for, new_connection
from sluicegate.targets.postgres.dialect import PostgresDialect
from sluicegate.targets.postgres.overlap import alone_in_window
from sluicegate.targets.postgres.session import PostgresSession
from sluicegate.targets.postgres.watch import Watch
from sluicegate.targets.target import StoredForm, Table, TableColumn

__all__ = ["PostgresTarget", "lock_of"]

_TABLE = """
SELECT p.schema, c.relkind::text,
       EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN'),
       a.attname,
       CASE WHEN d.base IS NULL THEN format_type(a.atttypid, a.atttypmod) ELSE format_type(d.base, d.modifier) END,
       a.attnotnull OR coalesce(d.required, false),
       a.atthasdef OR a.attidentity <> '' OR coalesce(d.fillable, false),
       a.attgenerated = '' AND a.attidentity <> 'a',
       ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid IN (a.atttypid, d.base) ORDER BY enumsortorder)
FROM (SELECT coalesce(%(schema)s, (SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                                   WHERE c.oid = to_regclass(quote_ident(%(table)s))),
                      current_schema(), 'public')) AS p (schema)
LEFT JOIN (pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace)
       ON n.nspname = p.schema AND c.relname = %(table)s
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN LATERAL (
    -- A domain may be over another domain, and each may have a default and refuse NULL.
    WITH RECURSIVE domains AS (
        SELECT 1 AS depth, t.typbasetype, t.typtypmod, t.typnotnull, t.typdefault WHERE t.typtype = 'd'
        UNION ALL
        SELECT depth + 1, o.typbasetype, o.typtypmod, o.typnotnull, o.typdefault
        FROM domains JOIN pg_type o ON o.oid = domains.typbasetype WHERE o.typtype = 'd'
    )
    SELECT (array_agg(typbasetype ORDER BY depth DESC))[1] AS base,
           (array_agg(typtypmod ORDER BY depth DESC))[1] AS modifier,
           bool_or(typnotnull) AS required, bool_or(typdefault IS NOT NULL) AS fillable
    FROM domains
) AS d ON true
ORDER BY a.attnum
"""
_VALUES = 20_000
_IDLE = psycopg.pq.TransactionStatus.IDLE
_OLDEST = 150_000


class PostgresTarget:
    """`table` (`[schema.]table`, as it is written) in the database of `conninfo` (a URL or libpq's words)."""

    dialect: Dialect = PostgresDialect()
    takes_stored = StoredForm.TEXT

    def __init__(self, conninfo: str, table: str, *, application: str = "load", watch_seconds: float = 10.0) -> None:
        self._conninfo = conninfo_for(conninfo, application)
        self._watch_seconds = watch_seconds
        self._running: Connection | None = None
        self._held: Connection | None = None
        self._is_held = self._is_cancelled = False
        self._used = 0.0
        self._has_ledger = False
        """Whether there was one when it was looked at."""
        self._schema, self._table = split_table(table)

    def __enter__(self) -> Self:
        self._is_held = True
        return self

    def __exit__(self, *_: object) -> None:
        self._is_held = False
        connection, self._held = self._held, None
        if connection is None:
            return
        if self._is_cancelled:  # What cancels it may be on its way, and would stop the load that has it next.
            connection.close()
        else:
            lend.give_back(self._conninfo, connection)

    def inspect(self) -> Table:
        with self._connect() as connection:
            return self._inspect(connection)

    def values(self, column: str) -> Iterator[list[str]]:
        """The distinct values of a column as texts, some thousands at a time; NULL is none."""
        with self._connect() as connection, connection.transaction(), connection.cursor("values") as cursor:
            table = self._inspect(connection)
            place = sql.Identifier(table.schema, table.table)
            cursor.itersize = _VALUES
            cursor.execute(
                sql.SQL("SELECT DISTINCT {column}::text FROM {place} WHERE {column} IS NOT NULL").format(
                    column=sql.Identifier(column), place=place
                )
            )
            while rows := cursor.fetchmany(_VALUES):
                yield [str(value) for (value,) in rows]

    @contextlib.contextmanager
    def ledger(self) -> Iterator[PostgresLedger]:
        with self._connect() as connection:
            self._has_ledger = is_complete(connection)
            yield PostgresLedger(connection, is_current=self._has_ledger)

    def alone(self, table: Table, origin: Origin) -> contextlib.AbstractContextManager[None]:
        return alone_in_window(self._conninfo, table.name, origin)

    @contextlib.contextmanager
    def session(self, table: Table, *, dry_run: bool) -> Iterator[PostgresSession]:
        """One transaction under an advisory lock, with the ledger in it."""
        with self._connect() as connection:
            if connection.info.server_version < _OLDEST:
                major = connection.info.server_version // 10_000
                raise fault(
                    "WRONG_USE", f"{table.name} is in Postgres {major}, and loads need 15 or later: it has MERGE"
                )
            self._running = connection
            try:
                if not dry_run and not is_complete(connection, is_there=self._has_ledger):
                    with connection.transaction():
                        migrate(connection)
                connection.autocommit = False
                with Watch(self._conninfo, connection.info.backend_pid, self._watch_seconds) as watch:
                    watch.phase = f"waiting for the lock on {table.name}"
                    connection.execute("SELECT pg_advisory_xact_lock(%s)", [lock_of(table)])
                    if dry_run:
                        migrate(connection)
                    yield PostgresSession(connection, table, watch, self._inspect, dry_run=dry_run)
            finally:
                self._running = None
                # Whatever was not committed by now must not be: `with connect()` would commit it.
                if not connection.closed:
                    with contextlib.suppress(psycopg.Error):
                        connection.rollback()

    def cancel(self) -> None:
        self._is_cancelled = True
        if (connection := self._running) is not None:
            connection.cancel_safe(timeout=5)

    @contextlib.contextmanager
    def _connect(self) -> Iterator[Connection]:
        """A connection in no transaction, which is the same one within a `with` of the target."""
        connection, self._held = self._held, None
        if connection is None or not lend.is_alive(connection, self._used):
            connection = (lend.take(self._conninfo) if self._is_held else None) or new_connection(self._conninfo)
        try:
            yield connection
        finally:
            if self._is_held and not connection.closed and connection.info.transaction_status == _IDLE:
                connection.autocommit = True
                self._held, self._used = connection, time.monotonic()
            else:
                connection.close()

    def _inspect(self, connection: Connection) -> Table:
        names = {"schema": self._schema, "table": self._table}
        rows = connection.execute(_TABLE, names, prepare=True).fetchall()
        schema, kind, has_rules = rows[0][:3]
        name = f"{schema}.{self._table}"
        if kind is None:
            return Table(name, schema, self._table)
        if kind not in {"r", "p"}:
            raise fault("SCHEMA_MISMATCH", f"{name} is not a table that records can be loaded into (relkind {kind})")
        if has_rules:
            raise fault("SCHEMA_MISMATCH", f"{name} has rules, which MERGE refuses and COPY passes by: use triggers")
        columns = {
            str(column): TableColumn(
                self.dialect.parse(type_),
                required=required and written,
                fillable=not required or default,
                written=written,
                labels=tuple(labels),
            )
            for _, _, _, column, type_, required, default, written, labels in rows
            if column is not None
        }
        return Table(name, schema, self._table, columns)


def lock_of(table: Table) -> int:
    """The advisory lock of a target: 63 bits of a digest of its name."""
    return int.from_bytes(hashlib.sha256(f"sluicegate:{table.name}".encode()).digest()[:8], "big") >> 1

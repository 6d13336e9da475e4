"""A Postgres table as a target: one transaction under an advisory lock, with the ledger in the same database.

All of the target's SQL stands here. What is in the prepared file was cast and checked before.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sluicegate.faults import fault
from sluicegate.ledger import postgres as ledger
from sluicegate.ledger.entries import DeadLetter, Load, Origin
from sluicegate.pipeline.keys.model import Mode
from sluicegate.records.types import ColumnType, parse_type
from sluicegate.targets.target import Merge, Outcome, Session, Table, TableColumn
from sluicegate.targets.upsert import STAGE, identifiers, is_newer, upsert, version_of
from sluicegate.targets.watch import Watch

__all__ = ["PostgresTarget"]

log = logging.getLogger("sluicegate.load")

Connection = psycopg.Connection[tuple[Any, ...]]

_CHUNK = 1 << 18
_PLACE = """
SELECT coalesce((SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE c.oid = to_regclass(quote_ident(%s))), current_schema(), 'public')
"""
_KIND = """
SELECT c.relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = %s
"""
_COLUMNS = """
SELECT a.attname,
       CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod)
            ELSE format_type(a.atttypid, a.atttypmod) END,
       a.attnotnull OR t.typnotnull,
       a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL,
       a.attgenerated = '' AND a.attidentity <> 'a'
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_type t ON t.oid = a.atttypid
WHERE n.nspname = %s AND c.relname = %s AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
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
# The server notices within seconds that a killed client is gone, also in a statement or waiting for a lock, and
# within two minutes that its machine is. A setting that this server does not have is left alone.
_SETTINGS = {
    "client_connection_check_interval": "2s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "6",
}
_SYNCHRONOUS = (
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
)


class PostgresTarget:
    """`table` (`[schema.]table`, as it is written) in the database of `conninfo` (a URL or libpq's words)."""

    def __init__(self, conninfo: str, table: str, *, application: str = "load", watch_seconds: float = 10.0) -> None:
        words = {"connect_timeout": "10", "keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "6"}
        given = {key: value for key, value in conninfo_to_dict(conninfo).items() if value is not None}
        self._conninfo = make_conninfo("", **{**words, **given, "application_name": f"sluicegate {application}"[:63]})
        self._watch_seconds = watch_seconds
        self._running: Connection | None = None
        schema, dot, name = table.rpartition(".")
        if not name or (dot and not schema):
            raise fault("WRONG_USE", f"{table!r} is not a table: write [schema.]table")
        self._schema, self._table = schema or None, name

    def inspect(self) -> Table:
        with self._connect() as connection:
            return self._inspect(connection)

    def find(self, table: Table, source: str, version: str, digest: str, *, ever: bool) -> Load | None:
        with self._connect() as connection:
            return ledger.find(connection, table.name, source, version, digest, ever=ever)

    @contextlib.contextmanager
    def session(self, table: Table, *, dry_run: bool) -> Iterator[Session]:
        with self._connect() as connection:
            self._running = connection
            try:
                if not dry_run:
                    with connection.transaction():
                        ledger.ensure(connection)
                connection.autocommit = False
                with Watch(self._conninfo, connection.info.backend_pid, self._watch_seconds) as watch:
                    watch.phase = f"waiting for the lock on {table.name}"
                    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_lock_of(table)])
                    if dry_run:
                        ledger.ensure(connection)
                    yield _PostgresSession(self, connection, table, watch)
            finally:
                self._running = None
                # Whatever was not committed by now must not be: `with connect()` would commit it.
                if not connection.closed:
                    with contextlib.suppress(psycopg.Error):
                        connection.rollback()

    def cancel(self) -> None:
        if (connection := self._running) is not None:
            connection.cancel_safe(timeout=5)

    @contextlib.contextmanager
    def _connect(self) -> Iterator[Connection]:
        connection = psycopg.connect(self._conninfo, autocommit=True)
        try:
            connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
            for name, value in _SETTINGS.items():
                with contextlib.suppress(
                    errors.InvalidParameterValue, errors.UndefinedObject, errors.FeatureNotSupported
                ):
                    connection.execute("SELECT set_config(%s, %s, false)", [name, value])
            connection.execute(_SYNCHRONOUS)
            yield connection
        finally:
            connection.close()

    def _inspect(self, connection: Connection) -> Table:
        schema = self._schema or _one(connection, _PLACE, [self._table])
        name = f"{schema}.{self._table}"
        kind = connection.execute(_KIND, [schema, self._table]).fetchone()
        if kind is None:
            return Table(name, schema, self._table)
        if kind[0] not in {"r", "p"}:
            raise fault("SCHEMA_MISMATCH", f"{name} is not a table that records can be loaded into (relkind {kind[0]})")
        columns = {
            str(column): TableColumn(
                parse_type(type_, foreign=True),
                required=required and written,
                fillable=not required or default,
                written=written,
            )
            for column, type_, required, default, written in connection.execute(_COLUMNS, [schema, self._table])
        }
        return Table(name, schema, self._table, columns)


class _PostgresSession:
    """See `Session`. Lives inside the transaction that holds the lock."""

    def __init__(self, target: PostgresTarget, connection: Connection, table: Table, watch: Watch) -> None:
        self._target, self._connection, self._seen, self._watch = target, connection, table, watch
        self._name = sql.Identifier(table.schema, table.table)

    def find(self, source: str, version: str, digest: str, *, ever: bool) -> Load | None:
        return ledger.find(self._connection, self._seen.name, source, version, digest, ever=ever)

    def prepare(self, seen: Table, wanted: Mapping[str, ColumnType], key: Sequence[str]) -> bool:
        now = self._target._inspect(self._connection)
        if now != seen:
            return False
        if not now.exists:
            return self._create(wanted, key)
        for name, type_ in wanted.items():
            if name not in now.columns:
                self._connection.execute(
                    sql.SQL("ALTER TABLE {} ADD COLUMN {} {}").format(
                        self._name, sql.Identifier(name), sql.SQL(type_.postgres)
                    )
                )
                log.info("added the column %s %s to %s", name, type_, now.name)
        return True

    def _create(self, wanted: Mapping[str, ColumnType], key: Sequence[str]) -> bool:
        parts = [sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(t.postgres)) for name, t in wanted.items()]
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

    def merge(self, merge: Merge) -> Outcome:
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

    def set_aside(self, digest: str, origin: Origin, letters: Iterable[DeadLetter]) -> None:
        self._watch.phase = f"setting records of {self._seen.name} aside"
        ledger.set_aside(self._connection, self._seen.name, digest, origin, letters)

    def letters_that_are_open(self, origin: Origin) -> list[tuple[str, dict[str, str]]]:
        return ledger.letters_that_are_open(self._connection, self._seen.name, origin)

    def resolve(self, ids: Sequence[str], run: str) -> int:
        return ledger.resolve(self._connection, ids, run)

    def record(self, load: Load) -> None:
        ledger.record(self._connection, load)

    def commit(self) -> None:
        self._watch.phase = "committing"
        self._connection.commit()


def _lock_of(table: Table) -> int:
    """The advisory lock of a target: 63 bits of a digest of its name."""
    return int.from_bytes(hashlib.sha256(f"sluicegate:{table.name}".encode()).digest()[:8], "big") >> 1


def _one(connection: Connection, query: Any, arguments: Sequence[object] = ()) -> Any:
    row = connection.execute(query, arguments).fetchone()
    assert row is not None
    return row[0]

"""Databases as streams of Arrow batches: Postgres by a cursor in the server, others by their Airflow hook."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from sluicegate.faults import classify, fault
from sluicegate.sources.statement import Statement
from sluicegate.sources.types import batch_of, inferred, of_postgres

if TYPE_CHECKING:
    import psycopg
    import pyarrow as pa

__all__ = ["Database", "HookDatabase", "PostgresDatabase", "database_of"]

Rows = tuple["pa.Schema", Iterator["pa.RecordBatch"]]
"""The columns of a query, and what it returns in batches, at least one of them."""
ROWS = 20_000
"""Of one batch."""
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")


class Database(Protocol):
    """What a query is asked of."""

    def column(self, name: str) -> str:
        """A column's name as the query's text takes it."""

    def newest(self, statement: Statement, column: str) -> Any:
        """The largest value of a column."""

    def read(self, statement: Statement, most: int | None = None) -> AbstractContextManager[Rows]:
        """What a query returns, to be read within the context."""

    def cancel(self) -> None:
        """Stop what is running, from another thread or a signal handler."""


def database_of(connection_id: str, application: str) -> Database:
    """The database of an Airflow connection.

    :raises FaultError: CONNECTION_MISSING, or WRONG_USE when it is not one to a database.
    """
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowException

    from sluicegate.ledger.conninfo import conninfo_of

    try:
        connection: Any = BaseHook.get_connection(connection_id)
        if connection.conn_type in {"postgres", "postgresql"}:
            return PostgresDatabase(conninfo_of(connection_id), application)
    except Exception as missing:
        raise classify(missing) from missing
    kind = connection.conn_type
    try:
        hook = connection.get_hook()
    except AirflowException as unknown:
        why = f"the connection {connection_id} is of type {kind!r}, which none of the providers here has: {unknown}"
        raise fault("WRONG_USE", why) from unknown
    except Exception as broken:
        raise classify(broken) from broken
    if not hasattr(hook, "get_conn") or not hasattr(hook, "placeholder"):
        raise fault("WRONG_USE", f"the connection {connection_id} is of type {kind!r}, not a database")
    return HookDatabase(hook, connection_id)


class PostgresDatabase:
    """Rows come by a cursor in the server, in a transaction that only reads; moments come in UTC."""

    def __init__(self, conninfo: str, application: str = "sluicegate") -> None:
        self._conninfo, self._application = conninfo, application
        self._open: psycopg.Connection[Any] | None = None

    def column(self, name: str) -> str:
        doubled = name.replace('"', '""')
        return f'"{doubled}"'

    def newest(self, statement: Statement, column: str) -> Any:
        with self._connected() as connection:
            query = statement.newest(self.column(column))
            row = connection.execute(query.text("%s").encode(), list(query.values)).fetchone()
            return None if row is None else row[0]

    @contextmanager
    def read(self, statement: Statement, most: int | None = None) -> Iterator[Rows]:
        import pyarrow as pa

        with self._connected() as connection, connection.cursor(name="sluicegate_fetch") as cursor:
            cursor.itersize = ROWS
            cursor.execute(statement.text("%s").encode(), list(statement.values))
            names = connection.adapters.types
            found = [
                (one.name, of_postgres(_type_name(names, one.type_code), one.precision, one.scale))
                for one in cursor.description or ()
            ]
            schema = pa.schema([pa.field(name, type_) for name, type_ in found])
            _refuse_twins(schema)
            yield schema, _batches(cursor, schema, most)

    def cancel(self) -> None:
        if (connection := self._open) is not None:
            connection.cancel()

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[Any]]:
        import psycopg
        from psycopg.types.string import TextLoader

        options = "-c timezone=UTC -c datestyle=ISO -c intervalstyle=iso_8601"
        with (
            _readable(),
            psycopg.connect(
                self._conninfo, application_name=self._application, connect_timeout=10, options=options
            ) as connection,
        ):
            connection.read_only = True
            for kind in connection.adapters.types:
                is_exact = not _is_text(of_postgres(kind.name, 10, 0))
                for oid in (0 if is_exact else kind.oid, kind.array_oid):
                    if oid:
                        connection.adapters.register_loader(oid, TextLoader)
            self._open = connection
            try:
                yield connection
            finally:
                self._open = None


@contextmanager
def _readable() -> Iterator[None]:
    """Around reading: a value that Python has no room for is a fault of the source."""
    import psycopg

    try:
        yield
    except psycopg.DataError as error:
        if error.sqlstate is not None:
            raise  # the server's own
        raise fault("SOURCE_UNREADABLE", f"the query: {error}; CAST that column to text in the query") from error


class HookDatabase:
    """Any database that an Airflow hook of `common.sql` reaches. How many rows its driver holds is the driver's."""

    def __init__(self, hook: Any, connection_id: str) -> None:
        self._hook, self._id = hook, connection_id
        self._open: Any = None

    def column(self, name: str) -> str:
        if _PLAIN.fullmatch(name) is None:
            raise fault("WRONG_USE", f"watermark: {name!r} would have to be quoted: give the column a plain name by AS")
        return name

    def newest(self, statement: Statement, column: str) -> Any:
        with self._cursor(statement.newest(self.column(column))) as cursor:
            row = cursor.fetchone()
            return None if row is None else row[0]

    @contextmanager
    def read(self, statement: Statement, most: int | None = None) -> Iterator[Rows]:
        import pyarrow as pa

        with self._cursor(statement) as cursor:
            first = cursor.fetchmany(min(ROWS, most or ROWS))
            names = [str(column[0]) for column in cursor.description]
            fields = [pa.field(name, inferred([row[at] for row in first])) for at, name in enumerate(names)]
            schema = pa.schema(fields)
            _refuse_twins(schema)
            yield schema, _batches(cursor, schema, most, first)

    def cancel(self) -> None:
        if (connection := self._open) is not None:
            with suppress(Exception):
                connection.close()

    @contextmanager
    def _cursor(self, statement: Statement) -> Iterator[Any]:
        placeholder = str(self._hook.placeholder)
        connection = self._hook.get_conn()
        self._open = connection
        try:
            cursor = connection.cursor()
            if statement.values:
                cursor.execute(statement.text(placeholder), list(statement.values))
            else:
                cursor.execute("".join(statement.pieces))
            yield cursor
        finally:
            self._open = None
            with suppress(Exception):
                connection.close()


def _batches(cursor: Any, schema: pa.Schema, most: int | None, first: Any = None) -> Iterator[pa.RecordBatch]:
    rows = cursor.fetchmany(min(ROWS, most or ROWS)) if first is None else first
    left = most
    yield batch_of(rows, schema, "the query")
    while rows and (left is None or (left := left - len(rows)) > 0):
        rows = cursor.fetchmany(ROWS if left is None else min(ROWS, left))
        if rows:
            yield batch_of(rows, schema, "the query")


def _type_name(types: Any, oid: int) -> str:
    known = types.get(oid)
    return str(known.name) if known is not None and known.oid == oid else ""


def _is_text(type_: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(type_))


def _refuse_twins(schema: pa.Schema) -> None:
    if twice := sorted({name for name in schema.names if schema.names.count(name) > 1}):
        raise fault("WRONG_USE", f"the query has {', '.join(twice)} more than once: name its columns by AS")

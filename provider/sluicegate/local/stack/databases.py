"""The embedded Postgres's databases and their owners, `airflow` (metadata) and `warehouse`: all its SQL.

Every function may be called again at any time: after a crash it finishes what was begun.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from sluicegate.local.stack.postgres import SUPERUSER
from sluicegate.local.stack.state import Ports, Secrets, State, write_private

NotReachable = psycopg.OperationalError

AIRFLOW = "airflow"
WAREHOUSE = "warehouse"


def connect(ports: Ports, secrets: Secrets, database: str = "postgres") -> psycopg.Connection:
    """As the superuser, every statement for itself. Raises `NotReachable`."""
    return psycopg.connect(
        host="127.0.0.1",
        port=ports.postgres,
        user=SUPERUSER,
        password=secrets.postgres_password,
        dbname=database,
        connect_timeout=5,
        autocommit=True,
    )


def ensure(connection: psycopg.Connection, secrets: Secrets) -> None:
    """Roles with their passwords, each with a database of its own that no other role may enter."""
    for name, password in ((AIRFLOW, secrets.airflow_password), (WAREHOUSE, secrets.warehouse_password)):
        _ensure_role(connection, name, password)
        _ensure_database(connection, name)


def _ensure_role(connection: psycopg.Connection, name: str, password: str) -> None:
    known = connection.execute("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = %s", [name]).fetchone()
    # The verifier, not the password: a statement that fails is written to the server's log.
    verifier = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    statement = "ALTER ROLE {} LOGIN PASSWORD {}" if known else "CREATE ROLE {} LOGIN PASSWORD {}"
    connection.execute(sql.SQL(statement).format(sql.Identifier(name), sql.Literal(verifier)))


def _ensure_database(connection: psycopg.Connection, name: str) -> None:
    database = sql.Identifier(name)
    known = connection.execute("SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s", [name]).fetchone()
    if not known:
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, database))
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))


def write_pgpass(state: State, ports: Ports, secrets: Secrets) -> None:
    """The file out of which a person's `psql` takes the warehouse's password."""
    write_private(state.pgpass, f"127.0.0.1:{ports.postgres}:{WAREHOUSE}:{WAREHOUSE}:{secrets.warehouse_password}\n")


def migrated_to(connection: psycopg.Connection) -> str:
    """The Airflow version whose migration of the metadata database was finished last; empty if none was."""
    row = connection.execute(
        "SELECT pg_catalog.shobj_description(oid, 'pg_database') FROM pg_catalog.pg_database WHERE datname = %s",
        [AIRFLOW],
    ).fetchone()
    return str(row[0]) if row and row[0] else ""


def mark_migrated(connection: psycopg.Connection, version: str) -> None:
    comment = sql.SQL("COMMENT ON DATABASE {} IS {}")
    connection.execute(comment.format(sql.Identifier(AIRFLOW), sql.Literal(version)))


def discard_half_made(connection: psycopg.Connection, secrets: Secrets) -> None:
    """Make the metadata database anew. Only where no migration has ever finished: such a one is empty."""
    connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(AIRFLOW)))
    ensure(connection, secrets)

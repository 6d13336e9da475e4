"""A connection to Postgres that a load can trust: it notices that the other end is gone, and keeps its commits."""

from __future__ import annotations

import contextlib
from typing import Any

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo

__all__ = ["Connection", "conninfo_for", "has_own_server", "new_connection", "renew"]

Connection = psycopg.Connection[tuple[Any, ...]]

_WORDS = {"connect_timeout": "10", "keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "6"}
# The server notices within seconds that a killed client is gone, also in a statement or waiting for a lock, and
# within two minutes that its machine is. A setting that this server does not have is left alone.
_SETTINGS = {
    "client_connection_check_interval": "2s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "6",
    # The versions of deletions are kept as texts, which are to mean the same tomorrow.
    "DateStyle": "ISO",
}
_SYNCHRONOUS = (
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
)
# Without parameters, so that it can be sent behind another statement.
_SET_ALL = f"""
SELECT {", ".join(f"set_config('{name}', '{value}', false)" for name, value in _SETTINGS.items())},
       CASE WHEN current_setting('synchronous_commit') = 'off'
            THEN set_config('synchronous_commit', 'on', false) END
"""
_ON_WISH = 1 << 30
"""Executions after which psycopg prepares a statement that does not wish it: none comes that often."""
_UNKNOWN_SETTING = (errors.InvalidParameterValue, errors.UndefinedObject, errors.FeatureNotSupported)


def conninfo_for(conninfo: str, application: str) -> str:
    """`conninfo` with what it does not say of patience, and the name that the server shows for us."""
    given = {key: value for key, value in conninfo_to_dict(conninfo).items() if value is not None}
    # COPY's bytes are UTF-8, whatever the database's own encoding is.
    own = {"application_name": f"sluicegate {application}"[:63], "client_encoding": "UTF8"}
    return make_conninfo("", **{**_WORDS, **given, **own})


def new_connection(conninfo: str) -> Connection:
    """In autocommit."""
    # By itself nothing is prepared: a table may change its form or its size, and a plan goes by both.
    connection = psycopg.connect(conninfo, autocommit=True, prepare_threshold=None)
    try:
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        _set(connection)
        row = connection.execute("SELECT pg_backend_pid()").fetchone()
        if row == (connection.info.backend_pid,):
            connection.prepare_threshold = _ON_WISH
    except BaseException:
        connection.close()
        raise
    return connection


def renew(connection: Connection) -> None:
    """Have the settings of a new connection again: a trigger of the table that was loaded may have changed any."""
    _set(connection, "RESET ALL")


def _set(connection: Connection, before: str = "") -> None:
    """:param before: a statement that comes first, in the same message."""
    try:
        connection.execute(f"{before};{_SET_ALL}".encode())
    except _UNKNOWN_SETTING:
        if before:
            connection.execute(before.encode())
        for name, value in _SETTINGS.items():
            with contextlib.suppress(*_UNKNOWN_SETTING):
                connection.execute("SELECT set_config(%s, %s, false)", [name, value])
        connection.execute(_SYNCHRONOUS)


def has_own_server(connection: Connection) -> bool:
    """Whether the server's process is this connection's own, so that what is made there for later is there then. One
    behind a pooler is not: it gives out numbers of its own for the processes.
    """
    return connection.prepare_threshold is not None

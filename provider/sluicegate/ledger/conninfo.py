"""From an Airflow connection to words that psycopg understands. The password goes nowhere else."""

from __future__ import annotations

from typing import Any

from sluicegate.faults import fault

__all__ = ["conninfo_from", "conninfo_of"]


def conninfo_of(connection_id: str) -> str:
    """Libpq's connection string of the Airflow connection.

    :raises FaultError: WRONG_USE when it is not one to Postgres.
    :raises AirflowNotFoundException: when there is no such connection.
    """
    from airflow.sdk import BaseHook

    return conninfo_from(BaseHook.get_connection(connection_id), connection_id)


def conninfo_from(connection: Any, connection_id: str) -> str:
    """The same of a connection that was found already, Airflow's SDK's or its database's.

    :raises FaultError: WRONG_USE when it is not one to Postgres.
    """
    import psycopg
    from psycopg.conninfo import make_conninfo

    if connection.conn_type not in {"postgres", "postgresql"}:
        found = f"the connection {connection_id} is of type {connection.conn_type!r}, not postgres"
        if connection.conn_type == "redshift":
            found += ": its ledger is in the Postgres of `connections.ledger`, which is not said here"
        raise fault("WRONG_USE", found)
    known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
    words: dict[str, str] = {key: str(value) for key, value in connection.extra_dejson.items() if key in known}
    given = {
        "host": connection.host,
        "port": connection.port,
        "user": connection.login,
        "password": connection.password,
        "dbname": connection.schema,
    }
    words |= {key: str(value) for key, value in given.items() if value not in (None, "")}
    return make_conninfo("", **words)

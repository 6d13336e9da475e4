"""From an Airflow connection to words that psycopg understands. The password goes nowhere else."""

from __future__ import annotations

import re

from sluicegate.faults import fault

__all__ = ["conninfo_of", "parse_table"]

_TABLE = re.compile(r"table://(?P<connection>[^/]+)/(?P<table>[^/]+)")


def parse_table(uri: str) -> tuple[str, str]:
    """Connection id and `[schema.]table` of `table://<connection>/<[schema.]table>`.

    :raises FaultError: WRONG_USE for any other place.
    """
    match = _TABLE.fullmatch(uri)
    if match is None:
        raise fault(
            "WRONG_USE", f"into: {uri!r} is not a table; a load goes into table://<connection>/<[schema.]table>"
        )
    schema, dot, name = match["table"].rpartition(".")
    if not name or (dot and not schema):
        raise fault("WRONG_USE", f"{match['table']!r} is not a table: write [schema.]table")
    return match["connection"], match["table"]


def conninfo_of(connection_id: str) -> str:
    """Libpq's connection string of the Airflow connection.

    :raises FaultError: WRONG_USE when it is not one to Postgres.
    :raises AirflowNotFoundException: when there is no such connection.
    """
    import psycopg
    from airflow.sdk import BaseHook
    from psycopg.conninfo import make_conninfo

    connection = BaseHook.get_connection(connection_id)
    if connection.conn_type not in {"postgres", "postgresql"}:
        raise fault("WRONG_USE", f"the connection {connection_id} is of type {connection.conn_type!r}, not postgres")
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

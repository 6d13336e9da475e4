"""From an Airflow connection to words that psycopg understands. The password goes nowhere else."""

from __future__ import annotations

import re
from typing import Any

from sluicegate.faults import fault
from sluicegate.targets.postgres.names import too_long

__all__ = ["conninfo_from", "conninfo_of", "parse_table", "split_table"]

_TABLE = re.compile(r"table://(?P<connection>[^/]+)/(?P<table>[^/]+)")
_EXPRESSION = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)


def parse_table(uri: str, template: str | None = None) -> tuple[str, str]:
    """Connection id and `[schema.]table` of `table://<connection>/<[schema.]table>`.

    :param template: what `uri` was rendered from. What it fills in may name the table and not add a schema to it.
    :raises FaultError: WRONG_USE for any other place.
    """
    match = _TABLE.fullmatch(uri)
    if match is None:
        raise fault(
            "WRONG_USE", f"into: {uri!r} is not a table; a load goes into table://<connection>/<[schema.]table>"
        )
    table = match["table"]
    split_table(table)
    if template is not None and "." in table:
        written = _EXPRESSION.sub("", template).rpartition("/")[2]
        if "." not in written:
            raise fault(
                "WRONG_USE",
                f"into: {template} became the table {table!r}, which chooses a schema: only the pipeline file does; "
                "write the dot in the file (`table://warehouse/sales.{{ params.table }}`)",
            )
    return match["connection"], table


def split_table(table: str) -> tuple[str | None, str]:
    """Schema, if any, and name of `[schema.]table`.

    :raises FaultError: WRONG_USE when it is not one, or has a name that Postgres does not keep whole.
    """
    schema, dot, name = table.rpartition(".")
    if not name or (dot and not schema) or "." in schema:
        raise fault("WRONG_USE", f"{table!r} is not a table: write [schema.]table")
    for what, one in (("schema", schema), ("table", name)):
        if (why := too_long(one)) is not None:
            raise fault("WRONG_USE", f"the {what} {one!r} {why}: give it a shorter name")
    return schema or None, name


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

"""From an Airflow connection to a catalog of pyiceberg."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sluicegate.faults import fault

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

__all__ = ["open_catalog", "properties_of"]


def open_catalog(connection_id: str) -> Catalog:
    """The catalog of an Airflow connection.

    :raises FaultError: CODE_MISSING when pyiceberg is not installed, WRONG_USE when the connection is not to a catalog.
    :raises AirflowNotFoundException: when there is no such connection.
    """
    from airflow.sdk import BaseHook

    try:
        from pyiceberg.catalog import load_catalog
    except ImportError as missing:
        remedy = "pip install 'airflow-provider-sluicegate[iceberg]'"
        raise fault("CODE_MISSING", f"iceberg:// needs pyiceberg, which is not installed: {remedy}") from missing
    return load_catalog(connection_id, **properties_of(BaseHook.get_connection(connection_id), connection_id))


def properties_of(connection: Any, connection_id: str) -> dict[str, str]:
    """The properties for pyiceberg: the extra of the connection, and the database of a SQL catalog.

    :raises FaultError: WRONG_USE when it does not say where the tables' files are.
    """
    properties = {str(key): str(value) for key, value in connection.extra_dejson.items()}
    if connection.conn_type in {"postgres", "postgresql"}:
        user = quote(connection.login or "", safe="")
        password = f":{quote(connection.password, safe='')}" if connection.password else ""
        place = f"{connection.host}:{connection.port or 5432}/{connection.schema}"
        properties = {"type": "sql", "uri": f"postgresql+psycopg://{user}{password}@{place}", **properties}
    if "uri" not in properties or ("warehouse" not in properties and properties.get("type") == "sql"):
        raise fault(
            "WRONG_USE",
            f"the connection {connection_id} is not one to a catalog of Iceberg: a Postgres connection whose extra has "
            '`warehouse` (`{"warehouse": "s3://lake/warehouse"}`), or any other with the properties of pyiceberg',
        )
    return properties

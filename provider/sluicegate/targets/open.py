"""From where a step says its records go to the target that takes them, and to the database of its ledger."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from sluicegate.faults import fault
from sluicegate.ledger.conninfo import conninfo_of
from sluicegate.records.dialect import Dialect
from sluicegate.records.limits import MEMORY_LIMIT
from sluicegate.targets.connection import parse_table
from sluicegate.targets.iceberg.place import is_iceberg, parse_iceberg
from sluicegate.targets.redshift.place import RedshiftTable
from sluicegate.targets.target import Target

if TYPE_CHECKING:
    from sluicegate.storage import Storage
    from sluicegate.targets.redshift.connect import Cluster

__all__ = [
    "REDSHIFT", "dialect_of", "is_folder", "is_redshift", "is_said_redshift", "ledger_connection", "open_cluster",
    "open_target", "place_in", "reached", "require_ledger", "target_named",
]  # fmt: skip

REDSHIFT = "redshift"
"""The type of an Airflow connection."""

_EXPRESSION = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)


def is_folder(uri: str) -> bool:
    """Whether a target is a folder of files, by its URI or what that is rendered from."""
    return not uri.startswith("table://")


def is_said_redshift(uri: str, redshift: Collection[str]) -> bool:
    """Whether the target at `uri` is a table of one of the connections that a file says are to a Redshift."""
    return not is_folder(uri) and uri.removeprefix("table://").partition("/")[0] in redshift


def dialect_of(uri: str, redshift: Collection[str] = ()) -> Dialect:
    """What the target at `uri` calls columns and types; no connection is needed to know it.

    :param redshift: the connections that lead to a Redshift
    """
    if is_said_redshift(uri, redshift):
        from sluicegate.targets.redshift.dialect import RedshiftDialect

        return RedshiftDialect()
    if is_folder(uri):
        from sluicegate.targets.parquet.dialect import ParquetDialect

        return ParquetDialect()
    from sluicegate.targets.postgres.dialect import PostgresDialect

    return PostgresDialect()


def require_ledger(ledger: str | None, uri: str) -> str:
    """The connection of the ledger of a target that is not in a database.

    :raises FaultError: WRONG_USE without one.
    """
    if ledger is None:
        raise fault(
            "WRONG_USE",
            f"into: {uri!r} has no place for a ledger: name a Postgres for it, by `connections: "
            "{ledger: <connection>}` in defaults.yaml, or by `ledger_conn_id` of the operator",
        )
    return ledger


def ledger_connection(uri: str, ledger: str | None, redshift: Collection[str] = ()) -> str:
    """The Airflow connection of the database in which the ledger of the target at `uri` is, unless that is a Redshift
    and not said to be one.

    :param ledger: `connections.ledger`
    :param redshift: `connections.redshift`
    :raises FaultError: WRONG_USE when no target takes records there, or it needs a ledger and has none.
    """
    has_none = is_folder(uri) or is_said_redshift(uri, redshift)
    return require_ledger(ledger, uri) if has_none else parse_table(uri)[0]


def is_redshift(connection_id: str) -> bool:
    """Whether the Airflow connection is one to a Redshift.

    :raises AirflowNotFoundException: when there is no such connection.
    """
    from airflow.sdk import BaseHook

    return bool(BaseHook.get_connection(connection_id).conn_type == REDSHIFT)


def reached(uri: str, ledger: str | None, template: str | None = None) -> tuple[str, str]:
    """What the ledger calls the target at `uri`, as far as that is known without a database, and the Airflow connection
    of the ledger's database. That of a table in Redshift is the one of `connections.ledger`.

    :param template: as for `place_in`
    :raises FaultError: WRONG_USE when no target takes records there, or it needs a ledger and has none.
    :raises AirflowNotFoundException: when there is no such connection.
    """
    place = place_in(uri, template)
    if not is_folder(uri) and is_redshift(parse_table(uri)[0]):
        return RedshiftTable.at(uri).name, require_ledger(ledger, uri)
    return place, ledger_connection(uri, ledger)


def open_cluster(connection_id: str) -> Cluster:
    """The Redshift of an Airflow connection."""
    from airflow.sdk import BaseHook

    from sluicegate.targets.redshift.connect import Cluster

    return Cluster.of(BaseHook.get_connection(connection_id), connection_id)


def place_in(uri: str, template: str | None = None) -> str:
    """What a target is called in its database, `[schema.]table`; a folder by its URI.

    :param template: what `uri` was rendered from. What it fills in may name the table or folder, and not choose where.
    :raises FaultError: WRONG_USE when no target takes records there.
    """
    if not is_folder(uri):
        return parse_table(uri, template)[1]
    from sluicegate.targets.parquet.place import lake_uri

    mark = "." if is_iceberg(uri) else "/"
    if template is not None and _EXPRESSION.sub("", template).count(mark) != uri.count(mark):
        raise fault(
            "WRONG_USE",
            f"into: {template} became {uri!r}, which has {mark!r} more or less often than the pipeline file: only the "
            "file chooses the folder or namespace",
        )
    if is_iceberg(uri):
        parse_iceberg(uri)
        return uri
    return lake_uri(uri)


def open_target(
    uri: str,
    *,
    application: str,
    ledger: str | None = None,
    storage: Storage | None = None,
    memory_limit: str = MEMORY_LIMIT,
) -> Target:
    """The target at `uri`; `application` is the name that its server shows for us.

    :param ledger: the Airflow connection of the Postgres with the ledger of a folder
    :param storage: by which a folder is reached
    :raises FaultError: WRONG_USE when no target takes records there.
    :raises AirflowNotFoundException: when there is no such connection.
    """
    place, database = reached(uri, ledger)
    return target_named(
        place, conninfo_of(database), application=application, storage=storage, memory_limit=memory_limit
    )


def target_named(
    name: str, conninfo: str, *, application: str, storage: Storage | None = None, memory_limit: str = MEMORY_LIMIT
) -> Target:
    """The target that the ledger in the database of `conninfo` calls `name`."""
    if is_iceberg(name):
        from sluicegate.targets.iceberg.catalog import open_catalog
        from sluicegate.targets.iceberg.target import IcebergTarget

        catalog = open_catalog(parse_iceberg(name)[0])
        return IcebergTarget(name, catalog, conninfo, application=application, memory_limit=memory_limit)
    if name.startswith("table://"):
        from sluicegate.targets.redshift.target import RedshiftTarget

        place = RedshiftTable.at(name)
        return RedshiftTarget(place, open_cluster(place.connection), conninfo, storage, application=application)
    if "://" in name:
        from sluicegate.targets.parquet.target import ParquetTarget

        return ParquetTarget(name, conninfo, storage, application=application, memory_limit=memory_limit)
    from sluicegate.targets.postgres.target import PostgresTarget

    return PostgresTarget(conninfo, name, application=application)

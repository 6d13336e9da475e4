"""From where a step says its records go to the target that takes them."""

from __future__ import annotations

from sluicegate.targets.connection import conninfo_of, parse_table
from sluicegate.targets.target import Target

__all__ = ["open_target"]


def open_target(uri: str, *, application: str) -> Target:
    """The target at `uri`; `application` is the name that its server shows for us.

    :raises FaultError: WRONG_USE when no target takes records there.
    :raises AirflowNotFoundException: when there is no such connection.
    """
    from sluicegate.targets.postgres.target import PostgresTarget

    connection_id, table = parse_table(uri)
    return PostgresTarget(conninfo_of(connection_id), table, application=application)

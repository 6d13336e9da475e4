"""The lock of a target within Redshift, and the mark by which a load that was committed there is known.

Both are a small table for each target. Nothing but loads touches it, so that its lock keeps no reader away; and it is
written by the transaction that writes the data, so that it says what became of that.
"""

from __future__ import annotations

from sluicegate.checks.sql import literal
from sluicegate.faults import FaultError
from sluicegate.targets.redshift.catalog import STATE, exists, has_schema
from sluicegate.targets.redshift.connect import RedshiftConnection
from sluicegate.targets.redshift.place import RedshiftTable

__all__ = ["begin", "is_applied", "make", "mark"]


def make(connection: RedshiftConnection, place: RedshiftTable) -> None:
    """Create the table of marks, if there is none. Outside a transaction, under the lock in the ledger."""
    if exists(connection, place.applied):
        return
    try:
        if not has_schema(connection, STATE):
            connection.execute(f"CREATE SCHEMA {STATE}")
    except FaultError:
        if not has_schema(connection, STATE):  # else a load into another table was quicker
            raise
    connection.execute(f"CREATE TABLE {STATE}.{place.applied} (load_id varchar(64))")


def begin(connection: RedshiftConnection, place: RedshiftTable, *, dry_run: bool = False) -> None:
    """Begin a transaction that is the only one of a load into the table.

    The lock comes first: what is read after it is what the transaction before has left.
    """
    locked = not dry_run or exists(connection, place.applied)
    connection.begin()
    if locked:
        connection.execute(f"LOCK TABLE {STATE}.{place.applied}")


def mark(place: RedshiftTable, load: str) -> list[str]:
    """The statements that note `load` as the last one."""
    table = f"{STATE}.{place.applied}"
    return [f"DELETE FROM {table}", f"INSERT INTO {table} (load_id) VALUES ({literal(load)})"]


def is_applied(connection: RedshiftConnection, place: RedshiftTable, load: str) -> bool:
    return bool(connection.execute(f"SELECT 1 FROM {STATE}.{place.applied} WHERE load_id = {literal(load)}"))

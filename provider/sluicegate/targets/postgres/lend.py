"""Lends a connection to one load after the other: opening one takes as long as much of what a small load does."""

from __future__ import annotations

import time
from dataclasses import dataclass

import psycopg

from sluicegate.runtime.spare import Spare
from sluicegate.targets.postgres.connect import Connection, has_own_server, renew

__all__ = ["give_back", "is_alive", "take"]

_TRUSTED = 0.1
"""Seconds for which a connection that was not used is taken to live."""
_KEPT = 60.0
"""Seconds after which one that was not used is not lent again."""


@dataclass(frozen=True)
class _Idle:
    conninfo: str
    connection: Connection
    since: float


_spare: Spare[_Idle] = Spare(lambda idle: idle.connection.close())


def take(conninfo: str) -> Connection | None:
    """The connection to `conninfo` that was given back, as a new one, if there is one and it lives."""
    if (idle := _spare.take()) is None:
        return None
    is_fresh = time.monotonic() - idle.since < _KEPT
    if idle.conninfo == conninfo and is_fresh and _is_as_new(idle):
        return idle.connection
    idle.connection.close()
    return None


def give_back(conninfo: str, connection: Connection) -> None:
    """Keep a connection, which is in no transaction, for the next load."""
    _spare.give_back(_Idle(conninfo, connection, time.monotonic()))


def _is_as_new(idle: _Idle) -> bool:
    if not has_own_server(idle.connection):
        return is_alive(idle.connection, idle.since)  # What it would set may be another server's.
    try:
        renew(idle.connection)
    except psycopg.OperationalError:
        return False
    return True


def is_alive(connection: Connection, since: float) -> bool:
    """Whether a connection that was last used at `since` still has its server; closed if not."""
    if connection.closed:
        return False
    if time.monotonic() - since > _TRUSTED:
        try:
            connection.execute("SELECT 1")
        except psycopg.OperationalError:
            connection.close()
            return False
    return True

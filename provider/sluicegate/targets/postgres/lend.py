"""Lends a connection to one load after the other: opening one takes as long as much of what a small load does."""

from __future__ import annotations

import atexit
import os
import threading
import time
from dataclasses import dataclass

import psycopg

from sluicegate.targets.postgres.connect import Connection

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


_idle: list[_Idle] = []
"""At most one, which no load of this process works with."""
_lock = threading.Lock()


def take(conninfo: str) -> Connection | None:
    """The connection to `conninfo` that was given back, if there is one and it lives."""
    with _lock:
        idle = _idle.pop() if _idle else None
    if idle is None:
        return None
    is_fresh = time.monotonic() - idle.since < _KEPT
    if idle.conninfo == conninfo and is_fresh and is_alive(idle.connection, idle.since):
        return idle.connection
    idle.connection.close()
    return None


def give_back(conninfo: str, connection: Connection) -> None:
    """Keep a connection, which is in no transaction, for the next load."""
    with _lock:
        earlier = _idle.pop() if _idle else None
        _idle.append(_Idle(conninfo, connection, time.monotonic()))
    if earlier is not None:
        earlier.connection.close()


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


def _close_idle() -> None:
    if _idle:
        _idle.pop().connection.close()


def _before_fork() -> None:
    """Close what a child would share with this process, whose end would end the session of both."""
    _lock.acquire()
    _close_idle()


atexit.register(_close_idle)
os.register_at_fork(before=_before_fork, after_in_parent=_lock.release, after_in_child=_lock.release)

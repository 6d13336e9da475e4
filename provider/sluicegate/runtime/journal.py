"""The journal: the Postgres in which steps keep what they did, beside their work. It never makes a step fail.

What is written there (receipts, alerts, circuits) has transactions of its own; nothing of a load depends on it.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from sluicegate.faults.redact import redact
from sluicegate.runtime.spare import Spare

if TYPE_CHECKING:
    import psycopg

__all__ = ["bounded", "in_journal", "journal_from"]

Result = TypeVar("Result")

_CONNECT_TIMEOUT = 3
_UNACKNOWLEDGED = 3000
"""Milliseconds after which what was sent and never acknowledged is lost: a firewall forgets an idle connection."""
_LONGEST = 8.0
"""Seconds for one work: the server's own limits do not help where it is frozen, or a pooler has no server to give."""
_SETTINGS = "SET statement_timeout = '5s'; SET lock_timeout = '3s'; SET idle_in_transaction_session_timeout = '30s'"
_REST = 30.0
"""Seconds for which a journal that was not reached is left alone: a step asks it several times."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Kept:
    connection_id: str
    connection: psycopg.Connection[tuple[Any, ...]]

    def close(self) -> None:
        self.connection.close()


_spare: Spare[_Kept] = Spare(_Kept.close)
_rests_until: dict[str, float] = {}


def in_journal(
    connection_id: str | None, what: str, work: Callable[[psycopg.Connection[tuple[Any, ...]]], Result]
) -> Result | None:
    """What `work` returns, done in a transaction of the journal; None where there is no journal, or it failed.

    :param connection_id: the Airflow connection; one that is not a Postgres counts as none
    :param what: names the work in the warning that a failure leaves: `the receipt`
    :param work: may be done twice, where the answer to a commit was lost
    """
    if connection_id is None or time.monotonic() < _rests_until.get(connection_id, 0.0):
        return None
    try:
        return _done(connection_id, work)
    except Exception as error:
        log.warning("Not kept in the journal %s: %s (%s)", connection_id, what, _reason(error))
        return None


def _done(
    connection_id: str, work: Callable[[psycopg.Connection[tuple[Any, ...]]], Result], *, again: bool = True
) -> Result | None:
    kept = _take(connection_id)
    is_new = kept is None
    if kept is None and (kept := _reached(connection_id)) is None:
        return None
    try:
        with bounded(kept.connection), kept.connection.transaction():
            done = work(kept.connection)
    except TimeoutError:
        _rests_until[connection_id] = time.monotonic() + _REST
        kept.close()
        raise
    except BaseException:
        is_lost = kept.connection.broken
        kept.close()
        if is_lost and again and not is_new:  # its server has closed it while the step worked
            return _done(connection_id, work, again=False)
        raise
    _spare.give_back(kept)
    return done


def journal_from(context: Any) -> str | None:
    """The journal of the DAG whose task has `context`; None where the DAG names none."""
    return getattr(context.get("dag"), "journal", None)


def _take(connection_id: str) -> _Kept | None:
    kept = _spare.take()
    if kept is None or (kept.connection_id == connection_id and not kept.connection.closed):
        return kept
    kept.close()
    return None


def _reached(connection_id: str) -> _Kept | None:
    try:
        return _open(connection_id)
    except Exception:
        _rests_until[connection_id] = time.monotonic() + _REST
        raise


def _open(connection_id: str) -> _Kept | None:
    from airflow.sdk import BaseHook

    found = BaseHook.get_connection(connection_id)
    if found.conn_type not in {"postgres", "postgresql"}:
        return None
    import psycopg
    from psycopg.conninfo import make_conninfo

    from sluicegate.ledger.conninfo import conninfo_from
    from sluicegate.ledger.postgres.migrations import migrate

    conninfo = conninfo_from(found, connection_id)
    connection = psycopg.connect(
        make_conninfo(
            conninfo,
            connect_timeout=_CONNECT_TIMEOUT,
            tcp_user_timeout=_UNACKNOWLEDGED,
            application_name="sluicegate journal",
        ),
        autocommit=True,
        prepare_threshold=None,
    )
    try:
        with bounded(connection):
            connection.execute(_SETTINGS)
            with connection.transaction():
                migrate(connection)
    except BaseException:
        connection.close()
        raise
    return _Kept(connection_id, connection)


@contextmanager
def bounded(connection: psycopg.Connection[tuple[Any, ...]], longest: float | None = None) -> Iterator[None]:
    """Around what is asked of `connection`, which is broken off where there is no answer.

    :raises TimeoutError: when that took longer than `longest` seconds.
    """
    is_over = threading.Event()

    def break_off() -> None:
        is_over.set()
        with suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as one:
            one.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(longest := _LONGEST if longest is None else longest, break_off)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as error:
        if is_over.is_set():
            raise TimeoutError(f"no answer within {longest:.0f} s") from error
        raise
    finally:
        timer.cancel()


def _reason(error: Exception) -> str:
    words = str(error).strip().splitlines()
    return redact(f"{type(error).__name__}: {words[0] if words else 'no reason given'}")[:300]

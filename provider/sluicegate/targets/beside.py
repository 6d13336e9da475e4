"""A target whose ledger is beside it, in a Postgres: its lock there, and what killed loads have left to be finished."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from sluicegate.ledger.entries import Origin
from sluicegate.ledger.postgres.ledger import PostgresLedger
from sluicegate.ledger.postgres.migrations import require_known
from sluicegate.targets.parquet.switch import Switched, is_settled, settle
from sluicegate.targets.postgres.connect import Connection, conninfo_for, new_connection
from sluicegate.targets.postgres.overlap import alone_in_window
from sluicegate.targets.postgres.target import lock_of
from sluicegate.targets.postgres.watch import Watch
from sluicegate.targets.target import Table

__all__ = ["LedgerBeside", "TargetBeside"]


class LedgerBeside:
    """The ledger of `target`.

    :param conninfo: its database, by a URL or libpq's words
    """

    def __init__(self, conninfo: str, target: Switched, application: str, watch_seconds: float) -> None:
        self.conninfo = conninfo_for(conninfo, application)
        self._target, self._watch_seconds = target, watch_seconds

    @contextlib.contextmanager
    def settled(self) -> Iterator[Connection]:
        """A connection to the ledger. The table is what it says: a load that was killed is finished first."""
        with contextlib.closing(new_connection(self.conninfo)) as connection:
            require_known(connection)
            if not is_settled(connection, self._target.uri):
                with self.watch(connection) as watch:
                    self.take_lock(connection, watch)
                    connection.execute("SELECT pg_advisory_unlock(%s)", [self._lock])
            yield connection

    @contextlib.contextmanager
    def look(self) -> Iterator[PostgresLedger]:
        with self.settled() as connection:
            yield PostgresLedger(connection)

    def alone(self, table: Table, origin: Origin) -> contextlib.AbstractContextManager[None]:
        return alone_in_window(self.conninfo, table.name, origin)

    def watch(self, connection: Connection) -> Watch:
        return Watch(self.conninfo, connection.info.backend_pid, self._watch_seconds)

    def take_lock(self, connection: Connection, watch: Watch) -> None:
        """Take the lock of the session, and finish what a killed load has left."""
        watch.phase = f"waiting for the lock on {self._target.uri}"
        connection.execute("SELECT pg_advisory_lock(%s)", [self._lock])
        watch.phase = f"finishing a load into {self._target.uri}"
        settle(connection, self._target)

    @property
    def _lock(self) -> int:
        return lock_of(Table(self._target.uri, "", self._target.uri))


class TargetBeside:
    """What the targets have in common whose ledger is beside them. Between two sessions nothing is kept open."""

    def __init__(self, conninfo: str, target: Switched, application: str, watch_seconds: float) -> None:
        self._ledger = LedgerBeside(conninfo, target, application, watch_seconds)
        self.name = target.uri
        """By which the ledger knows it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is kept open."""

    def ledger(self) -> contextlib.AbstractContextManager[PostgresLedger]:
        return self._ledger.look()

    def alone(self, table: Table, origin: Origin) -> contextlib.AbstractContextManager[None]:
        return self._ledger.alone(table, origin)

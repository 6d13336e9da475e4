"""A Redshift table as a target: how it is reached, its lock, its ledger. `session` has the work on it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import ExitStack

import psycopg

from sluicegate.faults import FaultError
from sluicegate.ledger.postgres.migrations import migrate
from sluicegate.records.dialect import Dialect
from sluicegate.runtime.folder import work_folder
from sluicegate.storage import Storage
from sluicegate.targets.beside import TargetBeside
from sluicegate.targets.postgres.connect import Connection, new_connection
from sluicegate.targets.redshift import marks
from sluicegate.targets.redshift.catalog import inspect, values_query
from sluicegate.targets.redshift.connect import Cluster, RedshiftConnection
from sluicegate.targets.redshift.dialect import RedshiftDialect
from sluicegate.targets.redshift.place import RedshiftTable, folded
from sluicegate.targets.redshift.session import RedshiftSession
from sluicegate.targets.redshift.staging import Staging
from sluicegate.targets.redshift.switch import RedshiftSwitch
from sluicegate.targets.target import StoredForm, Table

__all__ = ["RedshiftReader", "RedshiftTarget"]


class RedshiftReader:
    """The table `place` of `cluster`, to be looked at."""

    def __init__(self, place: RedshiftTable, cluster: Cluster, *, application: str = "load") -> None:
        self._place, self._cluster, self._application = place, cluster, application

    def inspect(self) -> Table:
        with self._connect() as connection:
            return inspect(connection, self._place)

    def values(self, column: str) -> Iterator[list[str]]:
        """The distinct values of a column as texts; NULL is none."""
        with self._connect() as connection:
            yield [str(value) for (value,) in connection.execute(values_query(self._place, folded(column)))]

    def has_row(self) -> bool:
        """Whether there is a row; a missing table has none."""
        with self._connect() as connection:
            found = inspect(connection, self._place).exists
            return found and bool(connection.execute(f"SELECT 1 FROM {self._place.quoted} LIMIT 1"))

    def _connect(self) -> RedshiftConnection:
        return self._cluster.connect(self._application)


class RedshiftTarget(RedshiftReader, TargetBeside):
    """The table `place` of `cluster`, with its ledger in a Postgres.

    :param ledger: the database of its ledger, by a URL or libpq's words
    :raises FaultError: WRONG_USE where the connection does not say through which folder records go.
    """

    dialect: Dialect = RedshiftDialect()
    takes_stored = StoredForm.PARQUET

    def __init__(
        self,
        place: RedshiftTable,
        cluster: Cluster,
        ledger: str,
        storage: Storage | None = None,
        *,
        application: str = "load",
        watch_seconds: float = 10.0,
    ) -> None:
        RedshiftReader.__init__(self, place, cluster, application=application)
        folder, self._role = cluster.require_staging()
        self._staging = Staging(folder, place, storage or Storage())
        self._switch = RedshiftSwitch(cluster, place, self._staging, application)
        TargetBeside.__init__(self, ledger, self._switch, application, watch_seconds)
        self._running: tuple[Connection, RedshiftConnection | None] | None = None

    def inspect(self) -> Table:
        with self._ledger.settled():
            return super().inspect()

    @contextlib.contextmanager
    def session(self, table: Table, *, dry_run: bool) -> Iterator[RedshiftSession]:
        """A transaction in Redshift and one of the ledger, under a lock of the ledger's session."""
        with ExitStack() as stack:
            ledger = stack.enter_context(contextlib.closing(new_connection(self._ledger.conninfo)))
            work = stack.enter_context(work_folder())
            stack.callback(setattr, self, "_running", None)
            self._running = ledger, None
            if not dry_run:
                with ledger.transaction():
                    migrate(ledger)
            watch = stack.enter_context(self._ledger.watch(ledger))
            self._ledger.take_lock(ledger, watch)
            connection = stack.enter_context(self._connect())
            self._running = ledger, connection
            session = None
            try:
                if not dry_run:
                    marks.make(connection, self._place)
                    self._staging.sweep()
                ledger.autocommit = False
                if dry_run:
                    migrate(ledger)
                session = RedshiftSession(
                    ledger, connection, self._place, self._switch, self._staging, self._role, work, watch,
                    dry_run=dry_run,
                )  # fmt: skip
                yield session
            finally:
                self._running = None
                if connection.is_interrupted:
                    self._cancel(connection)
                if session is None or not session.is_pending:
                    self._staging.tidy()
                connection.rollback()
                if not ledger.closed:
                    with contextlib.suppress(psycopg.Error):
                        ledger.rollback()

    def cancel(self) -> None:
        if (running := self._running) is None:
            return
        ledger, connection = running
        if connection is not None:
            self._cancel(connection)
        ledger.cancel_safe(timeout=5)

    def _cancel(self, connection: RedshiftConnection) -> None:
        """Stop the statement that the server works on for `connection`."""
        with contextlib.suppress(FaultError), self._connect() as other:
            other.execute(f"SELECT pg_cancel_backend({connection.pid})")

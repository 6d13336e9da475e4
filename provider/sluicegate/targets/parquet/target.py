"""A folder of Parquet files as a target: what it looks like, its lock, its ledger. `session` has the work on it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psycopg

from sluicegate.ledger.postgres.migrations import migrate
from sluicegate.records.dialect import Dialect
from sluicegate.records.limits import MEMORY_LIMIT
from sluicegate.runtime.folder import work_folder
from sluicegate.storage import Storage
from sluicegate.targets.beside import TargetBeside
from sluicegate.targets.parquet.dialect import ParquetDialect
from sluicegate.targets.parquet.files import Files
from sluicegate.targets.parquet.lake import Lake
from sluicegate.targets.parquet.session import Desk, ParquetSession, table_of
from sluicegate.targets.postgres.connect import Connection, new_connection
from sluicegate.targets.target import Table

__all__ = ["FilesTarget", "ParquetTarget"]


class FilesTarget(TargetBeside):
    """A table that is a set of Parquet files, with its ledger in a Postgres.

    :param ledger: the database of its ledger, by a URL or libpq's words
    """

    dialect: Dialect = ParquetDialect()
    takes_stored = None

    def __init__(
        self,
        files: Files,
        ledger: str,
        *,
        application: str = "load",
        watch_seconds: float = 10.0,
        memory_limit: str = MEMORY_LIMIT,
    ) -> None:
        super().__init__(ledger, files, application, watch_seconds)
        self._lake = files
        self._memory_limit = memory_limit
        self._running: Connection | None = None
        self._desk: Desk | None = None

    def inspect(self) -> Table:
        with self._ledger.settled():
            return table_of(self._lake, self._lake.files())

    @contextlib.contextmanager
    def session(self, table: Table, *, dry_run: bool) -> Iterator[ParquetSession]:
        """A lock that is held until the switch is done, and transactions of the ledger under it."""
        with ExitStack() as stack:
            connection = stack.enter_context(contextlib.closing(new_connection(self._ledger.conninfo)))
            self._desk = Desk(stack.enter_context(work_folder()), self._memory_limit)
            self._running = connection
            try:
                if not dry_run:
                    with connection.transaction():
                        migrate(connection)
                watch = stack.enter_context(self._ledger.watch(connection))
                self._ledger.take_lock(connection, watch)
                if not dry_run:
                    self._lake.sweep()
                connection.autocommit = False
                connection.execute("SELECT 1")
                if dry_run:
                    migrate(connection)
                yield ParquetSession(connection, self._lake, table, self._desk, watch, dry_run=dry_run)
            finally:
                self._running = self._desk = None
                if not connection.closed:
                    with contextlib.suppress(psycopg.Error):
                        connection.rollback()

    def cancel(self) -> None:
        if (desk := self._desk) is not None and desk.duck is not None:
            desk.duck.interrupt()
        if (connection := self._running) is not None:
            connection.cancel_safe(timeout=5)


class ParquetTarget(FilesTarget):
    """The folder at `uri` (a path, `file://` or `s3://`, with a slash at its end)."""

    def __init__(self, uri: str, ledger: str, storage: Storage | None = None, **words: Any) -> None:
        super().__init__(Lake(uri, storage or Storage()), ledger, **words)

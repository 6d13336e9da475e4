"""Says every ten seconds what a load waits for, or how far it is, seen from a connection of its own. Never raises."""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType
from typing import Any, Self

import psycopg

__all__ = ["Watch"]

log = logging.getLogger("sluicegate.load")

_BLOCKERS = """
SELECT b.pid, b.application_name, b.state, extract(epoch FROM now() - b.xact_start)::int
FROM unnest(pg_blocking_pids(%s)) AS p(pid) JOIN pg_stat_activity b ON b.pid = p.pid
"""
_PROGRESS = "SELECT tuples_processed FROM pg_stat_progress_copy WHERE pid = %s"


class Watch:
    """Around the transaction of the server process `pid`. `phase` is what it is at, for the log."""

    def __init__(self, conninfo: str, pid: int, interval: float = 10.0) -> None:
        self.phase = "working"
        self._conninfo, self._pid, self._interval = conninfo, pid, interval
        self._done = threading.Event()
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._look, name="sluicegate-load-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()

    def _look(self) -> None:
        while not self._done.wait(self._interval):
            try:
                with psycopg.connect(self._conninfo, connect_timeout=5, autocommit=True) as connection:
                    self._say(connection)
            except Exception as error:
                log.debug("cannot see what the load waits for: %s", error)

    def _say(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        seconds = int(time.monotonic() - self._started)
        blockers = connection.execute(_BLOCKERS, [self._pid]).fetchall()
        for pid, name, state, age in blockers:
            log.info(
                "%s for %d s: waiting for server process %d (%s, %s, in its transaction for %s s)",
                self.phase, seconds, pid, name or "no application_name", state, age,
            )  # fmt: skip
        if blockers:
            return
        row = connection.execute(_PROGRESS, [self._pid]).fetchone()
        far = f", {row[0]:,} records copied" if row else ""
        log.info("%s for %d s%s", self.phase, seconds, far)

"""Says every ten seconds what a load waits for, or how far it is, seen from a connection of its own. Never raises."""

from __future__ import annotations

import logging
import os
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
        self.interval = interval
        self._conninfo, self._pid = conninfo, pid
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        _rounds.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _rounds.remove(self)

    def look(self) -> None:
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


class _Rounds:
    """Has each watch look when its time has come, in a thread that goes on from load to load: to start one for each
    takes a small load's millisecond.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: dict[Watch, float] = {}
        self._wakes: float | None = None
        """When the thread looks up next; None where there is none."""

    def add(self, watch: Watch) -> None:
        with self._changed:
            self._due[watch] = due = time.monotonic() + watch.interval
            if self._wakes is None:
                self._wakes = due
                threading.Thread(target=self._go, name="sluicegate-load-watch", daemon=True).start()
            elif due < self._wakes:
                self._changed.notify()

    def remove(self, watch: Watch) -> None:
        with self._changed:
            self._due.pop(watch, None)

    def _go(self) -> None:
        while (watch := self._next()) is not None:
            watch.look()

    def _next(self) -> Watch | None:
        """Wait for the watch whose time comes first; None once there is none at all."""
        with self._changed:
            while self._due:
                watch = min(self._due, key=self._due.__getitem__)
                self._wakes = self._due[watch]
                if (left := self._wakes - time.monotonic()) <= 0:
                    self._due[watch] += watch.interval - left
                    return watch
                self._changed.wait(left)
            self._wakes = None
            return None


_rounds = _Rounds()
# Without its threads, the child of a fork has none that goes round.
os.register_at_fork(after_in_child=_rounds.__init__)  # type: ignore[misc]

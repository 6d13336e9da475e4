"""Stopping a load from another thread or a signal handler, in whatever moment it is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from sluicegate.faults import fault

__all__ = ["Stop"]

_AGAIN_SECONDS = 0.2


class Stop:
    """Asked for once, it holds for the rest of a load. What runs is interrupted again and again until that has ended:
    an interruption between two statements, or before a database was opened, stops neither.

    :param interrupt: stops what DuckDB and the target are doing.
    """

    def __init__(self, interrupt: Callable[[], None]) -> None:
        self._interrupt = interrupt
        self._asked, self._ended = threading.Event(), threading.Event()

    def ask(self) -> None:
        if self._asked.is_set():
            return
        self._asked.set()
        threading.Thread(target=self._go_on, daemon=True).start()

    def check(self) -> None:
        """:raises FaultError: TIMED_OUT when it was asked for."""
        if self._asked.is_set():
            raise fault("TIMED_OUT", "the load was cancelled: its task was killed or took too long")

    @contextmanager
    def while_running(self) -> Iterator[None]:
        try:
            self.check()
            yield
        finally:
            self._ended.set()

    def _go_on(self) -> None:
        while not self._ended.is_set():
            with suppress(Exception):  # what it would interrupt may be closed meanwhile
                self._interrupt()
            self._ended.wait(_AGAIN_SECONDS)

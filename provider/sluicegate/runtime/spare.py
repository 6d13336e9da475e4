"""One thing that is dear to open, kept from its one use in this process to the next."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Spare"]

Thing = TypeVar("Thing")


class Spare(Generic[Thing]):
    """Keeps at most one thing that is not in use.

    It is closed when the process ends, and before it forks: a child would have it without its threads, or share its
    connection.
    """

    def __init__(self, close: Callable[[Thing], None]) -> None:
        self._close = close
        self._kept: list[Thing] = []
        self._lock = threading.Lock()
        atexit.register(self._drop)
        os.register_at_fork(
            before=self._before_fork, after_in_parent=self._lock.release, after_in_child=self._lock.release
        )

    def take(self) -> Thing | None:
        with self._lock:
            return self._kept.pop() if self._kept else None

    def give_back(self, thing: Thing) -> None:
        """Keep `thing` in place of what was kept before."""
        with self._lock:
            before, self._kept = self._kept, [thing]
        for one in before:
            self._close(one)

    def _drop(self) -> None:
        if self._kept:
            self._close(self._kept.pop())

    def _before_fork(self) -> None:
        self._lock.acquire()
        self._drop()

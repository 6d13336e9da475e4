"""One answer for all who ask within a few seconds: a monitor that hammers costs one look at the database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Shared"]

ValueT = TypeVar("ValueT")


class Shared(Generic[ValueT]):
    """What `look` gave, kept for `seconds`. Who asks meanwhile waits for the look that is under way."""

    def __init__(self, look: Callable[[], ValueT], seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._look = look
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: tuple[float, ValueT] | None = None

    def get(self) -> ValueT:
        """An error is not kept: the next caller looks again."""
        with self._lock:
            if self._kept is None or self._clock() - self._kept[0] >= self._seconds:
                self._kept = None
                self._kept = (self._clock(), self._look())
            return self._kept[1]

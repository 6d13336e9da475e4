"""An event loop whose time passes as soon as nothing else is to be done."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

__all__ = ["VirtualLoop"]

EPOCH = datetime.now(UTC)


class _Skip(selectors.DefaultSelector):
    """Waits for nothing: the loop's time is moved on instead."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout:
            self.loop.elapsed += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Threads are not started: what would run in one runs at once."""

    def __init__(self) -> None:
        selector = _Skip()
        selector.loop = self
        self.elapsed = 0.0
        super().__init__(selector)

    def time(self) -> float:
        return self.elapsed

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.elapsed)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def datetime(self) -> type[datetime]:
        """`datetime`, whose `now` is this loop's."""
        loop = self

        class Virtual(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Any:
                return loop.now().astimezone(tz)

        return Virtual

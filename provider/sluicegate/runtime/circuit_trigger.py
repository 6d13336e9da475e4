"""Waits in the triggerer until the circuits of a task let it through.

It claims the probe itself: of a thousand tasks that wait one is resumed, and the others learn of it here.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from sluicegate.circuits.breaker import Wait
from sluicegate.runtime.circuit import circuit_settings
from sluicegate.runtime.journal import in_journal

if TYPE_CHECKING:
    import psycopg

__all__ = ["CircuitTrigger"]

_SPREAD = 0.25
"""Of a pause: those who wait do not all come back at one moment."""
_SHORTEST, _LONGEST = 1.0, 60.0
"""Seconds between two looks: a person's reset is seen within the longest."""

_one_at_a_time = threading.Lock()
"""A triggerer has many of these: they share one connection."""


class CircuitTrigger(BaseTrigger):
    """Fires when `who` may go on.

    :param journal: the Airflow connection of the database with the circuits
    :param seconds: after which it is worth asking again
    """

    def __init__(self, *, journal: str, names: Sequence[str], who: str, seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.journal = journal
        self.names = list(names)
        self.who = who
        self.seconds = seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        kwargs = {"journal": self.journal, "names": self.names, "who": self.who, "seconds": self.seconds}
        return (f"{__name__}.CircuitTrigger", kwargs)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        seconds = self.seconds
        while True:
            await asyncio.sleep(_spread(seconds))
            wait = await asyncio.to_thread(self._asked)
            if wait is None:
                break
            seconds = wait.seconds
        yield TriggerEvent({"circuits": self.names})  # type: ignore[no-untyped-call]

    def _asked(self) -> Wait | None:
        """None also where the journal cannot be reached: Airflow's retries are what there is then."""

        def work(connection: psycopg.Connection[tuple[Any, ...]]) -> Wait | None:
            from sluicegate.circuits.store import admit

            return admit(connection, self.names, self.who, circuit_settings())

        with _one_at_a_time:
            return in_journal(self.journal, "whether a circuit is open", work)


def _spread(seconds: float) -> float:
    share = 1 + _SPREAD * random.random()  # noqa: S311 - jitter, no secret
    return min(_LONGEST, max(_SHORTEST, seconds * share))

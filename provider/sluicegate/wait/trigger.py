"""The triggers that wait in the triggerer: for upstream steps, and for sources.

They ask at intervals from a thread and say in the task's log what they wait for, only when that changes.
A deadline is theirs and not Airflow's, because the message has to say what was missing.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from sluicegate.faults import FaultClass, classify
from sluicegate.faults.redact import redact
from sluicegate.pipeline.keys.model import OnUpstreamSkipped
from sluicegate.wait.source import Source
from sluicegate.wait.upstream import Upstream
from sluicegate.wait.verdict import Outcome, Sighting, verdict

__all__ = ["BROKEN", "LATE", "SourceTrigger", "UpstreamTrigger", "WaitTrigger"]

LATE = "late"
"""The event's `outcome` when the deadline has passed; otherwise it is an `Outcome` or `BROKEN`."""

BROKEN = "broken"
"""The event's `outcome` when nothing could be asked; `code` and `detail` are the fault."""

_PATIENCE = 10
"""So many errors in a row that may pass by themselves are waited out before the task fails."""


class WaitTrigger(BaseTrigger):
    """Asks `sightings` every `poke_interval` seconds until the verdict is not to wait any longer.

    The one event is `{"outcome": "ready" | "skipped" | "failed" | "late" | "broken", "seen": text, ...}`, with the
    beginnings of `skipped` windows.

    :param deadline: when to give up (ISO 8601, aware), or None
    :param on_skipped: what a skip means, as the file says it
    """

    def __init__(
        self, *, poke_interval: float, deadline: str | None, fail_fast: bool = False, on_skipped: str = "skip"
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.poke_interval = poke_interval
        self.deadline = deadline
        self.fail_fast = fail_fast
        self.on_skipped = OnUpstreamSkipped(on_skipped)

    @abstractmethod
    def sightings(self) -> Sequence[Sighting]:
        """What is waited for, as it is now. Blocks; is called in a thread."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        yield TriggerEvent(await self._outcome())  # type: ignore[no-untyped-call]

    async def _outcome(self) -> dict[str, Any]:
        said = ""
        errors = 0
        while True:
            try:
                sightings = await asyncio.to_thread(self.sightings)
                seen = verdict(sightings, fail_fast=self.fail_fast, on_skipped=self.on_skipped)
                outcome, text, skipped, errors = str(seen.outcome), str(seen), seen.skipped, 0
            except Exception as error:
                # A triggerer serves many: what passes by itself is waited for here rather than by a retry.
                found = classify(error)
                skipped = []
                outcome, text = Outcome.WAITING.value, f"an answer: {redact(str(found))}"
                errors += 1
                if found.fault.kind is not FaultClass.TRANSIENT or errors > _PATIENCE:
                    return {"outcome": BROKEN, "seen": text, "code": found.code, "detail": found.detail}
            if outcome != Outcome.WAITING:
                return {"outcome": outcome, "seen": text} | ({"skipped": skipped} if skipped else {})
            left = self._seconds_left()
            if left <= 0:
                return {"outcome": LATE, "seen": text}
            if text != said:
                self.log.info("waiting for %s", text)
                said = text
            await asyncio.sleep(min(self.poke_interval, left))

    def _seconds_left(self) -> float:
        if self.deadline is None:
            return float("inf")
        return (datetime.fromisoformat(self.deadline) - datetime.now(UTC)).total_seconds()

    def _shared(self) -> dict[str, Any]:
        return {
            "poke_interval": self.poke_interval,
            "deadline": self.deadline,
            "fail_fast": self.fail_fast,
        }


class UpstreamTrigger(WaitTrigger):
    """Waits for a task of another DAG in the runs at `dates` (ISO 8601, aware; None: any run ever)."""

    def __init__(
        self,
        *,
        awaited_dag: str,
        awaited_task: str | None,
        dates: Sequence[str] | None,
        marked: bool = True,
        poke_interval: float,
        deadline: str | None = None,
        fail_fast: bool = False,
        on_skipped: str = "skip",
    ) -> None:
        super().__init__(poke_interval=poke_interval, deadline=deadline, fail_fast=fail_fast, on_skipped=on_skipped)
        self.awaited_dag = awaited_dag
        self.awaited_task = awaited_task
        self.marked = marked
        self.dates = None if dates is None else list(dates)
        moments = None if dates is None else tuple(datetime.fromisoformat(date) for date in dates)
        self._upstream = Upstream(awaited_dag, awaited_task, moments, marked)

    def sightings(self) -> Sequence[Sighting]:
        return self._upstream.sightings()

    def serialize(self) -> tuple[str, dict[str, Any]]:
        kwargs = {
            "awaited_dag": self.awaited_dag,
            "awaited_task": self.awaited_task,
            "dates": self.dates,
            "marked": self.marked,
            "on_skipped": self.on_skipped.value,
        } | self._shared()
        return (f"{__name__}.UpstreamTrigger", kwargs)


class SourceTrigger(WaitTrigger):
    """Waits until every one of `uris` exists: a file, an object, a folder with something in it, or a row."""

    def __init__(
        self,
        *,
        uris: Sequence[str],
        aws_conn_id: str,
        matching: bool = False,
        success_marker: bool = True,
        connection: str | None = None,
        poke_interval: float,
        deadline: str | None = None,
        fail_fast: bool = False,
    ) -> None:
        super().__init__(poke_interval=poke_interval, deadline=deadline, fail_fast=fail_fast)
        self.uris = list(uris)
        self.aws_conn_id = aws_conn_id
        self.matching = matching
        self.success_marker = success_marker
        self.connection = connection
        self._source = Source(tuple(uris), aws_conn_id, matching, success_marker, connection)

    def sightings(self) -> Sequence[Sighting]:
        return self._source.sightings()

    def serialize(self) -> tuple[str, dict[str, Any]]:
        own = {
            "uris": self.uris,
            "aws_conn_id": self.aws_conn_id,
            "matching": self.matching,
            "success_marker": self.success_marker,
            "connection": self.connection,
        }
        kwargs = own | self._shared()
        return (f"{__name__}.SourceTrigger", kwargs)

"""Receipts as values: one try of a step, and what was written of it as a document. No database, no clock.

A document of another version is read as far as it is understood: what is missing is None or empty, what is unknown
stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from sluicegate.graph.window import Window

__all__ = ["VERSION", "Attempt", "Receipt", "Status"]

VERSION = 1
"""Of the document; it goes up when a name in it changes its meaning."""


class Status(StrEnum):
    """What became of a try. One that was killed stays `running` until the run's callback or the watch notices."""

    RUNNING = "running"
    DEFERRED = "deferred"
    SUCCEEDED = "succeeded"
    SKIPPED = "skipped"
    RETRYING = "retrying"
    FAILED = "failed"
    LOST = "lost"
    """It did not end, and another try followed. Never written: readers say it."""

    @property
    def is_open(self) -> bool:
        return self in {Status.RUNNING, Status.DEFERRED, Status.RETRYING}


class Attempt(NamedTuple):
    """Which try of which step: the key of a receipt. `map_index` is -1 unless the step is mapped."""

    pipeline: str
    run_id: str
    step: str
    map_index: int
    try_number: int

    @property
    def name(self) -> str:
        """`load_orders`, or `load_orders[3]` of a mapped step."""
        return self.step if self.map_index < 0 else f"{self.step}[{self.map_index}]"


@dataclass(frozen=True)
class Receipt:
    """One try. `document` is what was written of it; `configuration` the digest of what its pipeline said."""

    attempt: Attempt
    status: Status
    started_at: datetime
    ended_at: datetime | None = None
    window: Window | None = None
    document: Mapping[str, Any] = field(default_factory=dict)
    configuration: str | None = None
    version: int = VERSION

    @property
    def seconds(self) -> float | None:
        return None if self.ended_at is None else (self.ended_at - self.started_at).total_seconds()

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the step did: `StepResult.facts`."""
        return self.part("facts")

    @property
    def counts(self) -> Mapping[str, int]:
        """Its records by what became of them."""
        return _mapping(self.facts.get("counts"))

    @property
    def inputs(self) -> tuple[Mapping[str, Any], ...]:
        found = self.facts.get("inputs") or self.document.get("inputs")
        return tuple(one for one in found if isinstance(one, Mapping)) if isinstance(found, list | tuple) else ()

    @property
    def fault(self) -> str | None:
        """The code of the fault that it ended with."""
        code = self.part("fault").get("code")
        return None if code is None else str(code)

    def part(self, name: str) -> Mapping[str, Any]:
        """A mapping of the document; empty where it has none."""
        return _mapping(self.document.get(name))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}

"""Which cluster a task goes on with: one that is there, one that has done the work, or a new one.

The decision alone: it takes what was found by name and gives back what to do. It calls nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

__all__ = ["LIVE_STATES", "AlreadyDone", "Decision", "Found", "Reconnect", "Start", "decide"]

LIVE_STATES = ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING")


@dataclass(frozen=True)
class Found:
    """A cluster of this task instance. `complete`: each of its own steps has ended well."""

    cluster_id: str
    name: str
    attempt: int
    state: str
    created: datetime
    complete: bool = False
    ended_by_us: bool = False
    """Marked before we terminated it: it may still seem to run, but it has no future."""
    began: bool = False
    """Whether any of its steps has begun: it may have written over what another one had done."""
    generation: str = ""
    """In which life of the task it was started: what a clear changes and a retry does not."""
    placement: int = 0
    """Where it was started: 0 is the place that is tried first."""
    not_after: datetime | None = None
    """When it must be gone."""

    @property
    def runs(self) -> bool:
        """Whether it costs money and is not ending."""
        return self.state in LIVE_STATES

    @property
    def live(self) -> bool:
        """Whether it runs and nothing has asked for its end."""
        return self.runs and not self.ended_by_us

    @property
    def promising(self) -> bool:
        """Whether waiting for it can still bring a result that counts."""
        return self.live or (self.state == "TERMINATING" and self.complete)


@dataclass(frozen=True)
class Reconnect:
    """Go on waiting for `cluster`; end `surplus`, whose work would be done twice."""

    cluster: Found
    surplus: tuple[Found, ...] = ()


@dataclass(frozen=True)
class AlreadyDone:
    """`cluster` did the work, which has not been reported yet."""

    cluster: Found
    surplus: tuple[Found, ...] = ()


@dataclass(frozen=True)
class Start:
    """Start a cluster under the name of this attempt."""

    attempt: int
    surplus: tuple[Found, ...] = ()


Decision = Reconnect | AlreadyDone | Start


def decide(found: Iterable[Found], *, finished_attempt: int = 0) -> Decision:
    """What to do about the clusters `found` under the names of one task instance.

    `finished_attempt` is the last attempt whose success was reported and then cleared by a person: it and those before
    it do not count. Work that is done counts, also that of a cluster whose end we had asked for, unless a later cluster
    has begun to do it again. Of several live clusters the oldest is kept, whichever try asks.
    """
    clusters = sorted(found, key=lambda c: (c.created, c.cluster_id))
    current = [c for c in clusters if c.attempt > finished_attempt]
    last = max(
        (c for c in current if c.began or c.complete),
        key=lambda c: (c.attempt, c.created, c.cluster_id),
        default=None,
    )
    done = last if last is not None and last.complete else None
    kept = done or next((c for c in current if c.live), None)
    # One that was marked and still runs: whatever marked it has died before it could end it.
    surplus = tuple(c for c in clusters if c.runs and c is not kept)
    if kept is None:
        return Start(max([finished_attempt, *(c.attempt for c in clusters)]) + 1, surplus)
    return Reconnect(kept, surplus) if kept.promising else AlreadyDone(kept, surplus)

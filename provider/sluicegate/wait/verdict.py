"""Whether what a run waits for is there: decided from what was seen, without asking Airflow anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Outcome", "Sighting", "Verdict", "state_of_all", "verdict"]

_SUCCESS = "success"
_FAILED = frozenset({"failed", "upstream_failed"})
_REMOVED = "removed"
"""The state of a mapped step's instance whose item is no longer there."""


class Outcome(StrEnum):
    READY = "ready"
    WAITING = "waiting"
    FAILED = "failed"


@dataclass(frozen=True)
class Sighting:
    """One thing that is waited for, as last seen.

    `what` names it for a person (an upstream window's start, "any run"). `state` is the task's state in
    Airflow's words, None when there is no run of it or Airflow has not looked at it yet. `uncounted` says
    why a success does not count: a dry run, another window.
    """

    what: str
    run_id: str | None = None
    state: str | None = None
    uncounted: str = ""

    @property
    def ready(self) -> bool:
        return self.state == _SUCCESS and not self.uncounted

    @property
    def failed(self) -> bool:
        return self.state in _FAILED

    def __str__(self) -> str:
        if self.run_id is None and self.state is None:
            return f"{self.what}: no run yet"
        state = self.state or "not started"
        if self.uncounted:
            state = f"{state}, which does not count: {self.uncounted}"
        return f"{self.what}: {state}" + (f" (run {self.run_id})" if self.run_id else "")


@dataclass(frozen=True)
class Verdict:
    """`open` are the sightings that are not ready yet, in the order in which they were given."""

    outcome: Outcome
    open: tuple[Sighting, ...]

    def __str__(self) -> str:
        return "; ".join(map(str, self.open)) or "all there"


def verdict(sightings: Sequence[Sighting], *, fail_fast: bool = False) -> Verdict:
    """Ready when every sighting is; failed when one is and `fail_fast` asks not to wait for its recovery."""
    missing = tuple(sighting for sighting in sightings if not sighting.ready)
    if not missing:
        return Verdict(Outcome.READY, ())
    if fail_fast and any(sighting.failed for sighting in missing):
        return Verdict(Outcome.FAILED, missing)
    return Verdict(Outcome.WAITING, missing)


def state_of_all(states: Mapping[str, str | None] | Iterable[str | None]) -> str | None:
    """One state for the instances of a step in a run: `success` only if all have it, a failure if one has.

    Several instances are a mapped step's; the order in which Airflow lists them does not matter.
    """
    each = states.values() if isinstance(states, Mapping) else states
    values = [value for value in each if value != _REMOVED]
    open_ = sorted({value or "" for value in values if value != _SUCCESS})
    if not open_:
        return _SUCCESS if values else None
    failed = [value for value in open_ if value in _FAILED]
    return (failed or open_)[0] or None

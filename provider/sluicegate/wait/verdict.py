"""Whether what a run waits for is there: decided from what was seen, without asking Airflow anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sluicegate.pipeline.keys.model import OnUpstreamSkipped

__all__ = ["ALL_THERE", "Outcome", "Sighting", "Verdict", "state_of_all", "verdict"]

ALL_THERE = "all there"
"""What a verdict says when nothing is open."""

_SUCCESS = "success"
_SKIPPED = "skipped"
_FAILED = frozenset({"failed", "upstream_failed"})
_REMOVED = "removed"
"""The state of a mapped step's instance whose item is no longer there."""


class Outcome(StrEnum):
    READY = "ready"
    SKIPPED = "skipped"
    WAITING = "waiting"
    FAILED = "failed"


@dataclass(frozen=True)
class Sighting:
    """One thing that is waited for, as last seen.

    `what` names it for a person (an upstream window's start, "any run"). `state` is the task's state in
    Airflow's words, None when there is no run of it or Airflow has not looked at it yet. `uncounted` says
    why a success or a skip does not count: a dry run, another window. `run_failed`: the task was skipped in a run
    that failed. Airflow skips what has not run yet when a run times out, or a person marks it as failed.
    """

    what: str
    run_id: str | None = None
    state: str | None = None
    uncounted: str = ""
    run_failed: bool = False
    at: str = ""
    """Where its window begins, if it is a window: ISO 8601."""

    @property
    def ready(self) -> bool:
        return self.state == _SUCCESS and not self.uncounted

    @property
    def skipped(self) -> bool:
        return self.state == _SKIPPED and not self.uncounted and not self.run_failed

    @property
    def failed(self) -> bool:
        return self.state in _FAILED or self.run_failed

    def __str__(self) -> str:
        if self.run_id is None and self.state is None:
            return f"{self.what}: no run yet"
        state = (self.state or "not started") + (" in a run that failed" if self.run_failed else "")
        if self.uncounted:
            state = f"{state}, which does not count: {self.uncounted}"
        return f"{self.what}: {state}" + (f" (run {self.run_id})" if self.run_id else "")


@dataclass(frozen=True)
class Verdict:
    """`open` are the sightings that are not ready yet, or were skipped, in the order in which they were given."""

    outcome: Outcome
    open: tuple[Sighting, ...]

    def __str__(self) -> str:
        return "; ".join(map(str, self.open)) or ALL_THERE

    @property
    def skipped(self) -> list[str]:
        """Where the windows begin that were skipped."""
        return [each.at for each in self.open if each.skipped and each.at]


def verdict(
    sightings: Sequence[Sighting],
    *,
    fail_fast: bool = False,
    on_skipped: OnUpstreamSkipped = OnUpstreamSkipped.SKIP,
) -> Verdict:
    """Ready when every sighting is, or was skipped; skipped when all were and `on_skipped` says so; failed when one
    is and `fail_fast` asks not to wait for its recovery.
    """
    skipped = () if on_skipped is OnUpstreamSkipped.WAIT else tuple(each for each in sightings if each.skipped)
    missing = tuple(each for each in sightings if not each.ready and each not in skipped)
    if missing:
        failed = fail_fast and any(sighting.failed for sighting in missing)
        return Verdict(Outcome.FAILED if failed else Outcome.WAITING, missing)
    if skipped and len(skipped) == len(sightings) and on_skipped is OnUpstreamSkipped.SKIP:
        return Verdict(Outcome.SKIPPED, skipped)
    return Verdict(Outcome.READY, skipped)


def state_of_all(states: Mapping[str, str | None], task: str) -> str | None:
    """One state for the instances of the step `task` in a run, by what Airflow calls them (`task`, or `task_0`).

    Several are a mapped step's: a failure if one has failed, and `success` once all are done and one has succeeded;
    `skipped` if none has, or none is left. The order in which Airflow lists them does not matter.
    """
    values = {value or "" for value in states.values() if value != _REMOVED}
    if not values:
        # A mapped step that was cleared, and has no items any more. A task that is not mapped has left the DAG.
        return _SKIPPED if states and task not in states else None
    open_ = sorted(values - {_SUCCESS, _SKIPPED})
    if open_:
        failed = [value for value in open_ if value in _FAILED]
        return (failed or open_)[0] or None
    return _SUCCESS if _SUCCESS in values else _SKIPPED

"""What is to be said of pipelines: facts in, findings out, each with its remedy.

The words of `What`, `State` and `Severity` are in the answers of the endpoint: monitors compare with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sluicegate.graph.window import Window
from sluicegate.health.facts import PipelineFacts
from sluicegate.health.freshness import late_from

__all__ = ["Finding", "PipelineHealth", "Severity", "State", "What", "health_of"]

_PATIENCE = timedelta(minutes=5)
"""How long after its time a run may be missing: the scheduler makes runs in batches, and may just be started again."""


class State(StrEnum):
    """How a pipeline is, in one word."""

    CURRENT = "current"
    LATE = "late"
    FAILING = "failing"
    STALLED = "stalled"
    PAUSED = "paused"
    NEVER_RAN = "never_ran"
    ENDED = "ended"


class Severity(StrEnum):
    """Whether somebody has to act now. One problem makes the endpoint answer 503."""

    PROBLEM = "problem"
    WARNING = "warning"


class What(StrEnum):
    """What a finding is about."""

    LATE = "late"
    FAILING = "failing"
    STALLED = "stalled"
    PAUSED = "paused"
    NEVER_RAN = "never_ran"
    ROWS = "rows"
    DEAD_LETTERS = "dead_letters"
    UNDELIVERED = "undelivered_alert"
    POOL_MISSING = "pool_missing"
    BROKEN_FILE = "broken_file"
    CIRCUIT = "circuit"
    COMPONENT_DOWN = "component_down"
    JOURNAL_UNREAD = "journal_unread"
    NO_WATCH = "no_watch"
    METADATA_UNREAD = "metadata_unread"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be. `numbers` are what a monitor may compare, seconds where it is a time."""

    what: What
    severity: Severity
    detail: str
    remedy: str
    pipeline: str | None = None
    step: str | None = None
    since: datetime | None = None
    numbers: Mapping[str, int] = field(default_factory=dict)
    fault: str | None = None
    """The code of the fault of a run that failed, where it is known."""


@dataclass(frozen=True)
class PipelineHealth:
    """A pipeline with its state and what was found of itself; what its journal says comes beside."""

    facts: PipelineFacts
    state: State
    late_since: datetime | None = None
    findings: tuple[Finding, ...] = ()


def health_of(pipeline: PipelineFacts, now: datetime) -> PipelineHealth:
    """How one pipeline is at `now`."""
    due = _late_from(pipeline)
    late_since = due if due is not None and due <= now else None
    found = [
        *_failing(pipeline),
        *_late(pipeline, late_since, now),
        *_stalled(pipeline, now),
        *_paused(pipeline, late_since, now),
        *_never_ran(pipeline, now),
    ]
    return PipelineHealth(pipeline, _state(pipeline, found), late_since, tuple(found))


def _late_from(pipeline: PipelineFacts) -> datetime | None:
    promise = pipeline.promise
    if promise is None or not pipeline.is_scheduled:
        return None
    waited_for = pipeline.first
    if promise.has_gaps and _is_all_done(pipeline):
        if pipeline.next_window is None:
            return None
        # Without an interval the data is as old as its run: that the next one is later does not make it younger.
        newest = pipeline.newest_success
        if newest is not None and newest.start < newest.end:
            waited_for = pipeline.next_window
    return late_from(promise.fresh_within, pipeline.newest_success, waited_for, promise.end)


def _is_all_done(pipeline: PipelineFacts) -> bool:
    """Whether each window until now has succeeded: what is waited for is the one that Airflow makes next."""
    run, success = pipeline.newest, pipeline.newest_success
    return run is not None and run.succeeded and run.window == success is not None and not pipeline.active_runs


_STATES = {
    What.FAILING: State.FAILING,
    What.LATE: State.LATE,
    What.STALLED: State.STALLED,
    What.PAUSED: State.PAUSED,
    What.NEVER_RAN: State.NEVER_RAN,
}


def _state(pipeline: PipelineFacts, found: list[Finding]) -> State:
    if found:
        return _STATES[found[0].what]
    if pipeline.newest is None and not pipeline.active_runs:
        return State.NEVER_RAN
    if pipeline.is_scheduled and pipeline.next_window is None and not pipeline.active_runs:
        return State.ENDED
    return State.CURRENT


def _failing(pipeline: PipelineFacts) -> list[Finding]:
    """Of a paused one it can wait, as whatever else is old there: nothing runs until somebody unpauses it."""
    run = pipeline.newest
    if run is None or run.succeeded:
        return []
    steps = f" in {', '.join(run.failed_steps)}" if run.failed_steps else ""
    when = f" for {_window(run.window)}" if run.window is not None else ""
    again = "; a run is active" if pipeline.active_runs else ""
    return [
        Finding(
            What.FAILING,
            Severity.WARNING if pipeline.paused else Severity.PROBLEM,
            f"its newest run{when} failed{steps}{again}",
            f"The step's log says why and what to do; then: sluicegate recover plan --pipeline {pipeline.name}",
            pipeline.name,
            run.failed_steps[0] if len(run.failed_steps) == 1 else None,
            run.ended,
        )
    ]


def _late(pipeline: PipelineFacts, since: datetime | None, now: datetime) -> list[Finding]:
    if since is None or pipeline.paused or pipeline.promise is None:
        return []
    newest = pipeline.newest_success
    until = f"its newest data ends at {_moment(newest.end)}" if newest is not None else "no window has succeeded yet"
    runs = f"; {_count(pipeline.active_runs, 'run')} active" if pipeline.active_runs else "; no run is active"
    remedy = (
        "See what the active runs wait for, in Airflow's grid of the pipeline."
        if pipeline.active_runs
        else f"What failed shows: sluicegate recover plan --pipeline {pipeline.name}. Nothing? Look at the scheduler."
    )
    return [
        Finding(
            What.LATE,
            Severity.PROBLEM,
            f"{until}, and newer data was due by {_moment(since)}{runs}",
            remedy,
            pipeline.name,
            since=since,
            numbers={"late_seconds": int((now - since).total_seconds())},
        )
    ]


def _stalled(pipeline: PipelineFacts, now: datetime) -> list[Finding]:
    """What has no run at all. One that catches up is behind too, but has runs under way, or had one just now."""
    due, run = pipeline.next_due, pipeline.newest
    if due is None or pipeline.paused or pipeline.active_runs or due + _PATIENCE > now:
        return []
    if run is not None and run.ended is not None and run.ended + _PATIENCE > now:
        return []
    return [
        Finding(
            What.STALLED,
            Severity.PROBLEM,
            f"the run that was to start at {_moment(due)} does not exist",
            "Is the scheduler alive, and does the pipeline's file still become a DAG? `sluicegate check` looks at the "
            "file; Airflow's page *Cluster activity* shows the scheduler.",
            pipeline.name,
            since=due,
            numbers={"missing_seconds": int((now - due).total_seconds())},
        )
    ]


def _paused(pipeline: PipelineFacts, late_since: datetime | None, now: datetime) -> list[Finding]:
    if not pipeline.paused:
        return []
    late = f", and its data is older than promised since {_moment(late_since)}" if late_since is not None else ""
    return [
        Finding(
            What.PAUSED,
            Severity.WARNING,
            f"it is paused{late}",
            f"Unpause it if that was not meant: airflow dags unpause {pipeline.name}",
            pipeline.name,
            since=late_since,
            numbers={"late_seconds": int((now - late_since).total_seconds())} if late_since is not None else {},
        )
    ]


def _never_ran(pipeline: PipelineFacts, now: datetime) -> list[Finding]:
    """Only where it could have run: not one that starts later, waits for a person, or has a run under way."""
    could = pipeline.is_scheduled and pipeline.next_due is not None and pipeline.next_due <= now
    if pipeline.newest is not None or pipeline.active_runs or not could or pipeline.paused:
        return []
    return [
        Finding(
            What.NEVER_RAN,
            Severity.WARNING,
            "no run of it has ended yet",
            "Look at its schedule, and whether the scheduler makes runs at all.",
            pipeline.name,
        )
    ]


def _window(window: Window) -> str:
    if window.start == window.end:
        return _moment(window.start)
    return f"{_moment(window.start)} to {_moment(window.end)}"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number:,} {what}s"

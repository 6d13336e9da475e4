"""What is known of pipelines when somebody asks how they are. Plain values: who reads them is elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sluicegate.graph.window import Window

__all__ = [
    "AlertFacts", "BrokenFile", "CircuitFacts", "ComponentFacts", "FailureFacts", "JournalFacts", "LetterFacts",
    "LoadFacts", "MissingPool", "PipelineFacts", "Promise", "RunFacts", "SiteFacts",
]  # fmt: skip


@dataclass(frozen=True)
class Promise:
    """How old the data of a pipeline may become. No window begins at `end` or later."""

    fresh_within: timedelta
    end: datetime | None = None
    journal: str | None = None
    """The connection of the Postgres that keeps its loads, dead letters, circuits and alerts."""
    has_gaps: bool = False
    """Its windows come from a timetable, which may leave days out and come to an end."""
    watches: bool = False
    """It is the pipeline that watches the others."""


@dataclass(frozen=True)
class RunFacts:
    """A run that has ended. `failed_steps` are those of a failed run."""

    run_id: str
    succeeded: bool
    window: Window | None = None
    ended: datetime | None = None
    failed_steps: tuple[str, ...] = ()


@dataclass(frozen=True)
class PipelineFacts:
    """A pipeline, as Airflow's database shows it.

    `newest` is its newest run that has ended: by window, or for a pipeline without windows by when it was started.
    `newest_success` is the newest window that has succeeded, `first` the beginning of the first one there is; neither
    counts dry runs, or runs that a person started by hand.
    """

    name: str
    owner: str = ""
    schedule: str = ""
    is_scheduled: bool = True
    paused: bool = False
    promise: Promise | None = None
    newest: RunFacts | None = None
    newest_success: Window | None = None
    first: datetime | None = None
    active_runs: int = 0
    next_due: datetime | None = None
    """When its next run is to be made; None while as many run as may."""
    next_window: datetime | None = None
    """The beginning of the window that is to run next; None when no further one is to run."""


@dataclass(frozen=True)
class LoadFacts:
    """A load step's newest load, and how many records those before it read, the newest first."""

    pipeline: str
    step: str
    read: int
    at: datetime
    before: tuple[int, ...] = ()


@dataclass(frozen=True)
class LetterFacts:
    """The open dead letters of a step."""

    pipeline: str
    step: str
    count: int
    oldest: datetime


@dataclass(frozen=True)
class FailureFacts:
    """The fault of a step of a run."""

    pipeline: str
    run_id: str
    step: str
    code: str
    detail: str = ""


@dataclass(frozen=True)
class CircuitFacts:
    """A circuit that is not closed."""

    name: str
    state: str
    until: datetime | None
    fault: str = ""


@dataclass(frozen=True)
class AlertFacts:
    """Alerts of a pipeline that one channel did not take."""

    pipeline: str
    channel: str
    count: int
    oldest: datetime
    reason: str = ""


@dataclass(frozen=True)
class JournalFacts:
    """What a journal says; with `unread`, the reason why it says nothing."""

    connection: str
    loads: tuple[LoadFacts, ...] = ()
    letters: tuple[LetterFacts, ...] = ()
    failures: tuple[FailureFacts, ...] = ()
    circuits: tuple[CircuitFacts, ...] = ()
    alerts: tuple[AlertFacts, ...] = ()
    unread: str = ""


@dataclass(frozen=True)
class BrokenFile:
    """A file that Airflow could not import, and what it says of it."""

    file: str
    message: str
    since: datetime | None = None


@dataclass(frozen=True)
class MissingPool:
    """Tasks that wait for a slot of a pool that does not exist."""

    pipeline: str
    step: str
    pool: str


@dataclass(frozen=True)
class ComponentFacts:
    """A part of Airflow: when it last gave a sign of life, and after how long without one it is dead."""

    name: str
    heartbeat: datetime | None
    limit: timedelta


@dataclass(frozen=True)
class SiteFacts:
    """Everything at one moment."""

    at: datetime
    pipelines: tuple[PipelineFacts, ...] = ()
    components: tuple[ComponentFacts, ...] = ()
    broken: tuple[BrokenFile, ...] = ()
    pools: tuple[MissingPool, ...] = ()
    journals: Mapping[str, JournalFacts] = field(default_factory=dict)

"""Where each instance of a plan is while the plan is carried out, and what came of it in the end. Values only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sluicegate.recovery.definition import InstanceKey

__all__ = ["Fate", "Fates", "Finding", "OnChange", "Options", "Outcome", "Status", "View"]


class Status(StrEnum):
    """Where an instance is. The last four end the plan's part in it."""

    WAITING = "waiting"
    """Its wave has not come."""
    READY = "ready"
    """As the plan found it: it may be reset."""
    UNSURE = "unsure"
    """Its reset was asked for without an answer, and Airflow does not show it."""
    UNDER_WAY = "under way"
    """Reset by this plan, and not over."""
    DONE = "done"
    FAILED = "failed"
    CHANGED = "changed"
    """Somebody else touched it since the plan was made."""
    HELD_BACK = "held back"
    """What it depends on did not succeed, or the user is not permitted to reset it."""


@dataclass(frozen=True, slots=True)
class Fate:
    """An instance now: its status, what Airflow showed of it last, and why it is left alone where it is."""

    status: Status
    id: str = ""
    state: str | None = None
    why: str = ""

    @property
    def is_good(self) -> bool:
        """Whether what depends on it may run."""
        return self.status is Status.DONE or (self.status is Status.CHANGED and self.state == "success")

    @property
    def goes_on(self) -> bool:
        """Whether it may still become good without anybody's help."""
        return self.status in (Status.WAITING, Status.READY, Status.UNSURE, Status.UNDER_WAY)


class Fates(dict[int, Fate]):
    """By place in the plan, what an instance is to it; and at once, which of them have failed: that is asked for each
    run, of ten thousands as well.
    """

    def __init__(self, fates: Mapping[int, Fate]) -> None:
        super().__init__(fates)
        self.failed = {place for place, fate in fates.items() if fate.status is Status.FAILED}

    def __setitem__(self, place: int, fate: Fate) -> None:
        super().__setitem__(place, fate)
        if fate.status is Status.FAILED:
            self.failed.add(place)
        else:
            self.failed.discard(place)


@dataclass(frozen=True)
class Options:
    """How a plan is carried out.

    At most `parallel` runs are under way at once; the ids of up to `chunk` runs are read by one call, right before
    these are reset. `settle` is for how many seconds a server may still be working on a request whose connection broke.
    """

    who: str
    reason: str
    parallel: int = 50
    chunk: int = 50
    canary: bool = False
    keep_going: bool = False
    skip_forbidden: bool = False
    take_over: bool = False
    latest_version: bool = False
    """Whether what is reset runs the latest version of its DAG's bundle, not the one that its run began with."""
    marked: bool = True
    """Whether a marker in Airflow keeps other operators away."""
    settle: float = 30.0
    poll: float = 0.5
    """Seconds between the first looks at what is under way; they get longer, up to `longest_poll`."""
    longest_poll: float = 10.0
    look: float = 30.0
    """Seconds after which runs that have not ended are looked into: what was reset may be over before its run is."""
    beat: float = 30.0
    """Seconds between two signs of life in the marker."""


@dataclass(frozen=True, slots=True)
class View:
    """How far a plan is, to be shown: the present wave (from 0) of how many, and its runs."""

    wave: int
    waves: int
    waiting: int
    running: int
    done: int
    failed: int
    left_alone: int


OnChange = Callable[[View], None]


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one instance, in words."""

    key: InstanceKey
    place: int
    """Its place in the plan."""
    state: str | None
    why: str = ""


@dataclass(frozen=True)
class Outcome:
    """What came of carrying out a plan. What was touched by somebody else and succeeded is in no list but `changed`."""

    plan: str
    is_finished: bool
    """False where it stopped at a failure: `not_reached` is then to be resumed."""
    done: tuple[InstanceKey, ...] = ()
    failed: tuple[Finding, ...] = ()
    changed: tuple[Finding, ...] = ()
    held_back: tuple[Finding, ...] = ()
    not_reached: tuple[InstanceKey, ...] = ()
    warnings: tuple[str, ...] = field(default=())

    @property
    def is_good(self) -> bool:
        """Whether everything in the plan is well now."""
        changed = all(each.state == "success" for each in self.changed)
        return self.is_finished and changed and not (self.failed or self.held_back or self.not_reached)

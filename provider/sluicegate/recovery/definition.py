"""A recovery plan as data: which task instances run again, in which waves, and why. No behaviour but looking up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

__all__ = [
    "VERSION", "Action", "Cause", "Edge", "EdgeKind", "InstanceKey", "LeftAlone", "Load", "Plan", "PlannedInstance",
    "PlannedRun", "PoolLoad", "QueuedEvent", "RunKey", "Server",
]  # fmt: skip

VERSION = 1
"""Of the plan file's schema; a file of another version is refused."""


@dataclass(frozen=True, slots=True, order=True)
class RunKey:
    """What identifies a run in one Airflow."""

    dag: str
    run: str

    def __str__(self) -> str:
        return f"{self.dag} {self.run}"


@dataclass(frozen=True, slots=True, order=True)
class InstanceKey:
    """What identifies a task instance in one Airflow; `index` is -1 unless the task is mapped."""

    dag: str
    run: str
    task: str
    index: int = -1

    @property
    def of(self) -> RunKey:
        return RunKey(self.dag, self.run)

    @property
    def whole(self) -> InstanceKey:
        """The task in its run, with all the instances that it is mapped to."""
        return InstanceKey(self.dag, self.run, self.task)

    def __str__(self) -> str:
        return f"{self.dag}.{self.task}" + (f"[{self.index}]" if self.index >= 0 else "") + f" {self.run}"


class Action(StrEnum):
    """What is done to an instance."""

    CLEAR = "clear"
    MARK_SUCCESS = "mark_success"
    MARK_SKIPPED = "mark_skipped"


class EdgeKind(StrEnum):
    """Why one instance has to succeed before another one runs again."""

    TASK = "task"
    PAST = "past"
    DATASET = "dataset"
    SENSOR = "sensor"
    TRIGGER = "trigger"
    ASSET = "asset"


@dataclass(frozen=True, slots=True)
class Server:
    """The Airflow that the plan was made for. A plan is refused by any other one."""

    url: str
    version: str


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run of which instances are in the plan, in its state when the plan was made; moments in UTC."""

    dag: str
    run: str
    state: str
    run_after: datetime
    logical_date: datetime | None = None
    window_start: datetime | None = None
    window_end: datetime | None = None

    @property
    def key(self) -> RunKey:
        return RunKey(self.dag, self.run)


@dataclass(frozen=True, slots=True)
class PlannedInstance:
    """A task instance to be reset, in its state when the plan was made.

    `id` is Airflow's: it changes with every clear and every try, so an instance that still has it was not touched.
    """

    dag: str
    run: str
    task: str
    index: int
    id: str
    state: str | None
    tries: int
    wave: int
    why: str
    cause: int | None = None
    """Place in `Plan.causes`; None where it goes along with others."""
    action: Action = Action.CLEAR
    force: bool = False
    """Work is done again even where a step of ours would find it done already."""
    operator: str = ""

    @property
    def key(self) -> InstanceKey:
        return InstanceKey(self.dag, self.run, self.task, self.index)

    @property
    def of(self) -> RunKey:
        return RunKey(self.dag, self.run)


@dataclass(frozen=True, slots=True)
class Edge:
    """`before` and `after` are places in `Plan.instances`; one of a mapped task means all its instances in the plan.

    An edge of the kind `task` is within a run: Airflow keeps
    that order itself, so that both may be in one wave. Any other one leads into a later wave.
    """

    before: int
    after: int
    kind: EdgeKind
    reason: str


@dataclass(frozen=True, slots=True)
class Cause:
    """Failures that have one reason: `SOURCE_MISSING on flights.raw`. What is not a fault of the catalogue has no code.

    `playbook` is the section that treats it, as `playbooks/flights.md#source_missing`; empty where there is none.
    """

    title: str
    code: str = ""
    kind: str = ""
    subject: str = ""
    playbook: str = ""
    runs: int = 0
    because: int | None = None
    """Place in `Plan.causes` of the one that this one follows from."""


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """What one might expect in the plan and is not in it; `run` and `task` are empty for a whole DAG or run."""

    dag: str
    run: str
    task: str
    why: str


@dataclass(frozen=True, slots=True)
class QueuedEvent:
    """An asset event that a DAG waiting for several assets will get a second time, to be deleted once `wave` is done.

    Without that its next run would begin with the event of this one.
    """

    dag: str
    asset_id: int
    asset: str
    wave: int


@dataclass(frozen=True, slots=True)
class PoolLoad:
    """`wanted` slots at once, in the wave that wants most; `slots` is None where the pool is not known."""

    pool: str
    wanted: int
    slots: int | None


@dataclass(frozen=True, slots=True)
class Load:
    """What the plan asks of Airflow at most at one time."""

    tasks: int = 0
    pools: tuple[PoolLoad, ...] = ()
    clusters: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be reset, why, and in what order. `id` is a digest of everything else in it."""

    id: str
    created: datetime
    created_by: str
    server: Server
    request: Mapping[str, object]
    """What was asked for, by the names of the command's options."""
    runs: tuple[PlannedRun, ...] = ()
    instances: tuple[PlannedInstance, ...] = ()
    edges: tuple[Edge, ...] = ()
    causes: tuple[Cause, ...] = ()
    queued_events: tuple[QueuedEvent, ...] = ()
    left_alone: tuple[LeftAlone, ...] = ()
    warnings: tuple[str, ...] = ()
    load: Load = field(default_factory=Load)
    afterwards: tuple[str, ...] = ()
    """Commands for a person to run once the plan is done, for example to replay dead letters."""
    version: int = VERSION

    @property
    def waves(self) -> tuple[tuple[int, ...], ...]:
        """By wave, the places of its instances, in the plan's order."""
        found: list[list[int]] = [[] for _ in range(1 + max((each.wave for each in self.instances), default=-1))]
        for place, each in enumerate(self.instances):
            found[each.wave].append(place)
        return tuple(map(tuple, found))

    @property
    def dags(self) -> tuple[str, ...]:
        return tuple(sorted({each.dag for each in self.instances}))

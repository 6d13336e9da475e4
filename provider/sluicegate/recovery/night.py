"""What a plan is made from: runs, task instances, DAGs and how they depend on each other, as read at one time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from sluicegate.graph.awaited import AwaitedRuns
from sluicegate.recovery.definition import InstanceKey, RunKey

__all__ = [
    "ENDED_RUN", "FAILED", "OURS", "UNDER_WAY", "Assets", "Awaited", "Dag", "Details", "Emitted", "FaultSeen",
    "Instance", "Night", "Run", "Task",
]  # fmt: skip

FAILED = frozenset({"failed", "upstream_failed"})
UNDER_WAY = frozenset({"scheduled", "queued", "running", "deferred", "restarting", "up_for_retry", "up_for_reschedule"})
"""States of instances that will go on by themselves."""
ENDED_RUN = frozenset({"success", "failed"})

OURS: Mapping[str, str] = {
    "LoadOperator": "load",
    "FetchOperator": "fetch",
    "SparkOperator": "spark",
    "TransformOperator": "transform",
    "PythonStepOperator": "python",
    "UpstreamSensor": "wait",
    "SourceSensor": "wait",
    "FilesOperator": "wait",
}
"""By the class of an operator of ours, the kind of its step."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a DAG; moments in UTC."""

    key: RunKey
    state: str
    run_after: datetime
    logical_date: datetime | None = None
    start: datetime | None = None
    end: datetime | None = None
    """`start` and `end` are those of its window; None where it has none."""


@dataclass(frozen=True, slots=True)
class Awaited:
    """What a sensor waits for. `tasks` None: the whole DAG. `runs` None: which ones is not known."""

    dag: str
    tasks: tuple[str, ...] | None
    runs: AwaitedRuns | None


@dataclass(frozen=True, slots=True)
class Instance:
    """A task instance. `awaited`: of a sensor that has started; `triggers`: of a task that starts runs of a DAG, that
    DAG and the run's id, which may be None.
    """

    key: InstanceKey
    id: str
    state: str | None
    tries: int
    operator: str = ""
    pool: str = "default_pool"
    pool_slots: int = 1
    started: datetime | None = None
    ended: datetime | None = None
    awaited: Awaited | None = None
    triggers: tuple[str, str | None] | None = None

    @property
    def kind(self) -> str:
        """The kind of step of ours; empty for anything else, `python:` and `operator:` in foreign hands included."""
        return OURS.get(self.operator, "")


@dataclass(frozen=True, slots=True)
class FaultSeen:
    """The fault that an instance of ours has failed with; `subject` is the dataset or pipeline it is about."""

    code: str
    kind: str
    subject: str


@dataclass(frozen=True, slots=True)
class Task:
    """A task of a DAG's present version. `role` is `setup`, `teardown` or empty."""

    id: str
    after: tuple[str, ...] = ()
    role: str = ""
    depends_on_past: bool = False
    wait_for_downstream: bool = False


@dataclass(frozen=True, slots=True)
class Dag:
    """A DAG as the list of DAGs shows it."""

    id: str
    paused: bool = False
    stale: bool = False
    owners: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    broken: bool = False
    """Its file cannot be imported at present; runs of the last good version go on."""
    by_assets: bool = False
    """Assets start it."""


@dataclass(frozen=True, slots=True)
class Assets:
    """Assets that start DAGs. `emitted`: by DAG and task id, the ids of those that the task emits. `starts`: by id, the
    DAGs. `names`: by id.
    """

    emitted: Mapping[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)
    starts: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Emitted:
    """An asset event of a run, and the runs that it started or was part of."""

    task: str
    asset_id: int
    started: tuple[RunKey, ...]


@dataclass(frozen=True, slots=True)
class Night:
    """All of it. `instances` has every instance of the runs in `runs`."""

    runs: Mapping[RunKey, Run]
    instances: Mapping[InstanceKey, Instance]
    dags: Mapping[str, Dag]
    faults: Mapping[InstanceKey, FaultSeen] = field(default_factory=dict)
    assets: Assets = field(default_factory=Assets)
    pools: Mapping[str, int] = field(default_factory=dict)
    """Slots by pool; a pool without a limit is missing."""
    outside: Mapping[InstanceKey, datetime] = field(default_factory=dict)
    """Failures that the filters left out, of DAGs that are in the night or that a sensor waits for, with the logical
    date of their run.
    """


class Details(Protocol):
    """What is asked of Airflow only where a plan needs it: each answer is a call."""

    def tasks(self, dag: str) -> Mapping[str, Task]:
        """The tasks of the DAG's present version; none where it does not exist any more."""
        ...

    def awaited_before(self, dag: str, task: str) -> Awaited | None:
        """What a sensor waited for in some earlier run; which runs that were is left out."""
        ...

    def triggered_run(self, instance: Instance) -> Run | None:
        """The run that a task of the kind TriggerDagRun has started, if it is there."""
        ...

    def all_of(self, run: RunKey) -> Sequence[Instance]:
        """The instances of a run that is not in the night."""
        ...

    def emitted(self, run: RunKey) -> Sequence[Emitted]:
        """The asset events of a run."""
        ...

    def read_on(self, failure: InstanceKey) -> str:
        """Where the log of the last failure says to read on; nothing where it is not known."""
        ...

    def starts(self, dag: str, assets: Collection[int]) -> bool:
        """Whether these assets, by their ids, start a DAG without any other."""
        ...

"""What the engine knows of a task, and how it says to go on. Values, and the EMR that it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from sluicegate.emr.attempt import Found
from sluicegate.emr.names import RunKey
from sluicegate.emr.verdict import ClusterStatus, StepStatus

__all__ = ["Client", "Ended", "Try", "Wait", "Work"]


class Client(Protocol):
    """EMR, as `EmrClient` gives it. Every method raises `FaultError`."""

    def find(self, key: RunKey, *, since: datetime | None, known: str = "", older: bool = False) -> list[Found]: ...

    def live(self, key: RunKey) -> list[str]: ...

    def describe(self, cluster_id: str) -> ClusterStatus: ...

    def steps(self, cluster_id: str) -> list[StepStatus]: ...

    def run(self, request: Mapping[str, Any]) -> str: ...

    def terminate(self, cluster_ids: Sequence[str], *, why: str) -> None: ...


@dataclass(frozen=True)
class Try:
    """What a try of the task knows of itself.

    :param generation: stays the same over retries and changes when a person clears the task
    :param first: whether no try of this task can have been before
    :param again: whether Airflow will try again after a fault that may pass
    :param force: give up what earlier generations have started or done
    :param since: no cluster of this generation is older, as far as Airflow knows
    """

    generation: str
    first: bool = False
    again: bool = False
    force: bool = False
    since: datetime | None = None


@dataclass(frozen=True)
class Work:
    """What is to be done on the cluster.

    :param request: the arguments of RunJobFlow for an attempt at a placement; asked only when a cluster is started
    :param max_runtime: of each of its `jobs`
    :param placements: how many places there are in which the cluster may be started
    :param timeout: how long a try may take; for what is said when it has taken longer
    """

    request: Callable[[int, int], Mapping[str, Any]]
    max_runtime: timedelta
    jobs: int = 1
    placements: int = 1
    timeout: timedelta | None = None


@dataclass(frozen=True)
class Wait:
    """Wait for this cluster until `deadline`. `settled`: the last attempt that does not count any more."""

    key: RunKey
    cluster_id: str
    name: str
    deadline: datetime
    settled: int = 0


@dataclass(frozen=True)
class Ended:
    """Report how this cluster ended."""

    cluster: ClusterStatus
    steps: Sequence[StepStatus]

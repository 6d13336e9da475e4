"""Which live clusters no task needs any more. The decision alone: values in, values out; it calls nothing.

A cluster is ended only for a reason that is known; whatever is not known leaves it alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sluicegate.emr.names import RunKey
from sluicegate.emr.tags import ENDED_BY, Owner, Unowned, owner

__all__ = ["GRACE", "Gone", "Judged", "Kind", "LiveCluster", "TaskState", "judge"]

GRACE = timedelta(minutes=5)
"""How long a cluster is left alone after it was made, and after its deadline, which its own task keeps first."""

_OVER = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
_GOING_ON = frozenset(
    {"scheduled", "queued", "running", "restarting", "deferred", "up_for_retry", "up_for_reschedule", "awaiting_input"}
)


@dataclass(frozen=True)
class LiveCluster:
    """A cluster that costs money, as AWS shows it."""

    cluster_id: str
    name: str
    state: str
    created: datetime
    tags: Mapping[str, str]


class Gone(StrEnum):
    """What Airflow does not have any more."""

    TASK = "task"
    RUN = "run"
    DAG = "DAG"


@dataclass(frozen=True)
class TaskState:
    """What Airflow says of a task instance: its state (None once it was cleared), or what of it is gone."""

    state: str | None = None
    gone: Gone | None = None

    def __str__(self) -> str:
        return f"no {self.gone}" if self.gone else self.state or "no state"


class Kind(StrEnum):
    """Whether a cluster is needed."""

    NEEDED = "needed"
    ORPHAN = "orphan"
    UNKNOWN = "unknown"
    """It seems to be ours, but something is not known: left alone."""
    FOREIGN = "foreign"


@dataclass(frozen=True)
class Judged:
    """A live cluster, and whether it is needed. `owner` is None where it is not certain that it is ours."""

    cluster: LiveCluster
    kind: Kind
    reason: str
    owner: Owner | None = None
    task: TaskState | None = None
    elder: str = ""
    """The id of its older twin, if it is an orphan for that."""


def judge(
    clusters: Iterable[LiveCluster],
    tasks: Mapping[RunKey, TaskState],
    *,
    deployment: str,
    now: datetime,
    grace: timedelta = GRACE,
) -> list[Judged]:
    """Each of the clusters, the oldest first, with what is to be thought of it.

    :param tasks: what Airflow says of their task instances; one that is missing is not known
    """
    judged = []
    oldest: dict[tuple[RunKey, int], str] = {}
    for cluster in sorted(clusters, key=lambda c: (c.created, c.cluster_id)):
        found = owner(cluster.name, cluster.tags, deployment)
        if isinstance(found, Unowned):
            kind = Kind.FOREIGN if found.foreign else Kind.UNKNOWN
            judged.append(Judged(cluster, kind, found.reason))
            continue
        task = tasks.get(found.key)
        elder, certain = "", _by_itself(cluster, found, now, grace)
        if certain is None:
            # Twins have the same attempt: of two attempts, only the task's own record says which one counts.
            first = oldest.setdefault((found.key, found.attempt), cluster.cluster_id)
            elder = "" if first == cluster.cluster_id else first
            certain = _by_task(task, elder)
        judged.append(Judged(cluster, *certain, found, task, elder))
    return judged


def _by_itself(cluster: LiveCluster, mine: Owner, now: datetime, grace: timedelta) -> tuple[Kind, str] | None:
    """What is certain without its task; None when the task decides."""
    ends = mine.not_after
    if ends is not None and cluster.created > ends:
        return Kind.UNKNOWN, "it was made after the deadline in its tags: a copy that somebody has made"
    if why := cluster.tags.get(ENDED_BY):
        # Who marked it died before the call, or is making it just now: once more does no harm.
        return Kind.ORPHAN, f"its end was decided ({why}), and it still runs"
    if ends is not None and now > ends + grace:
        return Kind.ORPHAN, f"it was to be gone by {ends.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if now < cluster.created + grace:
        return Kind.NEEDED, "it has just been made"
    return None


def _by_task(task: TaskState | None, elder: str) -> tuple[Kind, str]:
    if task is None:
        return Kind.UNKNOWN, "Airflow did not say how its task is"
    if task.gone is not None:
        return Kind.ORPHAN, f"Airflow has no such {task.gone} any more"
    if task.state in _OVER:
        return Kind.ORPHAN, f"its task is over: {task.state}"
    if task.state is not None and task.state not in _GOING_ON:
        return Kind.UNKNOWN, f"its task is in a state that Sluicegate does not know: {task.state}"
    if elder:
        return Kind.ORPHAN, f"its task has an older one: {elder}"
    return Kind.NEEDED, f"its task goes on: {task.state}" if task.state else "its task was cleared and will take it"

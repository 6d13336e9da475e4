"""What the waits of a triggerer end beside their own clusters, and how often they look for it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from sluicegate.emr.lookout import Lookout
from sluicegate.emr.names import RunKey
from sluicegate.emr.orphans import TaskState
from sluicegate.emr.strays import Strays
from sluicegate.emr.sweep import Sweep
from sluicegate.emr.tags import own_tags
from sluicegate.emr.verdict import ClusterStatus

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MINE = RunKey("prod", "delays", "today", "join")


@dataclass
class Emr:
    """Clusters by id, an hour old; `asked` are those that were described."""

    clusters: dict[str, ClusterStatus] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def add(self, dag_id: str, run_id: str) -> RunKey:
        key = RunKey("prod", dag_id, run_id, "join")
        tags = own_tags(key, attempt=1, pipeline=dag_id, cluster="c", not_after=NOW + timedelta(days=1))
        made = NOW - timedelta(hours=1)
        self.clusters[run_id] = ClusterStatus(run_id, key.name(1), "RUNNING", created=made, tags=tags)
        return key

    def running(self) -> list[ClusterStatus]:
        return list(self.clusters.values())

    def describe(self, cluster_id: str) -> ClusterStatus:
        self.asked.append(cluster_id)
        return self.clusters[cluster_id]

    def terminate(self, cluster_ids: list[str], *, why: str) -> None:
        for each in cluster_ids:
            del self.clusters[each]


@dataclass
class Triggerer:
    emr: Emr = field(default_factory=Emr)
    over: set[RunKey] = field(default_factory=set)
    now: datetime = NOW

    def __post_init__(self) -> None:
        self.lookout = Lookout(self.emr, clock=lambda: self.now)  # type: ignore[arg-type]
        sweep = Sweep(self.emr, self, "prod", clock=lambda: self.now)  # type: ignore[arg-type]
        self.strays = Strays(sweep, clock=lambda: self.now)

    def states(self, keys: Collection[RunKey]) -> dict[RunKey, TaskState]:
        """All others are deferred."""
        return {key: TaskState("failed" if key in self.over else "deferred") for key in keys}

    def look(self, *, begins: bool) -> None:
        self.lookout.read = None
        self.emr.add("delays", "mine")
        self.lookout.look("mine", max_age=timedelta(), lists=True)
        self.lookout.join("mine")
        self.strays.end(self.lookout, MINE, begins=begins)


@pytest.fixture
def triggerer() -> Triggerer:
    return Triggerer()


def test_a_triggerer_that_comes_back_ends_what_no_task_needs_at_its_first_look(triggerer: Triggerer) -> None:
    marked = triggerer.emr.add("other", "marked")
    triggerer.emr.add("other", "waiting")
    triggerer.over.add(marked)
    triggerer.look(begins=False)
    assert triggerer.emr.clusters.keys() == {"mine", "waiting"}


def test_a_wait_that_begins_looks_at_its_own_pipeline_and_others_are_looked_at_every_quarter_of_an_hour(
    triggerer: Triggerer,
) -> None:
    triggerer.look(begins=True)
    for name in ("other", "delays"):
        triggerer.over.add(triggerer.emr.add(name, name))
    triggerer.look(begins=False)
    assert triggerer.emr.clusters.keys() == {"mine", "other", "delays"}
    triggerer.look(begins=True)
    assert triggerer.emr.clusters.keys() == {"mine", "other"}
    triggerer.now += timedelta(minutes=15)
    triggerer.look(begins=False)
    assert triggerer.emr.clusters.keys() == {"mine"}


def test_each_is_asked_about_once_and_all_of_many_in_turn(triggerer: Triggerer) -> None:
    keys = [triggerer.emr.add("other", f"run-{n}") for n in range(50)]
    for _ in range(2):
        triggerer.look(begins=False)
        triggerer.now += timedelta(minutes=15)
    assert len(triggerer.emr.asked) == 40
    triggerer.over.add(keys[45])
    triggerer.look(begins=False)
    assert "run-45" not in triggerer.emr.clusters
    assert sorted(set(triggerer.emr.asked)) == sorted(f"run-{n}" for n in range(50))

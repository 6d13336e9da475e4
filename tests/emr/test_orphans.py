from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk import TaskInstanceState

from sluicegate.emr.names import RunKey
from sluicegate.emr.orphans import Gone, Judged, Kind, LiveCluster, TaskState, judge
from sluicegate.emr.tags import own_tags

NOW = datetime(2026, 1, 1, 8, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
KEY = RunKey("prod", "delays", "scheduled__2026-01-01", "join")


def cluster(
    cluster_id: str = "j-1",
    *,
    key: RunKey = KEY,
    attempt: int = 1,
    age: timedelta = HOUR,
    left: timedelta = HOUR,
    **tags: str,
) -> LiveCluster:
    own = own_tags(key, attempt=attempt, pipeline=key.dag_id, cluster="small", not_after=NOW + left)
    more = {f"sluicegate:{name.replace('_', '-')}": value for name, value in tags.items()}
    return LiveCluster(cluster_id, key.name(attempt), "RUNNING", NOW - age, own | more)


def one(found: LiveCluster, task: Any = "running", deployment: str = "prod") -> Judged:
    known = task if isinstance(task, TaskState) else TaskState(task)
    key = RunKey(deployment, KEY.dag_id, KEY.run_id, KEY.task_id)
    [judged] = judge([found], {} if task == "?" else {key: known}, deployment=deployment, now=NOW)
    return judged


OVER = {"success", "failed", "skipped", "upstream_failed", "removed"}


@pytest.mark.parametrize("state", [*(each.value for each in TaskInstanceState), None])
def test_a_cluster_is_needed_as_long_as_its_task_can_take_it(state: str | None) -> None:
    assert one(cluster(), state).kind is (Kind.ORPHAN if state in OVER else Kind.NEEDED)


@pytest.mark.parametrize("gone", Gone)
def test_a_cluster_whose_task_is_gone_is_an_orphan(gone: Gone) -> None:
    judged = one(cluster(), TaskState(gone=gone))
    assert (judged.kind, judged.reason) == (Kind.ORPHAN, f"Airflow has no such {gone} any more")


def test_a_cluster_is_left_alone_in_its_first_moments_and_by_its_deadline() -> None:
    assert one(cluster(age=4 * MINUTE), "failed").kind is Kind.NEEDED
    assert one(cluster(age=6 * MINUTE), "failed").kind is Kind.ORPHAN
    assert one(cluster(left=-4 * MINUTE)).kind is Kind.NEEDED
    late = one(cluster(left=-6 * MINUTE))
    assert (late.kind, late.reason) == (Kind.ORPHAN, "it was to be gone by 2026-01-01 07:54 UTC")


def test_a_deadline_counts_also_when_airflow_says_nothing() -> None:
    assert one(cluster(), "?").kind is Kind.UNKNOWN
    assert one(cluster(left=-HOUR, age=2 * HOUR), "?").kind is Kind.ORPHAN


def test_a_state_that_airflow_invents_leaves_the_cluster_alone() -> None:
    assert one(cluster(), "dreaming").kind is Kind.UNKNOWN


@pytest.mark.parametrize("task", ["failed", "?", TaskState(gone=Gone.RUN)])
def test_what_is_not_certainly_ours_is_never_an_orphan(task: Any) -> None:
    assert one(cluster(deployment="test"), task).kind is Kind.FOREIGN
    assert one(cluster(run="0" * 16, not_after="2020-01-01T00:00:00+00:00"), task).kind is Kind.UNKNOWN
    assert one(LiveCluster("j", "x", "WAITING", NOW, {}), task).kind is Kind.FOREIGN


def test_a_copy_that_somebody_makes_of_a_cluster_is_left_alone() -> None:
    assert one(cluster(left=-2 * HOUR, age=HOUR), "failed").kind is Kind.UNKNOWN


def test_a_cluster_whose_end_was_decided_is_ended_though_whoever_decided_it_died() -> None:
    assert one(cluster(age=MINUTE, ended_by="killed")).kind is Kind.ORPHAN


def test_of_twins_the_older_one_is_kept_and_of_two_attempts_both() -> None:
    twins = [cluster("j-2", age=HOUR), cluster("j-1", age=2 * HOUR), cluster("j-3", attempt=2, age=HOUR)]
    judged = judge(twins, {KEY: TaskState("deferred")}, deployment="prod", now=NOW)
    assert [(each.cluster.cluster_id, each.kind) for each in judged] == [
        ("j-1", Kind.NEEDED),
        ("j-2", Kind.ORPHAN),
        ("j-3", Kind.NEEDED),
    ]
    assert judged[1].reason == "its task has an older one: j-1"

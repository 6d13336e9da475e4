"""The engine alone: what it notes, how long it doubts, and where it goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sluicegate.emr import engine
from sluicegate.emr.attempt import Found
from sluicegate.emr.engine import Engine
from sluicegate.emr.launch import DOUBT
from sluicegate.emr.names import RunKey
from sluicegate.emr.record import STORE_KEY
from sluicegate.emr.task import Ended, Try, Wait, Work
from sluicegate.emr.verdict import ClusterStatus, StepStatus, verdict
from sluicegate.faults import FatalFault, FaultError, fault

START = datetime(2026, 1, 1, tzinfo=UTC)
KEY = RunKey("d", "p", "r", "t")


class Store(dict[str, Any]):
    def set(self, key: str, value: Any) -> None:
        self[key] = value


@dataclass
class Emr:
    """Clusters by id; a list shows those in `hidden` not yet."""

    now: datetime = START
    clusters: dict[str, ClusterStatus] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    refuses: list[FaultError] = field(default_factory=list)
    lists: int = 0

    def find(self, key: RunKey, *, since: datetime | None, known: str = "", older: bool = False) -> list[Found]:
        self.lists += 1
        return [self._found(c) for id_, c in self.clusters.items() if id_ not in self.hidden or id_ == known]

    def live(self, key: RunKey) -> list[str]:
        self.lists += 1
        return [id_ for id_, c in self.clusters.items() if not c.terminal and id_ not in self.hidden]

    def describe(self, cluster_id: str) -> ClusterStatus:
        return self.clusters[cluster_id]

    def steps(self, cluster_id: str) -> list[StepStatus]:
        done = self.clusters[cluster_id].reason_code == "ALL_STEPS_COMPLETED"
        return [StepStatus("s", "a.py", "COMPLETED" if done else "CANCELLED")]

    def run(self, request: Mapping[str, Any]) -> str:
        if self.refuses:
            raise self.refuses.pop()
        id_ = f"j-{len(self.clusters) + 1}"
        tags = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
        self.clusters[id_] = ClusterStatus(id_, request["Name"], "STARTING", created=self.now, tags=tags)
        return id_

    def terminate(self, cluster_ids: Sequence[str], *, why: str) -> None:
        for id_ in cluster_ids:
            self.end(id_, "USER_REQUEST", ended_by=why)

    def end(self, cluster_id: str, code: str, error: str = "", ended_by: str = "") -> None:
        cluster = self.clusters[cluster_id]
        tags = {**cluster.tags} | ({"sluicegate:ended-by": ended_by} if ended_by else {})
        ended = replace(cluster, state="TERMINATED", reason_code=code, error_code=error, tags=tags)
        self.clusters[cluster_id] = replace(ended, ended=self.now)

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def _found(self, cluster: ClusterStatus) -> Found:
        assert cluster.created is not None
        return Found(
            cluster.cluster_id,
            cluster.name,
            KEY.attempt(cluster.name) or 0,
            cluster.state,
            cluster.created,
            complete=cluster.reason_code == "ALL_STEPS_COMPLETED",
            ended_by_us="sluicegate:ended-by" in cluster.tags,
            generation=cluster.tags["sluicegate:generation"],
        )


@dataclass
class Task:
    emr: Emr = field(default_factory=Emr)
    store: Store = field(default_factory=Store)
    placements: int = 1

    def engine(self, generation: str = "2/2", **of_try: Any) -> Engine:
        def request(attempt: int, placement: int) -> dict[str, Any]:
            tags = {
                "run": KEY.digest,
                "generation": generation,
                "placement": str(placement),
                "not-after": (self.emr.now + timedelta(hours=5)).isoformat(),
            }
            shown = [{"Key": f"sluicegate:{key}", "Value": value} for key, value in tags.items()]
            return {"Name": KEY.name(attempt), "Tags": shown}

        work = Work(request, timedelta(hours=4), placements=self.placements)
        this = Try(generation, **{"again": True, **of_try})
        return Engine(
            self.emr, self.store, KEY, this, work, clock=lambda: self.emr.now, sleep=lambda s: self.emr.sleep(s)
        )

    def begin(self, **of_try: Any) -> Wait:
        way = self.engine(**of_try).begin()
        assert isinstance(way, Wait)
        return way

    def after(self, cluster_id: str, **of_try: Any) -> Wait | Ended:
        way = self.engine(**of_try).after({"outcome": "ended", "cluster_id": cluster_id})
        assert way is not None
        return way

    def intend(self, ago: float, attempt: int = 1) -> None:
        """An earlier try has noted that it calls RunJobFlow, and has died."""
        self.store[STORE_KEY] = {
            "since": START.isoformat(), "finished_attempt": 0, "generation": "", "forced": "", "deployment": "d",
            "attempt": attempt, "asked": (self.emr.now - timedelta(seconds=ago)).isoformat(),
            "by": "one that has died", "cluster_id": "",
        }  # fmt: skip


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> Task:
    monkeypatch.setattr(engine, "CLAIM", 0.0)
    return Task()


def test_the_intent_is_noted_before_the_call_and_the_id_after_it(task: Task) -> None:
    noted: list[dict[str, Any]] = []
    run = task.emr.run
    task.emr.run = lambda request: noted.append(dict(task.store[STORE_KEY])) or run(request)  # type: ignore[func-returns-value, method-assign]
    task.begin(first=True)
    [before], after = noted, task.store[STORE_KEY]
    assert (before["attempt"], before["asked"], before["cluster_id"]) == (1, START.isoformat(), "")
    assert after["cluster_id"] == "j-1"


def test_a_first_try_asks_for_its_cluster_without_a_look(task: Task) -> None:
    assert task.begin(first=True).cluster_id == "j-1"
    assert task.emr.lists == 0


def test_a_first_try_that_begins_again_looks(task: Task) -> None:
    task.begin(first=True)
    assert task.begin(first=True).cluster_id == "j-1"
    assert task.emr.lists == 1


def test_a_retry_without_a_record_waits_until_a_list_would_show_what_was_asked_for(task: Task) -> None:
    task.begin(first=True)
    task.store.clear()
    task.emr.hidden = {"j-1"}
    began, slept = task.emr.now, task.emr.sleep

    def sleep(seconds: float) -> None:
        slept(seconds)
        if task.emr.now - began >= timedelta(seconds=45):
            task.emr.hidden.clear()

    task.emr.sleep = sleep  # type: ignore[method-assign]
    assert task.begin().cluster_id == "j-1"


def test_a_retry_without_a_record_starts_one_when_nothing_has_shown_up_for_a_minute(task: Task) -> None:
    began = task.emr.now
    assert task.begin().cluster_id == "j-1"
    assert timedelta(minutes=1) <= task.emr.now - began < timedelta(seconds=75)


def test_what_a_try_of_an_earlier_life_reports_counts_as_the_work_of_this_one(task: Task) -> None:
    # It was given up long ago and lives: it sees a cluster that a later life has started.
    task.begin(generation="5/2", first=True)
    task.emr.end("j-1", "ALL_STEPS_COMPLETED")
    late = task.engine(generation="2/2")
    found = late.begin()
    assert isinstance(found, Ended)
    with late.reporting(found):
        pass
    assert isinstance(task.engine(generation="5/2").begin(), Ended)
    assert len(task.emr.clusters) == 1


def test_how_a_cluster_has_ended_is_not_asked_for_again(task: Task) -> None:
    task.begin(first=True)
    task.emr.end("j-1", "ALL_STEPS_COMPLETED")
    seen = task.emr.clusters["j-1"]
    task.emr.describe = lambda _: pytest.fail("it was asked for")  # type: ignore[method-assign]
    event = {"outcome": "ended", "cluster_id": "j-1", "cluster": json.loads(json.dumps(seen.as_json()))}
    way = task.engine().after(event)
    assert isinstance(way, Ended)
    assert way.cluster == seen


def test_a_retry_waits_for_the_cluster_of_an_intent_that_lag_hides(task: Task) -> None:
    task.begin()
    task.store[STORE_KEY]["cluster_id"] = ""
    task.emr.hidden = {"j-1"}
    slept: list[float] = []
    task.emr.sleep = lambda seconds: slept.append(seconds) or task.emr.hidden.clear()  # type: ignore[func-returns-value, method-assign]
    assert task.begin().cluster_id == "j-1"
    assert len(slept) == 1


def test_a_retry_starts_another_once_nothing_can_come_of_the_intent(task: Task) -> None:
    task.intend(ago=20)
    began = task.emr.now
    assert task.begin().cluster_id == "j-1"
    assert DOUBT - timedelta(seconds=20) <= task.emr.now - began <= DOUBT


def test_an_old_intent_is_not_waited_for(task: Task) -> None:
    task.intend(ago=DOUBT.total_seconds() + 1)
    task.begin()
    assert task.emr.now == START


def test_a_list_that_takes_minutes_to_read_keeps_no_cluster_from_being_started(task: Task) -> None:
    # A busy account, or one that is throttled at seven in the morning.
    find, task.emr.lists = task.emr.find, 0

    def slow(*args: Any, **kwargs: Any) -> list[Found]:
        assert task.emr.lists < 5, "it looks again and again"
        task.emr.sleep(180)
        return find(*args, **kwargs)

    task.emr.find = slow  # type: ignore[method-assign]
    assert task.begin().cluster_id == "j-1"


def test_a_task_that_is_cleared_a_month_after_its_success_does_not_read_the_list_of_that_month(task: Task) -> None:
    task.begin()
    task.emr.end("j-1", "ALL_STEPS_COMPLETED")
    way = task.after("j-1")
    assert isinstance(way, Ended)
    with task.engine().reporting(way):
        pass
    find, asked = task.emr.find, []
    task.emr.find = lambda *args, since, **more: asked.append(since) or find(*args, since=since, **more)  # type: ignore[func-returns-value, method-assign]
    task.emr.now += timedelta(days=30)
    cleared = task.emr.now
    assert task.begin(generation="4/2").name.endswith("-a2")
    task.emr.now += timedelta(hours=1)
    assert task.begin(generation="4/2").cluster_id == "j-2"  # a retry
    assert asked == [None, cleared]


def test_a_refused_call_leaves_no_intent_to_wait_for(task: Task) -> None:
    task.emr.refuses = [fault("CLUSTER_INVALID", "no such role")]
    with pytest.raises(FaultError):
        task.begin(again=False)
    began = task.emr.now
    task.begin(generation="4/2")
    assert task.emr.now == began


def test_a_cluster_that_lag_hides_is_gone_on_with_by_its_id(task: Task) -> None:
    task.begin()
    task.emr.hidden = {"j-1"}
    assert task.begin().cluster_id == "j-1"


def test_a_cluster_that_lag_hides_ends_with_its_task(task: Task) -> None:
    task.begin()
    task.emr.hidden = {"j-1"}
    with pytest.raises(FaultError):
        task.engine(again=False).after({"outcome": "failed", "detail": "it died"})
    assert task.emr.clusters["j-1"].terminal


def test_a_copy_of_a_cluster_whose_tags_a_person_has_taken_off_does_not_end_with_the_task(task: Task) -> None:
    task.begin()
    copy = replace(task.emr.clusters["j-1"], cluster_id="j-2", tags={})
    task.emr.clusters["j-2"] = copy
    task.engine().end("killed")
    assert [id_ for id_, cluster in task.emr.clusters.items() if not cluster.terminal] == ["j-2"]


def test_a_task_whose_cluster_another_airflow_takes_for_left_over_does_not_start_one_after_the_other(
    task: Task,
) -> None:
    task.begin()
    task.emr.terminate(["j-1"], why="orphan")
    with pytest.raises(FatalFault, match="does another Airflow have the same `\\[sluicegate\\] deployment`, d\\?"):
        task.after("j-1")
    assert list(task.emr.clusters) == ["j-1"]


def test_work_of_this_generation_is_not_done_twice_though_the_store_is_lost(task: Task) -> None:
    task.begin()
    task.emr.end("j-1", "ALL_STEPS_COMPLETED")
    task.store.clear()
    way = task.engine().begin()
    assert isinstance(way, Ended)
    task.store.clear()
    assert task.begin(generation="4/2").cluster_id == "j-2"


CAPACITY = "INTERNAL_ERROR_EC2_INSUFFICIENT_CAPACITY_AZ"


def test_a_cluster_without_machines_is_followed_by_one_elsewhere(caplog: pytest.LogCaptureFixture) -> None:
    task = Task(placements=3)
    task.begin()
    for n in (1, 2):
        task.emr.end(f"j-{n}", "INTERNAL_ERROR", CAPACITY)
        way = task.after(f"j-{n}")
        assert isinstance(way, Wait)
        assert way.cluster_id == f"j-{n + 1}"
        assert task.emr.clusters[way.cluster_id].tags["sluicegate:placement"] == str(n)
        assert f"placement {n + 1} of 3" in caplog.text
    task.emr.end("j-3", "INTERNAL_ERROR", CAPACITY)
    way = task.after("j-3")
    assert isinstance(way, Ended)
    lost = verdict(way.cluster, way.steps, max_runtime=timedelta(hours=4))
    assert lost is not None
    assert lost.code == "CLUSTER_CAPACITY"
    task.begin()
    assert task.emr.clusters["j-4"].tags["sluicegate:placement"] == "0"


def test_what_goes_wrong_otherwise_is_not_tried_elsewhere() -> None:
    task = Task(placements=2)
    task.begin()
    task.emr.end("j-1", "BOOTSTRAP_FAILURE")
    assert isinstance(task.after("j-1"), Ended)


def test_of_two_tries_that_see_nothing_at_once_one_starts_a_cluster(task: Task) -> None:
    # The second reads the record, and stands still; it notes its claim over that of the first.
    first, second = task.engine(), Task(task.emr, task.store).engine()
    write, written = task.store.set, list[Any]()

    def overwritten(key: str, value: Any) -> None:
        write(key, value)
        if value["asked"] and not written:
            written.append(value)
            task.store.set = write  # type: ignore[method-assign]
            begun.append(second.begin())

    begun: list[Any] = []
    task.store.set = overwritten  # type: ignore[method-assign]
    begun.append(first.begin())
    assert [way.cluster_id for way in begun] == ["j-1", "j-1"]
    assert len(task.emr.clusters) == 1


def test_a_twin_of_a_call_that_aws_refused_for_now_is_ended_while_ours_starts(task: Task) -> None:
    run, calls = task.emr.run, list[str]()

    def throttled(request: Mapping[str, Any]) -> str:
        calls.append(run(request))
        if len(calls) == 1:
            task.emr.hidden = {"j-1"}
            raise fault("AWS_THROTTLED", "rate exceeded")
        task.emr.sleep = lambda seconds: real(seconds) or task.emr.hidden.clear()  # type: ignore[func-returns-value, method-assign]
        return calls[-1]

    real, task.emr.run = task.emr.sleep, throttled  # type: ignore[method-assign]
    assert task.begin().cluster_id == "j-1"
    assert [id_ for id_, c in task.emr.clusters.items() if not c.terminal] == ["j-1"]


def test_a_try_that_stood_still_before_its_call_looks_again(task: Task) -> None:
    # Its list is minutes old, and meanwhile another try has started the cluster.
    other = Task(task.emr, task.store)
    first = task.store.set

    def stand_still(key: str, value: Any) -> None:
        first(key, value)
        if value["asked"]:
            task.store.set = first  # type: ignore[method-assign]
            task.emr.now += timedelta(minutes=5)
            other.begin()

    task.store.set = stand_still  # type: ignore[method-assign]
    assert task.begin().cluster_id == "j-1"
    assert len(task.emr.clusters) == 1


def test_a_job_that_runs_when_its_task_is_cleared_is_ended_and_done_again(task: Task) -> None:
    task.begin()
    assert task.begin(generation="4/2").cluster_id == "j-2"
    assert task.emr.clusters["j-1"].tags["sluicegate:ended-by"] == "cleared"


@pytest.mark.parametrize("late", ["2/2", "4/5"])
def test_neither_a_late_try_of_before_a_clear_nor_other_retries_end_what_runs(task: Task, late: str) -> None:
    task.begin(generation="4/2")
    assert task.begin(generation=late).cluster_id == "j-1"

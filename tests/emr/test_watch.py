from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.emr.attempt import Found
from sluicegate.emr.launch import DOUBT
from sluicegate.emr.lookout import Lookout
from sluicegate.emr.names import RunKey
from sluicegate.emr.verdict import ClusterStatus, StepStatus
from sluicegate.emr.watch import Subject, Watch, pause, progress

START = datetime(2026, 1, 1, tzinfo=UTC)
KEY = RunKey("d", "p", "r", "t")
STATES = ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING", "TERMINATING")


@given(st.sampled_from(STATES), st.floats(0, 1e7), st.floats(0, 1e7), st.integers(0, 1000))
def test_the_pause_is_never_a_busy_loop_and_never_a_nap_of_hours(
    state: str, waited: float, ran: float, failures: int
) -> None:
    assert 2 <= pause(state, waited, ran, failures) <= 240


@given(st.floats(0, 1e4))
def test_the_end_of_a_short_job_is_noticed_soon(ran: float) -> None:
    assert pause("RUNNING", ran + 10, ran) <= max(4.0, ran)


@dataclass
class Emr:
    """Clusters that begin to run after five minutes and end after `job` seconds more."""

    now: datetime = START
    job: float = 600
    steps_of: int = 1
    started: dict[str, datetime] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)

    def running(self) -> list[ClusterStatus]:
        self.calls.append("list")
        return [c for c in map(self._status, self.started) if not c.terminal and c.cluster_id not in self.hidden]

    def live(self, key: RunKey) -> list[str]:
        return [c.cluster_id for c in self.running() if key.attempt(c.name)]

    def find(self, key: RunKey, *, since: Any, known: str = "", older: bool = False) -> list[Found]:
        found = [self._status(id_) for id_ in self.live(key)]
        return [Found(c.cluster_id, c.name, 1, c.state, self.started[c.cluster_id]) for c in found]

    def describe(self, cluster_id: str) -> ClusterStatus:
        self.calls.append("describe")
        return self._status(cluster_id)

    def steps(self, cluster_id: str) -> list[StepStatus]:
        self.calls.append("steps")
        return [StepStatus(f"s-{n}", f"{n}.py", "RUNNING" if not n else "PENDING") for n in range(self.steps_of)]

    def terminate(self, cluster_ids: Any, *, why: str) -> None:
        self.ended |= set(cluster_ids)

    def _status(self, id_: str) -> ClusterStatus:
        began = self.started[id_]
        ready = began + timedelta(seconds=300)
        over = id_ in self.ended or self.now >= ready + timedelta(seconds=self.job)
        state = "TERMINATED" if over else "RUNNING" if self.now >= ready else "STARTING"
        name = KEY.name(1) if id_ in ("mine", "twin") else f"other-{id_}"
        return ClusterStatus(id_, name, state, created=began, ready=ready if state == "RUNNING" else None)


def run(emr: Emr, ids: list[str]) -> dict[str, tuple[Any, datetime]]:
    """All waits, in the order in which they are due; what each ended with, and when."""
    lookout, ended = Lookout(emr, clock=lambda: emr.now), {}
    waits = {}
    for id_ in ids:
        emr.started.setdefault(id_, START)
        lookout.join(id_)
        subject = Subject(id_, KEY, START, START + timedelta(hours=24), steps=emr.steps_of)
        watch = Watch(subject, clock=lambda: emr.now)
        waits[id_] = (START + timedelta(seconds=watch.until_first_look()), watch)
    while waits:
        id_ = min(waits, key=lambda i: waits[i][0])
        emr.now, watch = waits[id_]
        seen = watch.look(lookout)
        if isinstance(seen, dict):
            ended[id_] = (seen["outcome"], emr.now)
            del waits[id_]
            lookout.leave(id_)
        else:
            waits[id_] = (emr.now + timedelta(seconds=seen), watch)
    return ended


def test_one_cluster_is_asked_about_at_most_once_in_two_minutes_in_the_long_run() -> None:
    emr = Emr(job=2 * 3600)
    run(emr, ["mine"])
    assert len(emr.calls) < 300 / 60 + 2 * 3600 / 120 + 12


@pytest.mark.parametrize("job", [2, 60, 600])
def test_an_end_is_noticed_within_two_minutes_and_that_of_a_short_job_sooner(job: float) -> None:
    emr = Emr(job=job)
    [(outcome, noticed)] = run(emr, ["mine"]).values()
    assert outcome == "ended"
    assert (noticed - START).total_seconds() <= 300 + job + 120


def test_fifty_clusters_cost_little_more_than_two() -> None:
    few, many = Emr(job=3600), Emr(job=3600)
    run(few, ["a", "b"])
    run(many, [f"c{n}" for n in range(50)])
    assert many.calls.count("list") <= 1.5 * few.calls.count("list")
    # Each end is asked for once; and the last that waits asks for itself.
    assert many.calls.count("describe") <= 50 + 5


def test_two_pages_of_other_clusters_are_not_read_for_two_waits() -> None:
    emr = Emr(started={f"o{n}": START for n in range(120)})
    run(emr, ["a", "b"])
    assert emr.calls.count("list") <= 1 + 2  # the first, and one look for twins each


def test_steps_are_asked_for_only_where_there_are_several(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    one, three = Emr(job=3600), Emr(job=3600, steps_of=3)
    run(one, ["mine"])
    run(three, ["mine"])
    assert "steps" not in one.calls
    assert 10 < three.calls.count("steps") < 25
    assert "RUNNING, step 1 of 3 (0.py)" in caplog.text


def test_a_twin_that_lag_had_hidden_is_ended_by_a_later_look() -> None:
    emr = Emr(started={"mine": START, "twin": START + timedelta(seconds=5)})
    run(emr, ["mine"])
    assert emr.ended == {"twin"}


def test_a_twin_that_no_try_looked_for_is_seen_by_the_first_look() -> None:
    emr = Emr(started={"mine": START, "twin": START - timedelta(minutes=1)})
    [(_, noticed)] = run(emr, ["mine"]).values()
    assert noticed < START + DOUBT
    assert emr.ended == {"mine"}


def test_a_twin_that_is_older_is_kept_and_the_wait_says_that_ours_has_ended() -> None:
    emr = Emr(started={"mine": START, "twin": START - timedelta(seconds=5)})
    [(outcome, noticed)] = run(emr, ["mine"]).values()
    assert (outcome, emr.ended) == ("ended", {"mine"})
    assert noticed < START + DOUBT + timedelta(minutes=6)


def test_progress_says_which_step_runs() -> None:
    cluster = ClusterStatus("j-1", "n", "RUNNING")
    steps = [StepStatus("s-1", "a.py", "COMPLETED"), StepStatus("s-2", "b.py", "RUNNING")]
    assert progress(cluster, steps) == "RUNNING, step 2 of 2 (b.py)"
    steps[1] = replace(steps[1], state="PENDING")
    assert progress(cluster, steps) == "RUNNING, 1 of 2 steps done"
    assert progress(ClusterStatus("j-1", "n", "STARTING"), []) == "STARTING"
    assert progress(ClusterStatus("j-1", "n", "TERMINATED", "STEP_FAILURE"), []) == "TERMINATED (STEP_FAILURE)"

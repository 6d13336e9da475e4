"""RunJobFlow has no idempotency token: what is known before it is called again."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sluicegate.emr.attempt import Found
from sluicegate.emr.launch import DOUBT, Launch
from sluicegate.faults import FatalFault, FaultError, TransientFault, fault

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Asking:
    """Calls of RunJobFlow that go as `answers` say; what comes of them is in the list `behind` seconds later."""

    answers: list[tuple[FaultError | None, bool]]
    """For each call: what is raised, and whether there is a cluster."""
    behind: float = 0.0
    now: datetime = START
    calls: list[datetime] = field(default_factory=list)
    made: list[tuple[datetime, Found]] = field(default_factory=list)
    stopped: bool = False
    ends_asleep: bool = False
    reading: float = 0.0
    """Seconds that a list takes to read; it shows what was there when it was asked for."""
    claimed: bool = True

    def run(self, request: Any) -> str:
        raised, effect = self.answers[len(self.calls)]
        self.calls.append(self.now)
        cluster = Found(f"j-{len(self.calls)}", "n", 1, "STARTING", self.now)
        if effect:
            self.made.append((self.now + timedelta(seconds=self.behind), cluster))
        if raised is not None:
            raise raised
        return cluster.cluster_id

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.stopped = self.ends_asleep

    def look(self) -> list[Found]:
        found = [cluster for seen, cluster in self.made if seen <= self.now]
        self.now += timedelta(seconds=self.reading)
        return found

    def start(self) -> str | None:
        return Launch(
            run=self.run,
            look=self.look,
            claimed=lambda: self.claimed,
            stopped=lambda: self.stopped,
            clock=lambda: self.now,
            sleep=self.sleep,
        ).start(1, {})

    def pauses(self) -> list[float]:
        return [(b - a).total_seconds() for a, b in zip(self.calls, self.calls[1:], strict=False)]


LOST = fault("AWS_UNAVAILABLE", "read timeout")
SLOW_DOWN = fault("AWS_THROTTLED", "rate exceeded")


def test_a_cluster_whose_answer_is_lost_is_taken_from_the_list() -> None:
    asking = Asking([(LOST, True)])
    assert asking.start() == "j-1"
    assert asking.now == START


@pytest.mark.parametrize("answer", [LOST, SLOW_DOWN])
def test_a_list_that_is_behind_is_read_again_before_a_second_call(answer: FaultError) -> None:
    # AWS has been seen to make the cluster of a call that it throttled, too.
    behind = {LOST: 90.0, SLOW_DOWN: 1.5}[answer]
    asking = Asking([(answer, True), (None, True)], behind=behind)
    assert asking.start() == "j-1"


def test_a_list_that_was_asked_for_too_early_is_not_believed_for_having_taken_long() -> None:
    asking = Asking([(LOST, True), (None, True)], behind=90.0, reading=100.0)
    assert asking.start() == "j-1"


def test_a_call_that_came_to_nothing_is_made_again_once_that_is_certain() -> None:
    asking = Asking([(LOST, False), (None, True)])
    assert asking.start() == "j-2"
    assert asking.pauses() == [DOUBT.total_seconds()]


def test_throttling_is_waited_out_with_growing_pauses() -> None:
    asking = Asking([(SLOW_DOWN, False)] * 4 + [(None, True)])
    assert asking.start() == "j-5"
    assert asking.pauses() == [2.0, 5.0, 10.0, 20.0]


def test_an_outage_is_given_back_as_transient() -> None:
    asking = Asking([(LOST, False)] * 3)
    with pytest.raises(TransientFault):
        asking.start()
    assert len(asking.calls) == 3


def test_a_refusal_is_given_back_at_once() -> None:
    asking = Asking([(fault("CLUSTER_INVALID", "no such role"), False)])
    with pytest.raises(FatalFault):
        asking.start()
    assert asking.now == START


def test_an_ended_task_asks_for_nothing_any_more() -> None:
    asking = Asking([(SLOW_DOWN, False), (None, True)], ends_asleep=True)
    assert asking.start() is None
    assert len(asking.calls) == 1


def test_nothing_is_asked_for_without_a_claim() -> None:
    asking = Asking([(None, True)], claimed=False)
    assert asking.start() is None
    assert asking.calls == []

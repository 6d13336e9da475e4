"""A service that is down is asked by one task a pause, however many need it; once it is up, all of them go on."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from sluicegate.circuits.breaker import Circuit, Settings, State, Wait, admitted, failed, let_go, succeeded

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = Settings(failures=3, pause=timedelta(seconds=30), longest=timedelta(minutes=2))


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def after_failures(count: int, circuit: Circuit | None = None, seconds: float = 0) -> Circuit:
    circuit = circuit or Circuit("connection:w")
    for number in range(count):
        circuit = failed(circuit, f"t{number}", at(seconds), SETTINGS, "WAREHOUSE_UNREACHABLE", "refused")
    return circuit


def probing(circuit: Circuit, who: str, seconds: float) -> Circuit:
    answer = admitted(circuit, who, at(seconds), SETTINGS)
    assert isinstance(answer, Circuit)
    return answer


def test_a_few_failures_let_all_tasks_pass() -> None:
    circuit = after_failures(2)
    assert admitted(circuit, "a", NOW, SETTINGS) == circuit
    assert circuit.state is State.CLOSED


def test_a_success_in_between_begins_the_count_anew() -> None:
    assert after_failures(2, succeeded(after_failures(2))).state is State.CLOSED


def test_so_many_failures_in_a_row_open_it_for_a_pause() -> None:
    circuit = after_failures(3)
    assert (circuit.state, circuit.until, circuit.opened_at) == (State.OPEN, at(30), NOW)
    assert admitted(circuit, "a", at(10), SETTINGS) == Wait(circuit, at(30), at(10))


def test_after_the_pause_one_task_probes_and_the_others_wait() -> None:
    circuit = probing(after_failures(3), "a", 30)
    assert (circuit.state, circuit.probe_by) == (State.HALF_OPEN, "a")
    assert isinstance(admitted(circuit, "b", at(31), SETTINGS), Wait)
    assert admitted(circuit, "a", at(31), SETTINGS) == circuit


def test_a_probe_that_fails_doubles_the_pause_up_to_the_longest() -> None:
    circuit, seconds, pauses = after_failures(3), 30.0, []
    for number in range(4):
        circuit = failed(probing(circuit, f"p{number}", seconds), f"p{number}", at(seconds), SETTINGS, "F", "")
        assert circuit.until is not None
        pauses.append((circuit.until - at(seconds)).total_seconds())
        seconds += pauses[-1]
    assert pauses == [60, 120, 120, 120]
    assert circuit.opened_at == NOW


def test_any_success_closes_it_and_the_next_pause_is_short_again() -> None:
    circuit = succeeded(probing(after_failures(3), "a", 30))
    assert (circuit.state, circuit.last_fault) == (State.CLOSED, "WAREHOUSE_UNREACHABLE")
    assert after_failures(3, circuit, 100).until == at(130)


def test_failures_of_tasks_that_ran_already_do_not_lengthen_a_pause() -> None:
    circuit = after_failures(3)
    assert after_failures(5, circuit, 20) == circuit


def test_a_probe_without_an_end_lets_the_next_one_through_after_a_while() -> None:
    circuit = probing(after_failures(3), "dead", 30)
    assert isinstance(admitted(circuit, "b", at(149), SETTINGS), Wait)
    circuit = probing(circuit, "b", 151)
    assert failed(circuit, "dead", at(152), SETTINGS, "F", "").probe_by == "b"


def test_a_probe_that_proved_nothing_lets_the_next_one_through_at_once() -> None:
    circuit = let_go(probing(after_failures(3), "a", 30), "a", at(31))
    assert probing(circuit, "b", 31).probe_by == "b"
    assert let_go(circuit, "somebody else", at(31)) == circuit


@dataclass
class World:
    """Tasks that need one service, which is down for a while. Time is in seconds."""

    seed: int
    circuit: Circuit = field(default_factory=lambda: Circuit("host:x"))
    asked: list[tuple[float, bool]] = field(default_factory=list)
    done: dict[str, float] = field(default_factory=dict)

    def run(self) -> None:
        chance = random.Random(self.seed)
        self.settings = Settings(chance.randint(1, 8), timedelta(seconds=chance.randint(5, 60)), timedelta(minutes=10))
        self.down = (start := chance.uniform(0, 300), start + chance.uniform(10, 7200))
        deaths = chance.randint(0, 3)
        tasks = chance.choice([1, 5, 50, 400])
        events = [(chance.uniform(0, 900), number, "begin", f"t{number}", 0) for number in range(tasks)]
        heapq.heapify(events)
        order = tasks
        while events:
            now, _, what, task, tries = heapq.heappop(events)
            order += 1
            who = f"{task} {tries}"
            if what == "begin":
                answer = admitted(self.circuit, who, at(now), self.settings)
                if isinstance(answer, Wait):
                    later = max(1.0, answer.seconds) * chance.uniform(1, 1.25)
                    heapq.heappush(events, (now + later, order, "begin", task, tries))
                    continue
                self.circuit = answer
                self.asked.append((now, answer.state is State.CLOSED))
                dies = deaths > 0 and chance.random() < 0.1
                deaths -= dies
                takes = chance.uniform(0.1, 20)
                heapq.heappush(events, (now + takes, order, "dies" if dies else self._answer(now), task, tries))
            elif what == "works":
                self.circuit = succeeded(self.circuit)
                self.done[task] = now
            else:
                if what == "fails":
                    self.circuit = failed(self.circuit, who, at(now), self.settings, "F", "")
                heapq.heappush(events, (now + chance.uniform(1, 60), order, "begin", task, tries + 1))
        self.tasks = tasks

    def _answer(self, now: float) -> str:
        return "fails" if self.down[0] <= now < self.down[1] else "works"


@pytest.mark.parametrize("seeds", [range(start, start + 25) for start in (0, 25, 50, 75)], ids=str)
def test_hammering_is_bounded_and_all_recover_whatever_happens(seeds: range) -> None:
    for seed in seeds:
        world = World(seed)
        world.run()
        probes = [now for now, closed in world.asked if not closed]
        pause = world.settings.pause.total_seconds()
        apart = [later - earlier for earlier, later in pairwise(probes) if later < world.down[1]]
        assert all(each >= pause for each in apart), seed
        assert len(world.done) == world.tasks, seed
        # The last pause, a dead probe or three, and a retry's own pause each.
        latest = world.down[1] + 4 * 1.25 * world.settings.longest.total_seconds() + 1000
        assert max(world.done.values()) <= max(latest, 2000), seed

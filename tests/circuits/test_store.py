"""Circuits in a real Postgres: workers at once, and workers that die at any statement."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from sluicegate.circuits.breaker import Settings, State, Wait
from sluicegate.circuits.store import admit, count_failure, count_success, known_circuits, lasting, release, reset
from sluicegate.faults import fault
from sluicegate.ledger.postgres.migrations import migrate
from tests.load.conftest import warehouse

__all__ = ["warehouse"]

pytestmark = pytest.mark.system

SETTINGS = Settings(failures=3, pause=timedelta(minutes=1), longest=timedelta(minutes=10))
W = ("connection:w",)
BOTH = ("connection:w", "host:x")
DOWN = fault("WAREHOUSE_UNREACHABLE", "postgresql://etl:hunter2@w/db refused")


@pytest.fixture
def circuits(warehouse: Any) -> Any:
    with psycopg.connect(warehouse.conninfo) as connection:
        migrate(connection)
    return warehouse


def do(circuits: Any, work: Callable[[Any], Any]) -> Any:
    with psycopg.connect(circuits.conninfo) as connection:
        return work(connection)


def fail(circuits: Any, who: str = "t", names: tuple[str, ...] = W) -> Any:
    return do(circuits, lambda c: count_failure(c, names, who, "orders", DOWN, SETTINGS))


def let(circuits: Any, who: str, names: tuple[str, ...] = W) -> Wait | None:
    found: Wait | None = do(circuits, lambda c: admit(c, names, who, SETTINGS))
    return found


def opened(circuits: Any, names: tuple[str, ...] = W) -> None:
    for number in range(3):
        fail(circuits, f"t{number}", names)


def pause_is_over(circuits: Any) -> None:
    with psycopg.connect(circuits.conninfo) as connection:
        connection.execute("UPDATE sluicegate.circuits SET until = clock_timestamp() - interval '1 s'")


def test_what_never_failed_has_no_row_and_lets_all_pass(circuits: Any) -> None:
    assert let(circuits, "a", BOTH) is None
    assert do(circuits, lambda c: count_success(c, BOTH)) == []
    assert circuits.one("SELECT count(*) FROM sluicegate.circuits") == 0


def test_its_life_from_the_first_fault_to_the_success_of_a_probe(circuits: Any) -> None:
    assert [fail(circuits), fail(circuits)] == [[], []]
    [change] = fail(circuits)
    assert (change.before.state, change.after.state) == (State.CLOSED, State.OPEN)
    wait = let(circuits, "a")
    assert wait is not None
    assert 55 < wait.seconds <= 60
    pause_is_over(circuits)
    assert let(circuits, "a") is None
    assert let(circuits, "b") is not None
    [change] = do(circuits, lambda c: count_success(c, W))
    assert change.after.state is State.CLOSED
    assert let(circuits, "b") is None


def test_what_a_person_sees_shows_pipelines_and_no_secret(circuits: Any) -> None:
    opened(circuits)
    do(circuits, lambda c: count_failure(c, W, "t", "delays", DOWN, SETTINGS))
    [known] = do(circuits, known_circuits)
    assert set(known.pipelines) == {"orders", "delays"}
    assert "hunter2" not in circuits.one("SELECT last_detail FROM sluicegate.circuits")
    assert do(circuits, lambda c: reset(c, "connection:w")).after.state is State.CLOSED
    assert do(circuits, lambda c: reset(c, "connection:none")) is None
    assert let(circuits, "a") is None


def test_one_that_stays_open_is_known_with_all_that_wait_until_it_closes(circuits: Any) -> None:
    opened(circuits)
    do(circuits, lambda c: admit(c, W, "a", SETTINGS, "stock"))
    assert do(circuits, lambda c: lasting(c, timedelta(minutes=15))) == []
    with psycopg.connect(circuits.conninfo) as connection:
        connection.execute("UPDATE sluicegate.circuits SET opened_at = opened_at - interval '20 minutes'")
    [known] = do(circuits, lambda c: lasting(c, timedelta(minutes=15)))
    assert (known.circuit.name, set(known.pipelines)) == ("connection:w", {"orders", "stock"})
    do(circuits, lambda c: count_success(c, W))
    assert do(circuits, lambda c: lasting(c, timedelta(0))) == []
    assert circuits.one("SELECT pipelines FROM sluicegate.circuits") == []


def test_who_waits_for_one_circuit_probes_none_of_the_others(circuits: Any) -> None:
    opened(circuits, ("host:x",))
    pause_is_over(circuits)
    opened(circuits, W)
    wait = let(circuits, "a", BOTH)
    assert wait is not None
    assert wait.circuit.name == "connection:w"
    assert let(circuits, "b", ("host:x",)) is None


def test_a_probe_of_two_that_failed_for_one_lets_go_of_the_other(circuits: Any) -> None:
    opened(circuits, BOTH)
    pause_is_over(circuits)
    assert let(circuits, "a", BOTH) is None
    fail(circuits, "a", W)
    do(circuits, lambda c: release(c, BOTH, "a"))
    assert let(circuits, "b", ("host:x",)) is None
    assert let(circuits, "b", W) is not None


def test_of_many_workers_at_once_no_failure_is_lost_and_one_probes(circuits: Any) -> None:
    many = Settings(failures=1000)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: do(circuits, lambda c: count_failure(c, BOTH, f"{n}", "p", DOWN, many)), range(40)))
        assert circuits.rows("SELECT failures FROM sluicegate.circuits") == [(40,), (40,)]
        opened(circuits, BOTH)
        pause_is_over(circuits)
        passed = list(pool.map(lambda n: let(circuits, f"w{n}", BOTH if n % 2 else W), range(24)))
    assert passed.count(None) == 1


class Dying:
    """A connection whose process is killed before its n-th statement."""

    def __init__(self, connection: Any, at: int) -> None:
        self.connection, self.left = connection, at

    def execute(self, *arguments: Any) -> Any:
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1
        return self.connection.execute(*arguments)


def killed(circuits: Any, work: Callable[[Any], Any], at: int) -> bool:
    """Whether the process of `work` was killed before it had finished."""
    child = os.fork()
    if child == 0:
        connection = psycopg.connect(circuits.conninfo)
        work(Dying(connection, at))
        connection.commit()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_a_worker_that_is_killed_at_any_statement_leaves_the_state_before_or_after(circuits: Any) -> None:
    steps: list[tuple[Callable[[Any], Any], State]] = [
        (lambda c: count_failure(c, W, "t2", "p", DOWN, SETTINGS), State.OPEN),
        (lambda c: admit(c, W, "prober", SETTINGS), State.HALF_OPEN),
        (lambda c: count_failure(c, W, "prober", "p", DOWN, SETTINGS), State.OPEN),
        (lambda c: admit(c, W, "second", SETTINGS), State.HALF_OPEN),
        (lambda c: count_success(c, W), State.CLOSED),
    ]
    fail(circuits, "t0")
    fail(circuits, "t1")
    for work, after in steps:
        pause_is_over(circuits)
        before = circuits.rows("SELECT * FROM sluicegate.circuits")
        at = 0
        while killed(circuits, work, at):
            assert circuits.rows("SELECT * FROM sluicegate.circuits") == before
            at += 1
        assert at > 0
        assert circuits.one("SELECT state FROM sluicegate.circuits") == after


def test_a_prober_whose_process_died_is_followed_by_another(circuits: Any) -> None:
    opened(circuits)
    pause_is_over(circuits)
    assert let(circuits, "dead") is None
    assert let(circuits, "b") is not None
    with psycopg.connect(circuits.conninfo) as connection:
        connection.execute("UPDATE sluicegate.circuits SET probe_until = clock_timestamp() - interval '1 s'")
    assert let(circuits, "b") is None

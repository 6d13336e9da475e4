"""Loads one after the other and beside each other in one process, in its children, and beside other writers."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from sluicegate.graph.window import Window
from sluicegate.load import DeadLettersOperator, LoadOperator
from sluicegate.load.load import Loader
from sluicegate.runtime.step import StepContext
from sluicegate.storage import Storage


class Interrupted(Storage):
    """Something happens between the reading of a source and the merge."""

    def __init__(self, happens: Callable[[], object]) -> None:
        super().__init__()
        self._happens = happens

    def verify(self, part: Any) -> None:
        self._happens()
        super().verify(part)


def test_a_child_of_a_process_that_has_loaded_may_load_and_end(warehouse: Any) -> None:
    warehouse.load(warehouse.csv("1.csv", ["id"], [[1]]), key="id")
    second, third = warehouse.csv("2.csv", ["id"], [[2]]), warehouse.csv("3.csv", ["id"], [[3]])
    child = multiprocessing.get_context("fork").Process(target=warehouse.load, args=(second,), kwargs={"key": "id"})
    child.start()
    child.join(180)
    assert child.exitcode == 0
    warehouse.load(third, key="id")
    assert warehouse.rows("SELECT id FROM t ORDER BY 1") == [(1,), (2,), (3,)]


def test_a_child_that_loads_nothing_ends_as_well(warehouse: Any) -> None:
    warehouse.load(warehouse.csv("1.csv", ["id"], [[1]]), key="id")
    child = multiprocessing.get_context("fork").Process(target=os.getpid)
    child.start()
    child.join(180)
    assert child.exitcode == 0


def test_threads_of_one_process_load_beside_each_other(warehouse: Any) -> None:
    failed: list[BaseException] = []

    def loads(number: int) -> None:
        try:
            for turn in range(3):
                rows = [[one, number] for one in range(50)]
                warehouse.load(warehouse.csv(f"{number}_{turn}.csv", ["id", "v"], rows), key="id")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=loads, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert warehouse.one("SELECT count(*) FROM t") == 50


def test_a_load_after_one_that_failed_in_its_middle_or_was_stopped_finds_nothing_of_it(warehouse: Any) -> None:
    def fails() -> None:
        raise RuntimeError("in the middle")

    big = warehouse.csv("big.csv", ["id", "v"], [[one, "x" * 50] for one in range(100_000)])
    with pytest.raises(RuntimeError, match="in the middle"):
        Loader(warehouse.request(big, key="id"), Interrupted(fails), warehouse.target()).run()
    assert warehouse.load(warehouse.csv("1.csv", ["id", "v"], [[1, "a"]]), key="id").counts.inserted == 1
    loader = Loader(warehouse.request(big, key="id"), warehouse.storage, warehouse.target())
    ended = threading.Event()

    def stop() -> None:
        while not ended.wait(0.02):
            loader.cancel()

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(Exception, match=r"(?i)interrupt|cancel"):
        loader.run()
    ended.set()
    thread.join()
    assert warehouse.load(warehouse.csv("2.csv", ["id", "v"], [[2, "b"]]), key="id").counts.inserted == 1
    assert warehouse.one("SELECT count(*) FROM t") == 2


def test_a_load_that_is_cancelled_before_it_has_begun_to_work_does_not_go_on(warehouse: Any) -> None:
    file = warehouse.csv("1.csv", ["id"], [[1]])
    loader = Loader(warehouse.request(file, key="id"), warehouse.storage, warehouse.target())
    loader.cancel()
    with pytest.raises(Exception, match="cancelled"):
        loader.run()

    class Cancelling(Storage):
        """Neither DuckDB nor the session is there yet when the source is listed."""

        def require_parts(self, uris: Any) -> Any:
            cancel()
            return super().require_parts(uris)

    def cancel() -> None:
        loader.cancel()

    for source in (Cancelling(), Interrupted(cancel)):
        loader = Loader(warehouse.request(file, key="id"), source, warehouse.target())
        with pytest.raises(Exception, match=r"(?i)interrupt|cancel"):
            loader.run()
    assert warehouse.one("SELECT to_regclass('t') IS NULL")
    assert warehouse.load(file, key="id").counts.inserted == 1


def test_a_replay_that_is_cancelled_before_it_has_begun_leaves_its_letters(
    warehouse: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse.load(warehouse.csv("1.csv", ["id"], [["x"]]), key="id", columns={"id": "integer"})
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", warehouse.connection)
    window = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
    words = {"task_id": "a", "into": "table://warehouse/t", "key": "id"}
    for operator in (DeadLettersOperator(**words), LoadOperator(source=str(warehouse.folder / "1.csv"), **words)):
        operator.on_kill()
        with pytest.raises(Exception, match="cancelled"):
            operator.run({}, StepContext("p", "s", "r", 1, -1, window))
    assert warehouse.one("SELECT status FROM sluicegate.dead_letters") == "open"


def test_a_connection_that_was_lost_while_the_source_was_read_is_opened_again(warehouse: Any) -> None:
    def restart() -> None:
        warehouse.rows(
            "SELECT pg_terminate_backend(pid, 120000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        time.sleep(0.15)  # for so long a session is trusted without a look

    request = warehouse.request(warehouse.csv("1.csv", ["id"], [[1]]), key="id")
    assert Loader(request, Interrupted(restart), warehouse.target()).run().counts.inserted == 1


@contextmanager
def another_writer(warehouse: Any, *statements: str) -> Iterator[None]:
    """Another session, whose statements are committed while a load waits for its rows."""
    with psycopg.connect(warehouse.conninfo) as connection:
        for statement in statements:
            connection.execute(statement.encode())
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"

        def commit() -> None:
            try:
                warehouse.until(waiting)
            finally:
                connection.commit()

        thread = threading.Thread(target=commit)
        thread.start()
        yield
        thread.join()


def test_a_key_that_another_writer_inserts_meanwhile_is_updated(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY, v text)")
    warehouse.rows("INSERT INTO t VALUES (1, 'a')")
    path = warehouse.csv("a.csv", ["id", "v"], [[1, "n"], [2, "n"], [3, "n"]])
    with another_writer(warehouse, "INSERT INTO t VALUES (2, 'other')", "UPDATE t SET v = 'other' WHERE id = 1"):
        counts = warehouse.load(path, key="id").counts
    assert (counts.inserted, counts.updated, counts.dead) == (1, 2, 0)
    assert warehouse.rows("SELECT * FROM t ORDER BY 1") == [(1, "n"), (2, "n"), (3, "n")]


def test_versions_that_another_writer_raises_meanwhile_stay(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY, at int, v text)")
    warehouse.rows("INSERT INTO t SELECT id, 1, 'a' FROM generate_series(1, 4) AS id")
    rows = [[1, 2, "n", "I"], [2, 2, "n", "D"], [3, 2, "n", "D"], [4, 2, "n", "I"], [5, 2, "n", "I"]]
    path = warehouse.csv("a.csv", ["id", "at", "v", "op"], rows)
    others = (
        "UPDATE t SET at = 9 WHERE id IN (1, 2)", "UPDATE t SET v = 'q' WHERE id = 3", "DELETE FROM t WHERE id = 4",
    )  # fmt: skip
    with another_writer(warehouse, *others):
        counts = warehouse.load(path, key="id", newest_by="at", delete_when={"op": "D"}).counts
    assert (counts.stale, counts.deleted, counts.inserted) == (2, 1, 2)
    assert warehouse.rows("SELECT id FROM t ORDER BY 1") == [(1,), (2,), (4,), (5,)]


OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def sessions(warehouse: Any) -> list[int]:
    return [
        pid
        for (pid,) in warehouse.rows(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    ]


def test_loads_one_after_the_other_share_a_session_of_the_server(warehouse: Any) -> None:
    warehouse.load(warehouse.csv("1.csv", ["id"], [[1]]), key="id")
    before = sessions(warehouse)
    warehouse.load(warehouse.csv("2.csv", ["id"], [["x"], [2]]), "u", key="id", columns={"id": "integer"})
    assert sessions(warehouse) == before
    assert len(before) == 1


def test_a_session_that_the_server_ended_meanwhile_is_replaced(warehouse: Any) -> None:
    warehouse.load(warehouse.csv("1.csv", ["id"], [[1]]), key="id")
    [before] = sessions(warehouse)
    warehouse.rows("SELECT pg_terminate_backend(%s, 120000)", before)
    time.sleep(0.15)
    warehouse.load(warehouse.csv("2.csv", ["id"], [[2]]), key="id")
    assert warehouse.rows("SELECT id FROM t ORDER BY 1") == [(1,), (2,)]


def test_a_load_that_failed_leaves_no_session(warehouse: Any) -> None:
    def fails() -> None:
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        Loader(
            warehouse.request(warehouse.csv("1.csv", ["id"], [[1]]), key="id"), Interrupted(fails), warehouse.target()
        ).run()
    warehouse.load(warehouse.csv("2.csv", ["id"], [[2]]), key="id")
    warehouse.until(f"SELECT ({OTHERS}) = 1")


def test_the_session_of_a_load_that_was_cancelled_is_not_lent_on(warehouse: Any) -> None:
    target = warehouse.target()
    with target:
        target.inspect()
        target.cancel()
    warehouse.until(f"SELECT ({OTHERS}) = 0")  # the server may need a moment to see that it has gone

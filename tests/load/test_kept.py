"""What a connection keeps from one load to the next: its stage, and how statements are carried out."""

from __future__ import annotations

import os
import queue
from collections.abc import Iterator
from contextlib import closing, contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from sluicegate.pipeline.keys.model import Mode
from sluicegate.records.types import ColumnType
from sluicegate.targets.postgres import connect, lend
from sluicegate.targets.postgres.connect import Connection, conninfo_for, new_connection
from sluicegate.targets.postgres.merger import Merger
from sluicegate.targets.postgres.stage import create_stage
from sluicegate.targets.postgres.watch import Watch
from sluicegate.targets.target import Merge, Table

_STAGE = "SELECT to_regclass('pg_temp.sluicegate_stage')::oid"


@contextmanager
def lent(warehouse: Any) -> Iterator[Connection]:
    """The connection that the next load gets."""
    conninfo = conninfo_for(warehouse.conninfo, "load")
    connection = lend.take(conninfo)
    assert connection is not None
    yield connection
    lend.give_back(conninfo, connection)


def stage_after(warehouse: Any, *rows: tuple[object, ...], header: str = "id n", **words: Any) -> Any:
    """The kept stage after a load of these rows; it is empty."""
    warehouse.load(warehouse.csv("1.csv", header.split(), rows), key="id", **words)
    with lent(warehouse) as connection:
        [(stage,)] = connection.execute(_STAGE).fetchall()
        if stage is not None:
            assert connection.execute("SELECT count(*) FROM pg_temp.sluicegate_stage").fetchall() == [(0,)]
        return stage


def test_a_stage_is_kept_for_loads_that_need_one_like_it(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY, n int)")
    warehouse.rows("INSERT INTO t VALUES (0, 0)")
    first = stage_after(warehouse, (1, 1))
    assert first is not None
    assert stage_after(warehouse, (2, 2)) == first
    warehouse.rows("ALTER TABLE t ALTER n TYPE bigint")
    second = stage_after(warehouse, (3, 2**40))
    assert second != first
    third = stage_after(warehouse, (4, 4, "I"), header="id n op", delete_when={"op": "D"}, on_schema_change="ignore")
    assert third != second
    assert stage_after(warehouse, (5, 5)) not in {first, second, third}
    rows = [(0, 0), (1, 1), (2, 2), (3, 2**40), (4, 4), (5, 5)]
    assert warehouse.rows("SELECT * FROM t ORDER BY id") == rows


def test_a_stage_with_a_type_of_the_users_own_is_not_kept(warehouse: Any) -> None:
    warehouse.rows("CREATE TYPE mood AS ENUM ('good', 'bad')")
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY, n mood)")
    warehouse.rows("INSERT INTO t VALUES (0, 'bad')")
    assert stage_after(warehouse, (1, "good")) is None
    warehouse.rows("DROP TABLE t")
    warehouse.rows("DROP TYPE mood")


def test_what_a_trigger_sets_is_not_there_for_the_next_load(warehouse: Any) -> None:
    warehouse.rows("CREATE SCHEMA other")
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY)")
    warehouse.rows(
        "CREATE FUNCTION sets() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN PERFORM set_config('search_path', 'other', false), set_config('DateStyle', 'German', false); "
        "RETURN NEW; END$$"
    )
    warehouse.rows("CREATE TRIGGER sets BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION sets()")
    warehouse.load(warehouse.csv("1.csv", ["id"], [[1]]), key="id")
    warehouse.load(warehouse.csv("2.csv", ["id"], [[1]]), "made", key="id")
    assert warehouse.one("SELECT schemaname::text FROM pg_tables WHERE tablename = 'made'") == "public"
    with lent(warehouse) as connection:
        assert connection.execute("SHOW DateStyle").fetchall() == [("ISO, MDY",)]
        assert connection.execute("SHOW client_connection_check_interval").fetchall() == [("2s",)]


def test_a_connection_that_died_a_moment_ago_is_not_lent(warehouse: Any) -> None:
    def pid() -> int:
        with lent(warehouse) as connection:
            return connection.info.backend_pid

    warehouse.load(warehouse.csv("1.csv", ["id"], [[1]]), key="id")
    before = pid()
    assert warehouse.one("SELECT pg_terminate_backend(%s, 60000)", before)
    warehouse.load(warehouse.csv("2.csv", ["id"], [[2]]), key="id")
    assert pid() != before


def test_behind_a_pooler_nothing_is_kept(warehouse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(new_connection(warehouse.conninfo)) as connection:
        assert connect.has_own_server(connection)
        pid = connection.info.backend_pid
    # A pooler tells a number of its own for the server's process.
    monkeypatch.setattr("psycopg.ConnectionInfo.backend_pid", property(lambda self: pid - 1))
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY, n int)")
    warehouse.rows("INSERT INTO t VALUES (0, 0)")
    while lend.take(conninfo_for(warehouse.conninfo, "load")) is not None:
        pass
    for _ in range(3):
        assert stage_after(warehouse, (1, 1)) is None
    with lent(warehouse) as connection:
        assert connection.execute("SELECT name FROM pg_prepared_statements").fetchall() == []


def test_the_keys_of_a_few_records_are_looked_up_in_the_index(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (id bigint PRIMARY KEY, n int, note text)")
    warehouse.rows("INSERT INTO t SELECT i, i, repeat('note', 20) FROM generate_series(1, 50000) AS g (i)")
    warehouse.rows("VACUUM ANALYZE t")
    types = {"id": ColumnType("bigint"), "n": ColumnType("integer"), "note": ColumnType("text")}
    table = Table("public.t", "public", "t")

    def plan(rows: int) -> str:
        with connection.transaction(force_rollback=True):
            merge = Merge(SimpleNamespace(rows=rows), types, ("id",), Mode.MERGE)  # type: ignore[arg-type]
            create_stage(connection, table, merge)
            filled = "INSERT INTO pg_temp.sluicegate_stage SELECT i, 1, 'x' FROM generate_series(1, %s) AS g (i)"
            connection.execute(filled, [rows])
            merger = Merger(connection, table, merge)
            return "\n".join(row for (row,) in connection.execute(b"EXPLAIN " + merger.statement().as_bytes()))

    with closing(new_connection(warehouse.conninfo)) as connection:
        few, many = plan(200), plan(40_000)
    assert "Seq Scan on t" not in few
    assert "Seq Scan on t" in many


def test_watches_look_in_turn_as_long_as_each_is_there() -> None:
    looks: queue.Queue[str] = queue.Queue()

    class Looking(Watch):
        def look(self) -> None:
            looks.put(self.phase)

    def watch(name: str, seconds: float) -> Looking:
        made = Looking("", 0, seconds)
        made.phase = name
        return made

    with watch("far off", 3600), watch("near", 0.001):
        assert [looks.get(timeout=60) for _ in range(3)] == ["near"] * 3
    # The thread sleeps for the first one now, if it is still there.
    with watch("next", 0.001):
        while looks.get(timeout=60) != "next":
            pass


def test_a_forked_process_has_watches_of_its_own() -> None:
    with Watch("", 0, 3600):
        child = os.fork()
        if child == 0:
            seen: queue.Queue[None] = queue.Queue()
            watch = Watch("", 0, 0.001)
            watch.look = lambda: seen.put(None)  # type: ignore[method-assign]
            with watch:
                try:
                    seen.get(timeout=60)
                    os._exit(0)
                except queue.Empty:
                    os._exit(3)
        assert os.waitpid(child, 0)[1] == 0

"""What one load leaves in the DuckDB of its process is not there for the next."""

from __future__ import annotations

import gzip
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sluicegate.checks.sql import literal
from sluicegate.load import parsed as statements
from sluicegate.load.lend import lend_duckdb
from sluicegate.load.parsed import execute
from sluicegate.load.staged import Staged
from sluicegate.records.casts import Cast
from sluicegate.records.types import ColumnType
from sluicegate.targets.postgres.dialect import PostgresDialect

LEFT = "SELECT (SELECT count(*) FROM duckdb_tables()), current_setting('memory_limit'), current_setting('threads')"


def test_the_next_load_has_the_same_place_empty_and_the_limits_of_before() -> None:
    with lend_duckdb("120MB") as (duck, folder):
        before = duck.execute(LEFT).fetchall()
        duck.execute("CREATE TABLE staged (n INTEGER); SET memory_limit = '300MB'; SET threads = 1")
        (folder / "part0.link").symlink_to("/nowhere")
    with lend_duckdb("120MB") as (again, place):
        assert again is duck
        assert place == folder
        assert not list(place.iterdir())
        assert again.execute(LEFT).fetchall() == before


def test_what_is_made_for_a_small_load_is_not_there_for_a_large_one() -> None:
    plans = "SELECT current_setting('threads')::INTEGER, len(string_split(current_setting('disabled_optimizers'), ','))"

    def asked(size: int | None) -> tuple[int, int]:
        with lend_duckdb("120MB", size) as (duck, _):
            found: tuple[int, int] = duck.execute(plans).fetchall()[0]
            return found

    large = asked(None)
    assert large == asked(10**9) == (2, 1)
    threads, without = asked(1_000)
    assert (threads, without > 40) == (1, True)
    assert asked(1_000) == (threads, without)
    assert asked(None) == large


def test_plans_for_a_small_load_compare_no_record_with_each_other_one() -> None:
    with lend_duckdb("120MB", 1_000) as (duck, _):
        staged = Staged(duck, {"id": Cast(ColumnType("integer"))}, PostgresDialect(), key=("id",))
        staged.create()
        staged.duck.execute("INSERT INTO staged (v0) VALUES (1), (1), (2)")
        staged.give_way("SELECT 0")
        staged.fail("SELECT 2, 0")
        [(_, plan)] = duck.execute(f"EXPLAIN SELECT v0 FROM staged s WHERE {staged.kept()}").fetchall()
        [(_, crossed)] = duck.execute("EXPLAIN FROM older o, staged s WHERE o.stage_row = s.rowid").fetchall()
    for text in (plan, crossed):
        assert "Hash Join" in text
        assert "Nested Loop" not in text
        assert "Cross Product" not in text


def test_a_file_is_small_by_what_is_in_it_unpacked(warehouse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int | None] = []

    def lend(limit: str, size: int | None) -> Any:
        sizes.append(size)
        return lend_duckdb(limit, size)

    monkeypatch.setattr("sluicegate.load.load.lend_duckdb", lend)
    text, words = "id,n\n1,x\n", {"key": "id", "columns": {"id": "integer", "n": "integer"}}
    pq.write_table(pa.table({"id": [1], "n": ["x"]}), warehouse.folder / "1.parquet")
    warehouse.load(warehouse.file("1.csv", text), **words)
    warehouse.load(warehouse.file("1.csv.gz", gzip.compress(text.encode())), **words)
    warehouse.load(warehouse.folder / "1.parquet", **words)
    warehouse.load(warehouse.file("2.csv", text.replace("1", "2").replace("x", "y")), **words)
    assert warehouse.replay(**words, format={"type": "csv"}).replayed == 0
    assert sizes == [len(text), None, None, len(text), None]


def test_a_statement_that_is_kept_speaks_of_the_tables_that_are_there_then() -> None:
    text = "INSERT INTO kept SELECT 1"
    for type_ in ("INTEGER", "VARCHAR"):
        with duckdb.connect() as duck:
            duck.execute(f"CREATE TABLE kept (n {type_})")
            for _ in range(2):
                execute(duck, text)
            assert (
                duck.execute("SELECT typeof(n), n FROM kept").fetchall()
                == [(type_, 1 if type_ == "INTEGER" else "1")] * 2
            )


def test_no_more_statements_are_kept_than_there_is_room_for() -> None:
    with duckdb.connect() as duck:
        for number in range(30):
            execute(duck, f"SELECT {number}, {literal('x' * 40_000)}")
    assert 1 <= len(statements._known) <= 10

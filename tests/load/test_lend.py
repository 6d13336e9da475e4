"""What one load leaves in the DuckDB of its process is not there for the next."""

from __future__ import annotations

import duckdb

from sluicegate.load.lend import lend_duckdb
from sluicegate.load.parsed import parsed

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


def test_a_statement_that_is_kept_speaks_of_the_tables_that_are_there_then() -> None:
    text = "INSERT INTO kept SELECT 1"
    for type_ in ("INTEGER", "VARCHAR"):
        with duckdb.connect() as duck:
            duck.execute(f"CREATE TABLE kept (n {type_})")
            for _ in range(2):
                duck.execute(parsed(duck, text))
            assert (
                duck.execute("SELECT typeof(n), n FROM kept").fetchall()
                == [(type_, 1 if type_ == "INTEGER" else "1")] * 2
            )

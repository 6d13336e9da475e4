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

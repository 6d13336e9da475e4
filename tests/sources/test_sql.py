"""Rows of a database land as Parquet, each in the window to which its watermark belongs."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sluicegate.faults import FaultError
from sluicegate.ledger.postgres.watermarks import PostgresWatermarks
from sluicegate.sources import fetch as fetching
from sluicegate.sources import sql as reading
from sluicegate.sources.fetch import FetchReport, fetch_sql
from sluicegate.sources.sql import HookDatabase, PostgresDatabase
from sluicegate.sources.types import as_text, batch_of, inferred
from sluicegate.storage import Storage
from sluicegate.testing.warehouse import Warehouse
from tests.sources.conftest import Folder

SHOP = {"connection": "shop"}


class Fetch:
    """Fetches from the database that has the ledger as well."""

    def __init__(self, warehouse: Warehouse, folder: Folder) -> None:
        self.warehouse, self.folder = warehouse, folder
        self.database: Any = PostgresDatabase(warehouse.conninfo)

    def __call__(self, sql: str, number: int = 1, asked: Mapping[str, Any] | None = None, **words: Any) -> FetchReport:
        request = self.folder.request({"sql": sql, **SHOP, **(asked or {})}, number, **words)
        watermarks = PostgresWatermarks(self.warehouse.conninfo)
        return fetch_sql(request, self.database, Storage(), self.folder.work, watermarks)

    def table(self) -> pa.Table:
        return pa.concat_tables([pq.read_table(path) for path in sorted(self.folder.path.glob("*.parquet"))])

    def ids(self) -> list[int]:
        return sorted(self.table()["id"].to_pylist())

    def run(self, statement: str) -> None:
        with psycopg.connect(self.warehouse.conninfo, autocommit=True) as connection:
            connection.execute(statement.encode())


@pytest.fixture
def fetch(warehouse: Warehouse, folder: Folder) -> Fetch:
    return Fetch(warehouse, folder)


def test_each_type_lands_as_its_own_and_what_has_none_in_the_databases_words(fetch: Fetch) -> None:
    fetch(
        "SELECT 1::int2 AS a, 2 AS b, 9007199254740993 AS c, 1.10::numeric(4,2) AS d, 12345678901234567890.123 AS e, "
        "0.1::float8 AS f, true AS g, 'x'::text AS h, date '2026-01-02' AS i, "
        "timestamp '2026-01-02 03:04:05.000006' AS j, timestamptz '2026-01-02 03:04:05+02' AS k, "
        "'{\"a\": 1.10}'::jsonb AS l, ARRAY[1, 2] AS m, interval '1 day' AS n, '\\x00ff'::bytea AS o, "
        "'00000000-0000-0000-0000-000000000001'::uuid AS p, int4range(1, 3) AS q, NULL::int AS r, time '01:02' AS s"
    )
    [row] = fetch.table().to_pylist()
    assert row == {
        "a": 1, "b": 2, "c": 9007199254740993, "d": Decimal("1.10"), "e": "12345678901234567890.123", "f": 0.1,
        "g": True, "h": "x", "i": date(2026, 1, 2), "j": datetime.fromisoformat("2026-01-02T03:04:05.000006"),
        "k": datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC), "l": '{"a": 1.10}', "m": "{1,2}", "n": "P1D",
        "o": b"\x00\xff", "p": "00000000-0000-0000-0000-000000000001", "q": "[1,3)", "r": None,
        "s": time(1, 2),
    }  # fmt: skip
    types = {field.name: str(field.type) for field in fetch.table().schema}
    assert (types["a"], types["d"], types["r"]) == ("int16", "decimal128(4, 2)", "int32")


def test_a_moment_that_no_file_has_says_its_column(fetch: Fetch) -> None:
    with pytest.raises(FaultError) as caught:
        fetch("SELECT timestamp 'infinity' AS forever")
    assert caught.value.code == "SOURCE_UNREADABLE"
    assert "CAST that column to text" in caught.value.detail


def test_values_of_params_are_bound(fetch: Fetch) -> None:
    fetch.run("CREATE TABLE t AS SELECT 1 AS id, 'a''b%'::text AS name, date '2026-01-01' AS day")
    sql = (
        "SELECT * FROM t WHERE name = {{ params.name }} AND name LIKE '%b%' AND day = {{ ds }} "
        "AND id = ANY({{ params.ids }})"
    )
    assert fetch(sql, params={"name": "a'b%", "ids": [1, 2]}).rows == 1
    assert fetch(sql, params={"name": "' OR true --", "ids": [1]}).rows == 0


def test_a_query_without_rows_lands_its_columns(fetch: Fetch) -> None:
    report = fetch("SELECT 1 AS id, 'x'::text AS n WHERE false")
    assert (report.rows, report.parts) == (0, 1)
    assert fetch.table().schema.names == ["id", "n"]
    assert fetch.folder.names == ["_SUCCESS", "part-00000.parquet"]


def test_many_rows_become_parts_and_memory_holds_one_batch(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "ROWS", 100)
    monkeypatch.setattr(fetching, "PART_ROWS", 250)
    report = fetch("SELECT i AS id FROM generate_series(1, 1000) i")
    assert (report.rows, report.parts) == (1000, 4)
    assert fetch.ids() == list(range(1, 1001))
    assert fetch("SELECT i AS id FROM generate_series(1, 10) i").parts == 1
    assert fetch.folder.names == ["_SUCCESS", "part-00000.parquet"]


def test_the_source_is_only_read(fetch: Fetch) -> None:
    fetch.run("CREATE TABLE t (id int)")
    with pytest.raises(Exception, match="read-only"):
        fetch("SELECT lo_create(0)")


MOVES = "CREATE TABLE t (id int, at timestamptz)"
BY_AT = {"watermark": "at"}


def test_a_window_gets_what_is_newer_than_the_one_before_and_the_same_again(fetch: Fetch) -> None:
    fetch.run(f"{MOVES}; INSERT INTO t VALUES (1, '2026-01-01 10:00+00'), (2, '2026-01-01 11:00+00'), (3, NULL)")
    assert fetch("SELECT * FROM t", 1, BY_AT).rows == 2
    fetch.run("INSERT INTO t VALUES (4, '2026-01-02 10:00+00')")
    assert fetch("SELECT * FROM t", 1, BY_AT).rows == 2
    assert fetch("SELECT * FROM t", 2, BY_AT).rows == 1
    assert fetch.ids() == [4]
    assert fetch("SELECT * FROM t", 3, BY_AT).rows == 0
    assert fetch.table().schema.names == ["id", "at"]
    fetch.run("INSERT INTO t VALUES (5, '2026-01-05 10:00+00')")
    assert fetch("SELECT * FROM t", 3, BY_AT).rows == 0
    assert fetch("SELECT * FROM t", 3, BY_AT, force=True).rows == 1
    assert fetch("SELECT * FROM t", 4, BY_AT).rows == 0


def test_rows_without_a_watermark_are_never_read_and_their_columns_land(fetch: Fetch) -> None:
    fetch.run(f"{MOVES}; INSERT INTO t VALUES (1, NULL)")
    assert fetch("SELECT * FROM t", 1, BY_AT).rows == 0
    assert fetch("SELECT * FROM t", 1, {**BY_AT, "since": "2026-01-01"}, force=True).rows == 0
    assert fetch.table().schema.names == ["id", "at"]


def test_a_lookback_of_what_is_not_a_moment_is_refused_in_the_first_window(fetch: Fetch) -> None:
    with pytest.raises(FaultError, match="is for moments, and the watermark is a integer"):
        fetch("SELECT 1 AS id", 1, {"watermark": "id", "lookback": "1h"})


def test_late_rows_are_read_again_by_a_lookback_and_everything_by_since(fetch: Fetch) -> None:
    fetch.run(f"{MOVES}; INSERT INTO t VALUES (1, '2026-01-01 10:00+00')")
    asked = {**BY_AT, "lookback": "2h"}
    fetch("SELECT * FROM t", 1, asked)
    fetch.run("INSERT INTO t VALUES (2, '2026-01-01 09:00+00'), (3, '2026-01-01 07:00+00'), (4, '2026-01-01 12:00+00')")
    fetch("SELECT * FROM t", 2, asked)
    assert fetch.ids() == [1, 2, 4]
    fetch("SELECT * FROM t", 2, BY_AT, since="2026-01-01 06:00")
    assert fetch.ids() == [1, 2, 3, 4]


def test_the_first_window_begins_where_the_pipeline_says(fetch: Fetch) -> None:
    fetch.run("CREATE TABLE t AS SELECT i AS id FROM generate_series(1, 9) i")
    fetch("SELECT * FROM t", 1, {"watermark": "id", "since": "6"})
    assert fetch.ids() == [7, 8, 9]


def test_a_query_that_uses_a_param_counts_for_each_of_its_values(fetch: Fetch) -> None:
    fetch.run("CREATE TABLE t AS SELECT i AS id, i % 2 AS shop FROM generate_series(1, 9) i")
    sql = "SELECT * FROM t WHERE shop = {{ params.shop }}"
    assert fetch(sql, 1, {"watermark": "id"}, params={"shop": 0}).rows == 4
    assert fetch(sql, 2, {"watermark": "id"}, params={"shop": 1}).rows == 5
    assert fetch(sql, 2, {"watermark": "id"}, params={"shop": 0}).rows == 0


def test_a_dry_run_looks_and_notes_nothing(fetch: Fetch) -> None:
    fetch.run("CREATE TABLE t AS SELECT i AS id FROM generate_series(1, 900) i")
    report = fetch("SELECT * FROM t", 1, {"watermark": "id"}, dry_run=True)
    assert report.line() == "dry run, nothing landed: 100 rows, above and up to (, 900] seen with id"
    assert not fetch.folder.path.exists()
    assert fetch("SELECT * FROM t", 1, {"watermark": "id"}).rows == 900


class SqliteHook:
    """As a hook of `common.sql`, of what is used."""

    placeholder = "?"

    def __init__(self, path: Path) -> None:
        self.path = path

    def get_conn(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path)


def test_any_other_database_comes_by_its_hook(fetch: Fetch, tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (id INTEGER, name TEXT, price REAL, none TEXT)")
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, NULL)", [(1, "a%", 1.5), (2, "b", 2.0), (3, "c", None)])
    fetch.database = HookDatabase(SqliteHook(path), "shop")
    fetch(
        "SELECT * FROM t WHERE name <> {{ params.name }} AND name NOT LIKE 'x%'",
        1,
        {"watermark": "id"},
        params={"name": "b"},
    )
    assert fetch.table().to_pylist() == [
        {"id": 1, "name": "a%", "price": 1.5, "none": None}, {"id": 3, "name": "c", "price": None, "none": None},
    ]  # fmt: skip
    with pytest.raises(FaultError, match="would have to be quoted"):
        fetch('SELECT 1 AS "x y"', 1, {"watermark": "x y"})


@pytest.mark.parametrize("value", ["x", 2.5, 3.0])
def test_a_value_of_another_type_than_the_first_ones_says_its_column(
    fetch: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: object
) -> None:
    monkeypatch.setattr(reading, "ROWS", 2)
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (n)")
        connection.executemany("INSERT INTO t VALUES (?)", [(1,), (2,), (value,)])
    fetch.database = HookDatabase(SqliteHook(path), "shop")
    with pytest.raises(FaultError, match="the column 'n' began as int64"):
        fetch("SELECT * FROM t")


EAST = timezone(timedelta(hours=2))
NOON = datetime.fromisoformat("2026-01-02T12:00")


@pytest.mark.parametrize(
    ("first", "later"),
    [
        (1, Decimal("1.5")),
        (date(2026, 1, 2), NOON),
        (NOON, NOON.replace(tzinfo=EAST)),
        (NOON.replace(tzinfo=EAST), NOON),
        (NOON, 5),
        (time(1, 2), time(1, 2, tzinfo=EAST)),
    ],
)
def test_nothing_is_cut_to_fit_the_type_of_the_first_values(first: object, later: object) -> None:
    schema = pa.schema([pa.field("n", inferred([first, None]))])
    with pytest.raises(FaultError, match=r"the column 'n' began as .* CAST it in the query"):
        batch_of([(first,), (None,), (later,)], schema, "the query")
    mixed = pa.schema([pa.field("n", inferred([first, later]))])
    assert batch_of([(first,), (later,)], mixed, "the query").to_pylist()[1]["n"] == as_text(later)


def test_texts_of_a_watermark_are_ordered_as_their_database_orders_them(fetch: Fetch, tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    fetch.database = HookDatabase(SqliteHook(path), "shop")

    def more(*ids: str) -> None:
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS t (id TEXT COLLATE NOCASE)")
            connection.executemany("INSERT INTO t VALUES (?)", [(each,) for each in ids])

    def read(number: int, **words: Any) -> list[str]:
        fetch("SELECT * FROM t", number, {"watermark": "id"}, **words)
        return sorted(fetch.table()["id"].to_pylist())

    more("a")
    assert read(1) == ["a"]
    more("B")
    assert read(2) == ["B"]
    assert read(3) == []
    more("c", "D")
    assert read(2, force=True) == ["B"]  # the next window begins above it
    assert read(4) == ["D", "c"]


def test_a_watermark_that_runs_ahead_is_said(fetch: Fetch, caplog: pytest.LogCaptureFixture) -> None:
    fetch("SELECT 1 AS id, timestamptz '2999-01-01 00:00+00' AS at", 1, BY_AT)
    assert "at: the newest value of the watermark is in the future, 2999-01-01" in caplog.text

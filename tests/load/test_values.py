# ruff: noqa: E501 - tables of values
"""A value goes in as it is written, or its record is set aside and says why and which option lets it in."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.load.staged import staged

NAN = float("nan")


def types(warehouse: Any, table: str = "t") -> dict[str, str]:
    query = "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s"
    return dict(warehouse.rows(query, table))


def whys(warehouse: Any) -> dict[int, str]:
    return {line: failures[0]["why"] for line, _, failures, *_ in warehouse.letters()}


# --- NaN ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["integer", "numeric(10,2)", {"type": "integer", "required": True}])
def test_a_nan_of_a_parquet_file_is_set_aside_where_the_type_has_none(warehouse: Any, column: Any) -> None:
    pq.write_table(pa.table({"id": [1, 2], "v": [1.0, NAN]}), warehouse.folder / "n.parquet")
    warehouse.load(warehouse.folder / "n.parquet", key="id", columns={"v": column})
    assert warehouse.rows("SELECT id, v FROM t") == [(1, 1)]
    assert warehouse.rules() == [(2, ["type:v"])]
    assert "`null: [NaN]`" in whys(warehouse)[2]


def test_a_column_may_say_that_nan_means_null(warehouse: Any) -> None:
    pq.write_table(pa.table({"id": [1, 2], "v": [1.0, NAN]}), warehouse.folder / "n.parquet")
    files = [
        warehouse.folder / "n.parquet",
        warehouse.file("n.jsonl", '{"id": 3, "v": 2}\n{"id": 4, "v": NaN}\n'),
        warehouse.file("n.csv", "id,v\n5,-\n6,nan\n"),
    ]
    for file in files:
        warehouse.load(file, key="id", columns={"v": {"type": "integer", "null": ["NaN", "-"]}})
    values = [(1, 1), (2, None), (3, 2), (4, None), (5, None), (6, None)]
    assert warehouse.rows("SELECT id, v FROM t ORDER BY id") == values
    assert warehouse.letters() == []


def test_a_nan_that_is_null_is_missing_where_a_value_is_required(warehouse: Any) -> None:
    pq.write_table(pa.table({"id": [1, 2], "v": [1.0, NAN]}), warehouse.folder / "n.parquet")
    columns = {"v": {"type": "integer", "null": ["NaN"], "required": True}}
    warehouse.load(warehouse.folder / "n.parquet", key="id", columns=columns)
    assert warehouse.rules() == [(2, ["required:v"])]


def test_nan_is_a_value_of_a_double(warehouse: Any) -> None:
    warehouse.load(warehouse.file("n.jsonl", '{"id": 1, "v": 1.5}\n{"id": 2, "v": NaN}\n'), key="id")
    assert types(warehouse)["v"] == "double precision"
    assert warehouse.one("SELECT v = 'NaN' FROM t WHERE id = 2")


def test_a_letter_that_holds_nan_is_kept_as_valid_json(warehouse: Any) -> None:
    text = '{"id": 1, "v": NaN, "o": [Infinity, {"w": -Infinity}], "s": "NaN, Infinity,]"}\n{"id": 2, "v": 1}\n'
    warehouse.load(warehouse.file("n.jsonl", text), key="id", columns={"v": "numeric(10,2)", "o": "text"})
    [(line, record, failures, key, _)] = warehouse.letters()
    values = {"id": 1, "v": "NaN", "o": ["Infinity", {"w": "-Infinity"}], "s": "NaN, Infinity,]"}
    assert (line, json.loads(record)) == (1, values)
    assert (failures[0]["value"], key) == ("NaN", {"id": "1"})


def test_nan_inside_an_object_or_a_list_is_a_dead_letter_of_its_record(warehouse: Any) -> None:
    path = warehouse.file("n.jsonl", '{"id":1,"o":{"w":1.5}}\n{"id":2,"o":{"w":NaN}}\n{"id":3,"o":[1, -Infinity]}\n')
    warehouse.load(path, key="id")
    assert warehouse.rules() == [(2, ["type:o"]), (3, ["type:o"])]
    remedy = "which JSON does not have: write null for it, or load the column as text"
    assert whys(warehouse) == {2: f"it holds NaN, {remedy}", 3: f"it holds -Infinity, {remedy}"}
    assert warehouse.rows("SELECT id, o FROM t") == [(1, {"w": 1.5})]
    warehouse.load(path, "u", key="id", columns={"o": "text"})
    assert warehouse.rows("SELECT o FROM u WHERE id = 2") == [('{"w":NaN}',)]


def test_nan_inside_a_nested_parquet_value_is_a_dead_letter(warehouse: Any) -> None:
    table = pa.table({"id": [1, 2, 3], "l": [[1.5], [NAN], None], "s": [{"a": 1.0}, {"a": 2.0}, {"a": float("inf")}]})
    pq.write_table(table, warehouse.folder / "n.parquet")
    warehouse.load(warehouse.folder / "n.parquet", key="id")
    assert warehouse.rules() == [(2, ["type:l"]), (3, ["type:s"])]


@pytest.mark.parametrize("type_", ["text", "varchar(9)", "char(3)"])
@pytest.mark.parametrize("exists", [True, False])
def test_bytes_of_parquet_that_do_not_say_they_are_texts_are_not_spelt_out_in_one(
    warehouse: Any, type_: str, exists: bool
) -> None:
    pq.write_table(pa.table({"id": [1], "v": [b"abc"]}), warehouse.folder / "old.parquet")
    if exists:
        warehouse.rows(f"CREATE TABLE t (id int PRIMARY KEY, v {type_})")
    error = warehouse.fails(warehouse.folder / "old.parquet", key="id", columns={} if exists else {"v": type_})
    assert error.code == "SCHEMA_MISMATCH"
    assert f"old.parquet: 'v' is bytes in the file, and in public.t it is {type_}: write it as a text" in error.detail
    assert warehouse.one("SELECT count(*) FROM pg_tables WHERE tablename = 't'") == exists
    assert warehouse.letters() == []


def test_bytes_of_parquet_stay_bytes_in_a_new_table(warehouse: Any) -> None:
    pq.write_table(pa.table({"id": [1], "v": [b"abc"]}), warehouse.folder / "old.parquet")
    warehouse.load(warehouse.folder / "old.parquet", key="id", columns={"v": {"required": True}})
    assert warehouse.rows("SELECT * FROM t") == [(1, b"abc")]


@pytest.mark.parametrize("text", ["NaN", "[1,]", '{"a": Infinity}', '{"a": 1e99999}', "{,}", "nul", '"\\ud800"'])
def test_what_postgres_does_not_take_for_jsonb_is_set_aside(warehouse: Any, text: str) -> None:
    warehouse.load(warehouse.csv("j.csv", ["id", "v"], [[1, text], [2, '{"info": "NaN,]"}']]), columns={"v": "jsonb"})
    assert warehouse.rules() == [(2, ["type:v"])]
    assert warehouse.rows("SELECT v FROM t") == [({"info": "NaN,]"},)]


# --- digits ---------------------------------------------------------------------------------------------------------


def test_numbers_that_a_double_does_not_keep_are_numeric(warehouse: Any) -> None:
    path = warehouse.csv(
        "d.csv", ["id", "n", "m", "x"],
        [[1, "9007199254740993", "0.1234567890123456789", "0.30000000000000004"],
         [2, "0.5", "123456789012345678901234567890", "1.7e308"]],
    )  # fmt: skip
    warehouse.load(path)
    found = types(warehouse)
    assert (found["id"], found["n"], found["m"], found["x"]) == ("bigint", "numeric", "numeric", "double precision")
    assert warehouse.rows("SELECT n, m, x FROM t ORDER BY id") == [
        (Decimal("9007199254740993"), Decimal("0.1234567890123456789"), 0.30000000000000004),
        (Decimal("0.5"), Decimal("123456789012345678901234567890"), 1.7e308),
    ]


def test_numbers_of_json_keep_all_digits_in_columns_objects_and_texts(warehouse: Any) -> None:
    lines = [
        '{"id": 9223372036854775807, "n": 18446744073709551615, "d": 0.1234567890123456789, "s": "1.5, 2.5"}',
        '{"id": 2, "n": 9007199254740993.25, "o": {"w": [0.12345678901234567890, 1e-400]}, "s": ", 1.5, 0.12345678901"}',
        '{"id": 3, "n": 0.5, "t": 0.12345678901234567890, "s": "\\"x\\": 0.123456789012345678"}',
    ]
    warehouse.load(warehouse.file("d.jsonl", "\n".join(lines)), columns={"t": "text", "o": "jsonb"})
    n, d, o, t = (
        "SELECT n::text FROM t ORDER BY id",
        "SELECT d::text FROM t",
        "SELECT o::text FROM t",
        "SELECT t FROM t",
    )
    assert warehouse.rows(n) == [("9007199254740993.25",), ("0.5",), ("18446744073709551615",)]
    assert ("0.1234567890123456789",) in warehouse.rows(d)
    assert any(text and text.startswith('{"w": [0.12345678901234567890, 0.0000') for (text,) in warehouse.rows(o))
    assert ("0.12345678901234567890",) in warehouse.rows(t)
    texts = [", 1.5, 0.12345678901", '"x": 0.123456789012345678', "1.5, 2.5"]
    assert [text for (text,) in warehouse.rows("SELECT s FROM t ORDER BY id")] == texts


@pytest.mark.parametrize(
    ("type_", "given", "value", "why"),
    [
        ("numeric(12,2)", "1.005", "1.01", "1.005 has 3 digits behind the point and numeric(12,2) keeps 2"),
        ("numeric(12,0)", "1.50", "2", "1.50 has 1 digit behind the point and numeric(12,0) keeps none"),
        ("integer", "1.0000000001", "1", "1.0000000001 has 10 digits behind the point and integer keeps none"),
        ("bigint", "1e-3", "0", "1e-3 has 3 digits behind the point and bigint keeps none"),
        ("double", "9007199254740993", "9007199254740992.0", "9007199254740993 is a whole number that double"),
        ("real", "16777217", "16777216.0", "16777217 is a whole number that real"),
        ("date", "2024-03-31T22:30:00", "2024-03-31", "2024-03-31T22:30:00 has a time of the day"),
        ("timestamp", "2024-03-31 22:30:00.1234567", "2024-03-31 22:30:00.123456", "more than the 6 digits of a second"),
        ("timestamp(3)", "2024-03-31 22:30:00.1234", "2024-03-31 22:30:00.1234", "more than the 3 digits of a second"),
    ],
)  # fmt: skip
def test_what_a_type_has_no_room_for_is_rounded_only_where_the_column_says_so(
    tmp_path: Any, type_: str, given: str, value: str, why: str
) -> None:
    path = tmp_path / "r.csv"
    path.write_text(f"v\n{given}\n")
    found = staged(path, {"v": type_})
    assert (found.rows, found.rules()) == ([], [(2, ["type:v"])])
    said = str(found.letters[0].failures[0]["why"])
    assert why in said
    assert "`round: true`" in said
    assert staged(path, {"v": {"type": type_, "round": True}}).rows == [f'"{value}"']


@pytest.mark.parametrize(
    ("type_", "good"),
    [
        ("integer", ["1.0", "1e3", " 12 ", "+5", "007", "1200e-2", "-0"]),
        ("numeric(12,2)", ["1.10", "1.1000", "1e2", "100e-2", ".5", "5."]),
        ("numeric(40,2)", ["1.1000", "1e20", "12345678901234567890123456789012345678.25", "000000000000000000000000000000000000000001"]),
        ("double", ["0.1234567890123456789", "1e300", "6.02214076e23", "9007199254740994", "NaN", "-Infinity", "1e-320"]),
        ("date", ["2024-03-31 00:00:00", "2024-03-31T00:00", "2024-3-1", "2024/03/01", "infinity"]),
        ("timestamp", ["2024-03-31", "2024-03-31T02:30", "2024-03-31 02:30:00.123456000"]),
        ("timestamptz", ["2024-03-31 02:30:00", "2024-03-31T02:30:00.123456+05:30", "2024-03-31 02:30:00 Europe/Berlin"]),
        ("time", ["12:00", "12:00:00.5"]),
    ],
)  # fmt: skip
def test_what_loses_nothing_goes_in_however_it_is_written(tmp_path: Any, type_: str, good: list[str]) -> None:
    path = tmp_path / "g.csv"
    path.write_text("\n".join(["v", *(f'"{text}"' for text in good)]))
    assert staged(path, {"v": type_}).rules() == []


@pytest.mark.parametrize(
    ("type_", "bad"),
    [
        ("integer", ["0x1F", "1_000", "0b11", "NaN", "9223372036854775806.6", "1.00000000000000000001"]),
        ("numeric(12,2)", ["1_0.5", "NaN", "1.1000000000000000000000000000000000000000000001", "12345678901.00"]),
        ("numeric(40,2)", ["1.001", "1e40", "1e-3", "123456789012345678901234567890123456789.0"]),
        ("double", ["1_000.5", "1e999", "1e-400", "123456789012345678901", "0x10"]),
        ("date", ["2024-03-31T00:00:00Z", "2024-03-31 (BC)", "2024-03-31 02:30"]),
        ("timestamp", ["2024-03-31 02:30:00 PM", "2024-03-31 02:30:00 UTC", "2024-03-31T02:30Z", "2024-3-31 2:3+05:30"]),
        ("timestamp", ["2024-03-31 02:30: 9", "2024-03-31 02:3 :09", "2024-03-31T14: 4:18"]),
        ("timestamptz", ["2024-03-31 02:30:00.1234567Z"]),
        ("time", ["12:00:00+02", "12:00+02", "2024-03-31 12:00:00", "12:00:00.1234567"]),
    ],
)  # fmt: skip
def test_what_a_cast_would_change_is_set_aside(tmp_path: Any, type_: str, bad: list[str]) -> None:
    path = tmp_path / "b.csv"
    path.write_text("\n".join(["v", *(f'"{text}"' for text in bad)]))
    found = staged(path, {"v": type_})
    assert found.rules() == [(line, ["type:v"]) for line in range(2, 2 + len(bad))]
    assert all(letter.failures[0]["why"] for letter in found.letters)


def test_a_timestamp_of_the_target_with_less_than_microseconds_does_not_round_in_silence(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY, at timestamp(0))")
    path = warehouse.csv("p.csv", ["id", "at"], [[1, "2024-03-31 02:30:00.5"], [2, "2024-03-31 02:30:00"]])
    warehouse.load(path, key="id", columns={"at": "timestamp"})
    assert warehouse.rules() == [(2, ["type:at"])]
    warehouse.load(path, key="id", columns={"at": {"round": True}})
    assert warehouse.one("SELECT count(*) FROM t") == 2


def test_keys_without_a_precision_are_the_same_only_where_all_digits_are(warehouse: Any) -> None:
    texts = [
        "0.12345678901",
        "0.12345678902",
        "0.123456789010",
        "1e2",
        "100",
        "-0",
        "0",
        "9007199254740993",
        "9007199254740992",
    ]
    path = warehouse.csv("k.csv", ["k", "n"], [[text, number] for number, text in enumerate(texts)])
    report = warehouse.load(path, key="k", columns={"k": "numeric"})
    assert (report.counts.inserted, report.counts.deduplicated) == (6, 3)
    assert [n for (n,) in warehouse.rows("SELECT n FROM t ORDER BY n")] == [1, 2, 4, 6, 7, 8]


@pytest.mark.parametrize("type_", ["pg_lsn", "interval", "inet", "mood", "jsonb"])
def test_versions_whose_order_only_the_server_knows_are_refused(warehouse: Any, type_: str) -> None:
    """Of 0/9 and 0/10 the first is newer as a text, and the second one to Postgres."""
    warehouse.rows("CREATE TYPE mood AS ENUM ('new', 'ill')")
    warehouse.rows(f"CREATE TABLE t (id int PRIMARY KEY, v {type_})")
    file = warehouse.csv("a.csv", ["id", "v"], [[1, "0/9"], [1, "0/10"]])
    failed = warehouse.fails(file, key="id", newest_by="v")
    assert failed.code == "SCHEMA_MISMATCH"
    assert failed.detail.startswith(f"newest_by: 'v' is of the type {type_}, whose order is not known")


def test_versions_that_are_bytes_are_in_the_order_of_the_bytes(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY, v bytea)")
    rows = [[1, "\\x0a"], [1, "\\x09"], [2, "\\x09ff"], [2, "\\x0a"]]
    warehouse.load(warehouse.csv("a.csv", ["id", "v"], rows), key="id", newest_by="v")
    assert warehouse.rows("SELECT id, v::text FROM t ORDER BY 1") == [(1, "\\x0a"), (2, "\\x0a")]


def test_the_newest_of_two_versions_is_told_by_all_of_their_digits(warehouse: Any) -> None:
    rows = [[1, "9007199254740993", "new"], [1, "9007199254740992", "old"], [2, "0.5", "x"]]
    warehouse.load(warehouse.csv("v.csv", ["id", "at", "s"], rows), key="id", newest_by="at")
    assert warehouse.rows("SELECT s FROM t WHERE id = 1") == [("new",)]


# --- zones ----------------------------------------------------------------------------------------------------------

MOMENTS = ["2024-03-31T02:30:00+05:00", "2024-03-31T02:30:00Z", "2024-03-31 02:30:00"]


def test_a_moment_with_a_zone_is_set_aside_where_the_column_keeps_none(warehouse: Any) -> None:
    path = warehouse.csv("z.csv", ["id", "ts"], [[n, text] for n, text in enumerate(MOMENTS)])
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY, ts timestamp)")
    warehouse.load(path, key="id")
    assert warehouse.rows("SELECT * FROM t") == [(2, dt.datetime(2024, 3, 31, 2, 30))]  # noqa: DTZ001
    assert "has a zone (+05:00), and timestamp keeps none: `zone: UTC`" in whys(warehouse)[2]
    warehouse.load(path, key="id", columns={"ts": {"zone": "Europe/Berlin"}})
    there = [(0, "2024-03-30 22:30:00"), (1, "2024-03-31 04:30:00"), (2, "2024-03-31 02:30:00")]
    assert warehouse.rows("SELECT id, ts::text FROM t ORDER BY id") == there


def test_a_local_time_is_read_in_the_columns_zone_and_in_utc_without_one(warehouse: Any) -> None:
    path = warehouse.csv("z.csv", ["id", "ts"], [[1, "2024-07-01 12:00:00"], [2, "2024-07-01T12:00:00Z"]])
    warehouse.load(path, "u", key="id", columns={"ts": "timestamptz"})
    assert warehouse.one("SELECT count(*) FROM u WHERE ts = '2024-07-01 12:00:00Z'") == 2
    warehouse.load(path, key="id", columns={"ts": {"type": "timestamptz", "zone": "Europe/Berlin"}})
    assert warehouse.one("SELECT ts = '2024-07-01 10:00:00Z' FROM t WHERE id = 1")
    assert warehouse.one("SELECT ts = '2024-07-01 12:00:00Z' FROM t WHERE id = 2")


def test_a_local_time_that_its_zone_does_not_have_or_has_twice_is_set_aside(tmp_path: Any) -> None:
    texts = ["2024-03-31 02:30:00", "2024-10-27 02:30:00", "2024-10-27 01:30:00", "2024-10-27 03:00:00"]
    path = tmp_path / "z.csv"
    path.write_text("\n".join(["v", *texts]))
    found = staged(path, {"v": {"type": "timestamptz", "zone": "Europe/Berlin"}})
    assert found.rules() == [(2, ["type:v"]), (3, ["type:v"])]
    assert "does not exist in Europe/Berlin, or comes twice there" in str(found.letters[0].failures[0]["why"])


def test_a_day_of_a_moment_is_the_one_in_the_columns_zone(tmp_path: Any) -> None:
    path = tmp_path / "d.csv"
    path.write_text("v\n2024-03-31T22:00:00Z\n2024-03-31\n2024-03-31T22:30:00Z\n")
    assert staged(path, {"v": "date"}).rules() == [(2, ["type:v"]), (4, ["type:v"])]
    found = staged(path, {"v": {"type": "date", "zone": "Europe/Berlin"}})
    assert (found.rows, found.rules()) == (['"2024-04-01"', '"2024-03-31"'], [(4, ["type:v"])])


def test_an_unknown_zone_is_refused(warehouse: Any) -> None:
    failed = warehouse.fails(warehouse.file("z.csv", "v\n1\n"), columns={"v": {"type": "timestamp", "zone": "Berlin"}})
    assert (failed.code, "unknown time zone 'Berlin'" in failed.detail) == ("WRONG_USE", True)


# --- Parquet --------------------------------------------------------------------------------------------------------


def test_nanoseconds_of_a_parquet_file_are_never_cut_in_silence(warehouse: Any) -> None:
    at = [1_700_000_000_123_456_000, 1_700_000_001_000_000_789]
    columns = {"id": [1, 2], "z": pa.array(at, pa.timestamp("ns", "UTC")), "n": pa.array(at, pa.timestamp("ns"))}
    pq.write_table(pa.table(columns), warehouse.folder / "ns.parquet")
    warehouse.load(warehouse.folder / "ns.parquet", key="id")
    assert types(warehouse) == {
        "id": "bigint", "z": "timestamp with time zone", "n": "timestamp without time zone",
    }  # fmt: skip
    assert warehouse.rows("SELECT n::text FROM t") == [("2023-11-14 22:13:20.123456",)]
    assert warehouse.rules() == [(2, ["type:z", "type:n"])]
    warehouse.load(warehouse.folder / "ns.parquet", key="id", columns={"z": {"round": True}, "n": {"round": True}})
    assert warehouse.rows("SELECT n::text FROM t WHERE id = 2") == [("2023-11-14 22:13:21",)]


def test_nanoseconds_of_hive_and_impala_are_never_cut_in_silence(warehouse: Any) -> None:
    """They write moments as INT96, which DuckDB reads to the microsecond."""

    def file(name: str, type_: pa.DataType, *at: object) -> Path:
        table = pa.table({"id": range(len(at)), "n": pa.array(at, type_), "l": pa.array([[one] for one in at])})
        pq.write_table(table, warehouse.folder / name, use_deprecated_int96_timestamps=True)
        return warehouse.folder / name

    fine = file("ns.parquet", pa.timestamp("ns"), 1_700_000_000_123_456_000, 1_700_000_001_000_000_789, None)
    warehouse.load(fine, key="id")
    assert warehouse.rows("SELECT id, n::text FROM t ORDER BY 1") == [(0, "2023-11-14 22:13:20.123456"), (2, None)]
    assert warehouse.rules() == [(2, ["type:n"])]
    warehouse.load(fine, key="id", columns={"n": {"round": True}})
    assert warehouse.rows("SELECT n::text FROM t WHERE id = 1") == [("2023-11-14 22:13:21",)]
    far = file("far.parquet", pa.timestamp("us"), 253_402_214_400_000_000, -14_831_769_599_999_999)
    warehouse.load(far, "u", key="id")
    assert warehouse.rows("SELECT n::text FROM u ORDER BY 1") == [
        ("1500-01-01 00:00:00.000001",),
        ("9999-12-31 00:00:00",),
    ]


@pytest.mark.parametrize("type_", [pa.decimal256(40, 0), pa.list_(pa.decimal256(40, 0))])
def test_decimals_that_duckdb_reads_as_doubles_are_refused(warehouse: Any, type_: pa.DataType) -> None:
    """BigQuery exports its BIGNUMERIC so: of 40 digits about 16 would come in."""
    number = Decimal("1" * 40)
    values = pa.array([number if type_ == pa.decimal256(40, 0) else [number]], type_)
    pq.write_table(pa.table({"id": [1], "big": values}), warehouse.folder / "d.parquet")
    failed = warehouse.fails(warehouse.folder / "d.parquet", key="id", columns={"id": "bigint"})
    assert failed.code == "SOURCE_UNREADABLE"
    assert "has decimals of more than 38 digits" in failed.detail


def test_names_that_differ_by_case_alone_are_two_columns_in_every_format(warehouse: Any) -> None:
    pq.write_table(
        pa.table({"Id": [1, 2], "o": [{"id": 1}, {"id": 2}], "id": [10, 20]}), warehouse.folder / "c.parquet"
    )
    warehouse.load(warehouse.folder / "c.parquet", key="id")
    warehouse.load(warehouse.file("c.csv", "Id,id,o\n3,30,{}\n"), key="id")
    warehouse.load(warehouse.file("c.jsonl", '{"Id": 4, "id": 40, "o": {}}'), key="id")
    assert warehouse.rows('SELECT "Id", id FROM t ORDER BY id') == [(1, 10), (2, 20), (3, 30), (4, 40)]


def test_a_parquet_file_with_one_name_twice_is_unreadable(warehouse: Any) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["id", "id"])
    pq.write_table(table, warehouse.folder / "c.parquet")
    failed = warehouse.fails(warehouse.folder / "c.parquet", key="id")
    assert (failed.code, "has id more than once" in failed.detail) == ("SOURCE_UNREADABLE", True)


# --- first files ----------------------------------------------------------------------------------------------------


def test_no_table_is_made_before_there_is_a_record_to_infer_from(warehouse: Any) -> None:
    assert warehouse.load(warehouse.file("a.csv", "id,amount\n"), key="id").status == "loaded"
    assert warehouse.one("SELECT to_regclass('t') IS NULL")
    warehouse.load(warehouse.file("b.csv", "id,amount\n2,5.50\n10,7\n"), key="id")
    assert types(warehouse) == {"id": "bigint", "amount": "double precision"}
    warehouse.load(warehouse.file("c.csv", "id,amount,more\n"), key="id", on_schema_change="add_columns")
    assert "more" not in types(warehouse)


def test_a_file_with_a_header_only_makes_the_table_that_columns_describe(warehouse: Any) -> None:
    columns = {"id": "integer", "amount": "numeric(12,2)"}
    warehouse.load(warehouse.file("a.csv", "id,amount\n"), key="id", columns=columns)
    assert types(warehouse) == {"id": "integer", "amount": "numeric"}


I16, I32, I64, F32, F64 = pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64()
TYPE_OF = "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'v'"


@pytest.mark.parametrize(
    ("values", "kinds", "type_", "texts"),
    [
        ((1, 2**40), (I32, I64), "bigint", ["1", "1099511627776"]),
        ((1, 2**30), (I16, I32), "integer", ["1", "1073741824"]),
        ((0.5, 0.1), (F32, F64), "double precision", ["0.5", "0.1"]),
        ((2**30 + 1, 0.1), (I32, F64), "double precision", ["1073741825", "0.1"]),
        ((2**60 + 1, 0.1), (I64, F64), "numeric", ["1152921504606846977", "0.1"]),
        ((2**64 - 1, -1), (pa.uint64(), I64), "numeric(20,0)", ["18446744073709551615", "-1"]),
        ((2**60 + 1, Decimal("1.25")), (I64, pa.decimal128(5, 2)), "numeric(21,2)", ["1152921504606846977.00", "1.25"]),
        (
            (Decimal("123.5"), Decimal("1.255")), (pa.decimal128(4, 1), pa.decimal128(4, 3)),
            "numeric(6,3)", ["123.500", "1.255"],
        ),
        ((1, dt.date(2026, 1, 2)), (I64, pa.date32()), "text", ["1", "2026-01-02"]),
    ],
)  # fmt: skip
def test_parts_of_several_types_get_one_with_room_for_all(
    warehouse: Any, values: tuple[Any, Any], kinds: tuple[Any, Any], type_: str, texts: list[str]
) -> None:
    folder = warehouse.folder / "parts"
    folder.mkdir()
    for number, (value, kind) in enumerate(zip(values, kinds, strict=True)):
        pq.write_table(pa.table({"id": [number], "v": pa.array([value], kind)}), folder / f"{number}.parquet")
    report = warehouse.load(f"{folder}/", key="id")
    assert (report.counts.inserted, report.counts.dead) == (2, 0)
    assert warehouse.one(TYPE_OF) == type_
    assert [text for (text,) in warehouse.rows("SELECT v::text FROM t ORDER BY id")] == texts

"""Numbers, dates and moments as people write them: read when the pipeline says how, and else named in the letter."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sluicegate.records.notation import suggest
from sluicegate.records.types import parse_type

SEMICOLON = {"delimiter": ";"}


def whys(warehouse: Any) -> list[str]:
    return [failures[0]["why"] for _, _, failures, *_ in warehouse.letters()]


def test_a_decimal_comma_and_separated_thousands_are_read(warehouse: Any) -> None:
    path = warehouse.file("d.csv", "id;v\n1;45,38\n2;1.234,5\n3;7\n4;-1.234.567,01\n5;,5\n6;1,5e3\n")
    form = {**SEMICOLON, "decimal": ",", "thousands": "."}
    for table, type_ in (("t", "numeric(12,2)"), ("u", "double"), ("v", "numeric")):
        report = warehouse.load(path, table, key="id", format=form, columns={"v": type_})
        assert report.counts.inserted == 6
        assert [float(value) for (value,) in warehouse.rows(f"SELECT v FROM {table} ORDER BY id")] == [
            45.38, 1234.5, 7, -1234567.01, 0.5, 1500,
        ]  # fmt: skip
    warehouse.load(path, "w", key="id", format=form)
    assert warehouse.one("SELECT pg_typeof(v)::text FROM w LIMIT 1") == "double precision"


def test_what_is_not_in_the_notation_is_no_number(warehouse: Any) -> None:
    path = warehouse.file("d.csv", "id;v\n1;1.5\n2;12.34,5\n3;1,234.5\n4;1.234\n5;3,5\n")
    form = {**SEMICOLON, "decimal": ",", "thousands": "."}
    warehouse.load(path, key="id", format=form, columns={"v": "numeric(12,4)"})
    assert warehouse.rows("SELECT id, v FROM t ORDER BY id") == [(4, Decimal("1234.0000")), (5, Decimal("3.5000"))]
    assert whys(warehouse)[0] == """'1.5' is not a number with `decimal: ",", thousands: "."`"""
    warehouse.load(path, "u", key="id", format=form)
    assert warehouse.one("SELECT pg_typeof(v)::text FROM u LIMIT 1") == "text"


def test_a_column_of_plain_decimals_is_text_in_a_file_with_decimal_commas(warehouse: Any) -> None:
    warehouse.load(warehouse.file("d.csv", "id;v\n1;1.5\n2;2.25\n"), format={**SEMICOLON, "decimal": ","})
    assert warehouse.rows("SELECT v FROM t ORDER BY id") == [("1.5",), ("2.25",)]


@pytest.mark.parametrize(
    ("thousands", "text"), [(" ", "1 234,5"), (" ", "1\u00a0234,5"), (" ", "1\u202f234,5"), ("'", "1\u2019234,5")]
)
def test_spaces_and_apostrophes_separate_thousands(warehouse: Any, thousands: str, text: str) -> None:
    form = {**SEMICOLON, "decimal": ",", "thousands": thousands}
    warehouse.load(warehouse.file("d.csv", f"v\n{text}\n"), format=form, columns={"v": "numeric(6,1)"})
    assert warehouse.rows("SELECT v FROM t") == [(Decimal("1234.5"),)]


def test_json_numbers_have_a_point_whatever_the_format_says(warehouse: Any) -> None:
    warehouse.load(warehouse.file("d.jsonl", '{"v": 1.5}\n'), format={"decimal": ","}, columns={"v": "numeric(6,1)"})
    assert warehouse.rows("SELECT v FROM t") == [(Decimal("1.5"),)]


@pytest.mark.parametrize(
    ("order", "texts"), [("day_first", ["31.12.2026", "1/2/2026"]), ("month_first", ["12/31/2026", "2-1-2026"])]
)
def test_dates_with_the_year_last_are_read_in_the_stated_order(warehouse: Any, order: str, texts: list[str]) -> None:
    path = warehouse.file("d.csv", "d\n" + "\n".join([*texts, "2026-03-04"]) + "\n")
    expected = [(date(2026, 2, 1),), (date(2026, 3, 4),), (date(2026, 12, 31),)]
    warehouse.load(path, format={"dates": order}, columns={"d": "date"})
    assert warehouse.rows("SELECT d FROM t ORDER BY d") == expected
    warehouse.load(path, "u", format={"dates": order})
    assert warehouse.rows("SELECT d FROM u ORDER BY d") == expected


def test_a_date_with_the_year_last_may_have_a_time_and_a_zone(warehouse: Any) -> None:
    path = warehouse.file("d.csv", 'a,b\n31.12.2026 14:30,"31/12/2026, 14:30:00+02:00"\n')
    warehouse.load(path, format={"dates": "day_first"}, columns={"a": "timestamp", "b": "timestamptz"})
    assert warehouse.rows("SELECT a, b FROM t") == [
        (datetime(2026, 12, 31, 14, 30), datetime(2026, 12, 31, 12, 30, tzinfo=UTC))  # noqa: DTZ001
    ]


def test_a_date_that_is_none_in_the_stated_order_is_set_aside(warehouse: Any) -> None:
    warehouse.load(warehouse.file("d.csv", "d\n12/31/2026\n"), format={"dates": "day_first"}, columns={"d": "date"})
    assert warehouse.rules() == [(2, ["type:d"])]


@pytest.mark.parametrize(
    ("unit", "number"),
    [("seconds", "1700000000.123"), ("milliseconds", "1700000000123"), ("microseconds", "1700000000123000")],
)
def test_moments_are_counted_from_1970(warehouse: Any, unit: str, number: str) -> None:
    moment = datetime(2023, 11, 14, 22, 13, 20, 123000, tzinfo=UTC)
    path = warehouse.file("e.csv", f"id,a,b,c\n1,{number},{number},{number}\n2,x,0,-1\n")
    columns = {
        "a": {"epoch": unit},
        "b": {"epoch": unit, "type": "timestamp"},
        "c": {"epoch": unit, "type": "timestamp", "zone": "Europe/Berlin"},
    }
    warehouse.load(path, key="id", columns=columns)
    assert warehouse.rows("SELECT a, b, c FROM t") == [
        (moment, moment.replace(tzinfo=None), moment.replace(hour=23, tzinfo=None))
    ]
    assert whys(warehouse) == [f"'x' is not a number of {unit} (in digits)"]


def test_moments_of_json_and_parquet_are_counted_too(warehouse: Any) -> None:
    columns = {"at": {"epoch": "seconds"}}
    warehouse.load(warehouse.file("e.jsonl", '{"at": 1700000000}\n'), columns=columns)
    pq.write_table(pa.table({"at": pa.array([1700000001], pa.int64())}), warehouse.folder / "e.parquet")
    warehouse.load(warehouse.folder / "e.parquet", columns=columns)
    assert [moment.second for (moment,) in warehouse.rows("SELECT at FROM t ORDER BY at")] == [20, 21]


def test_digits_that_a_timestamp_has_no_room_for_are_not_dropped(warehouse: Any) -> None:
    path = warehouse.file("e.csv", "at\n1700000000.1234567\n1700000000.1234560\n")
    warehouse.load(path, columns={"at": {"epoch": "seconds"}})
    assert warehouse.rules() == [(2, ["type:at"])]


@pytest.mark.parametrize(
    ("text", "type_", "option"),
    [
        ("45,38", "numeric(12,2)", '`format: {decimal: ","}`'),
        ("1.234,5", "double", '`format: {decimal: ",", thousands: "."}`'),
        ("1,234", "integer", '`format: {decimal: ","}` or `format: {decimal: ".", thousands: ","}`'),
        ("1 234,5", "numeric", '`format: {decimal: ",", thousands: " "}`'),
        ("1700000000", "timestamptz", "`epoch: seconds` in the column"),
        ("1700000000123", "timestamp", "`epoch: milliseconds` in the column"),
        ("31.12.2026", "date", "`format: {dates: day_first}`"),
        ("12/31/2026", "date", "`format: {dates: month_first}`"),
        ("01/02/2026", "date", "`format: {dates: day_first}` or `format: {dates: month_first}`"),
        ("32/13/2026", "date", None),
        ("x", "integer", None),
    ],
)
def test_the_option_that_would_read_a_value_is_known(text: str, type_: str, option: str | None) -> None:
    assert suggest(text, parse_type(type_)) == option


def test_a_letter_names_the_option_that_would_read_its_value(warehouse: Any) -> None:
    warehouse.load(warehouse.file("e.csv", "at\n1700000000123\n"), columns={"at": "timestamptz"})
    assert whys(warehouse)[0].endswith("; `epoch: milliseconds` in the column would read it")


@pytest.mark.parametrize("form", [{"thousands": "."}, {"decimal": ",", "thousands": ","}])
def test_one_separator_cannot_have_two_meanings(warehouse: Any, form: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="say both, and different ones"):
        warehouse.request(warehouse.file("e.csv", "v\n1\n"), format=form)

"""A list of JSON or Parquet becomes the very array of Postgres, or its record is set aside and says why."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluicegate.load.replay.mend import Fixed
from sluicegate.records.arrays import NoArrayError, array_literal

TEXTS = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8),
    st.sampled_from(["", "NULL", "null", "{", "}", ",", '"', "\\", '\\"', " a ", "a,b", "{1,2}", "\n", "[1]", "é"]),
)
WHOLE = st.integers(-(2**31), 2**31 - 1)
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=-(10**15), max_value=10**15)
DOUBLES = st.floats(allow_nan=False, allow_infinity=False)
CLOCKS = st.datetimes(dt.datetime(1000, 1, 1), dt.datetime(9000, 1, 1))  # noqa: DTZ001 - hypothesis wants them so
ELEMENTS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "text": (pa.string(), TEXTS),
    "integer": (pa.int32(), WHOLE),
    "bigint": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "numeric": (pa.decimal128(38, 12), NUMBERS),
    "double precision": (pa.float64(), DOUBLES),
    "boolean": (pa.bool_(), st.booleans()),
    "date": (pa.date32(), st.dates(dt.date(1000, 1, 1), dt.date(9000, 1, 1))),
    "timestamptz": (pa.timestamp("us", "UTC"), CLOCKS.map(lambda moment: moment.replace(tzinfo=dt.UTC))),
    "timestamp": (pa.timestamp("us"), CLOCKS),
    "uuid": (pa.string(), st.uuids().map(str)),
}
FORMS = ["jsonl", "parquet"]


def lists_of(element: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Lists, with None inside and beside them."""
    return st.lists(st.one_of(st.none(), st.lists(st.one_of(st.none(), element), max_size=4)), min_size=1, max_size=6)


def nested(element: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Lists of lists, all of the lists inside of one length."""
    return st.integers(1, 3).flatmap(
        lambda width: st.lists(
            st.lists(st.lists(st.one_of(st.none(), element), min_size=width, max_size=width), min_size=1, max_size=3),
            min_size=1,
            max_size=4,
        )
    )


def as_json(value: Any) -> str:
    """JSON with all digits of decimals."""
    if isinstance(value, list):
        return "[" + ", ".join(map(as_json, value)) + "]"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, (dt.date, uuid.UUID)):
        return json.dumps(str(value))
    return json.dumps(value)


def brought(warehouse: Any, form: str, type_: str, values: list[Any], arrow: pa.DataType) -> None:
    """Load `values`, and see that the table has what psycopg itself brings in of them."""
    warehouse.rows(f"DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, v {type_}[])")
    path = warehouse.folder / f"a.{form}"
    if form == "parquet":
        pq.write_table(pa.table({"id": range(len(values)), "v": pa.array(values, arrow)}), path)
    else:
        lines = [f'{{"id": {number}, "v": {as_json(value)}}}\n' for number, value in enumerate(values)]
        path.write_text("".join(lines), encoding="utf-8")
    warehouse.load(path, key="id", force=True)
    assert warehouse.letters() == []
    warehouse.rows(f"DROP TABLE IF EXISTS u; CREATE TABLE u (id int PRIMARY KEY, v {type_}[])")
    with psycopg.connect(warehouse.conninfo) as connection:
        connection.cursor().executemany(f"INSERT INTO u VALUES (%s, %s::{type_}[])", list(enumerate(values)))
    assert warehouse.rows("SELECT * FROM t ORDER BY id") == warehouse.rows("SELECT * FROM u ORDER BY id")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("type_", ELEMENTS)
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_list_is_the_array_that_psycopg_makes_of_it(warehouse: Any, form: str, type_: str, data: Any) -> None:
    arrow, element = ELEMENTS[type_]
    brought(warehouse, form, type_, data.draw(lists_of(element)), pa.list_(arrow))
    brought(warehouse, form, type_, data.draw(nested(element)), pa.list_(pa.list_(arrow)))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(values=st.lists(st.one_of(st.none(), TEXTS), max_size=6))
def test_a_literal_is_read_as_its_texts(warehouse: Any, values: list[str | None]) -> None:
    assert warehouse.one("SELECT %s::text[]", array_literal(json.dumps(values), "text[]")) == values


def table_of(warehouse: Any, type_: str) -> None:
    warehouse.rows(f"CREATE TABLE t (id int PRIMARY KEY, v {type_}[])")


@pytest.mark.parametrize(
    ("type_", "written", "why"),
    [
        ("integer", "[[1], [2, 3]]", "the lists inside are not all of one length"),
        ("integer", "[[1], 2]", "the lists inside are not all of one length"),
        ("integer", "[[1], null]", "the lists inside are not all of one length"),
        ("integer", "[[]]", "a list inside is empty"),
        ("integer", "[[[[[[[1]]]]]]]", "nested more than 6 deep"),
        ("integer", "7", "'7' is not integer[]: neither a list of JSON nor an array"),
        ("integer", '"1,2"', "neither a list of JSON nor an array"),
        ("text", '[{"a": 1}]', "an object is in the list"),
        ("text", '["a\\u0000"]', "the character U+0000"),
        ("character varying(3)", '["abcd"]', "'abcd' has 4 characters, and varchar(3) takes 3"),
        ("character varying(3)", '["abc "]', "'abc ' has 4 characters"),
        ("name", f'["{"ä" * 32}"]', "longer than the 63 bytes of a name"),
        ("numeric(5,2)", "[1.234]", "'1.234' has more digits behind the point than numeric(5,2) keeps"),
        ("real", "[16777217]", "a whole number that real does not hold exactly"),
        ("double precision", "[9007199254740993]", "a whole number that double does not hold exactly"),
        ("date", '["2026-01-01T10:00:00"]', "has a time of the day"),
        ("time", '["2026-01-01 10:00:00"]', "has a day"),
        ("timestamp", '["2026-01-01T10:00:00+02:00"]', "has a zone"),
        ("timestamp", '["2026-01-01T10:00:00.1234567"]', "more than the 6 digits of a second"),
        ("timestamptz(0)", '["2026-01-01T10:00:00.5Z"]', "more than the 0 digits of a second"),
    ],
)
def test_what_an_array_does_not_hold_is_set_aside_and_says_why(
    warehouse: Any, type_: str, written: str, why: str
) -> None:
    table_of(warehouse, type_)
    warehouse.load(warehouse.file("a.jsonl", f'{{"id": 1, "v": {written}}}\n{{"id": 2, "v": []}}\n'), key="id")
    assert warehouse.rules() == [(1, ["type:v"])]
    assert why in warehouse.letters()[0][2][0]["why"]
    assert warehouse.rows("SELECT * FROM t") == [(2, [])]


@pytest.mark.parametrize("written", ["[1.5]", '["x"]', "[true]", "[3000000000]", "[NaN]"])
def test_what_postgres_itself_refuses_in_a_list_is_set_aside(warehouse: Any, written: str) -> None:
    table_of(warehouse, "integer")
    warehouse.load(warehouse.file("a.jsonl", f'{{"id": 1, "v": {written}}}\n{{"id": 2, "v": [1.0]}}\n'), key="id")
    assert warehouse.rules() == [(1, ["type:v"])]
    assert warehouse.rows("SELECT * FROM t") == [(2, [1])]


def test_a_text_that_postgres_reads_as_an_array_stays_one(warehouse: Any) -> None:
    table_of(warehouse, "text")
    texts = ["{1,2}", " {a}", "[0:1]={a,b}", '{"a b",NULL}', "{}"]
    warehouse.load(warehouse.csv("a.csv", ["id", "v"], [[n, text] for n, text in enumerate(texts)]), key="id")
    lines = "".join(f"{json.dumps({'id': n + 10, 'v': text})}\n" for n, text in enumerate(texts))
    warehouse.load(warehouse.file("a.jsonl", lines), key="id")
    for n, text in enumerate(texts):
        same = "SELECT bool_and(v = %s::text[] AND array_dims(v) IS NOT DISTINCT FROM array_dims(%s::text[])) FROM t"
        assert warehouse.one(f"{same} WHERE mod(id, 10) = {n}", text, text)
    assert warehouse.letters() == []


def test_elements_of_json_are_as_they_are_written(warehouse: Any) -> None:
    table_of(warehouse, "jsonb")
    lines = '{"id": 1, "v": [{"a": [1, "}"]}, [1, [2]], null, "x\\"y", 1.10, {}]}\n{"id": 2, "v": []}\n'
    warehouse.load(warehouse.file("a.jsonl", lines), key="id")
    assert warehouse.letters() == []
    values = [{"a": [1, "}"]}, [1, [2]], None, 'x"y', 1.1, {}]
    assert warehouse.rows("SELECT id, v FROM t ORDER BY id") == [(1, values), (2, [])]


def test_boxes_are_separated_by_semicolons(warehouse: Any) -> None:
    table_of(warehouse, "box")
    warehouse.load(warehouse.file("a.jsonl", '{"id": 1, "v": ["(1,1),(0,0)", null]}\n'), key="id")
    assert warehouse.one("SELECT v::text FROM t") == "{(1,1),(0,0);NULL}"


@pytest.mark.parametrize("written", ["2026-07-01 12:00", "2026-07-01T12:00:00", "2026-07-01T14:00:00+02:00"])
def test_moments_without_a_zone_are_those_of_utc_whatever_the_servers_zone(warehouse: Any, written: str) -> None:
    database = warehouse.one("SELECT current_database()")
    warehouse.rows(f"ALTER DATABASE {database} SET timezone TO 'America/New_York'")
    table_of(warehouse, "timestamptz")
    warehouse.load(warehouse.file("a.jsonl", f'{{"id": 1, "v": ["{written}", "2026-07-01"]}}\n'), key="id")
    assert warehouse.one("SELECT v = '{2026-07-01 12:00+00,2026-07-01 00:00+00}'::timestamptz[] FROM t")


def test_bytes_in_lists_of_parquet_are_refused_before_anything_is_changed(warehouse: Any) -> None:
    table_of(warehouse, "bytea")
    pq.write_table(pa.table({"id": [1], "v": pa.array([[b"\0ab"]])}), warehouse.folder / "a.parquet")
    error = warehouse.fails(warehouse.folder / "a.parquet", key="id")
    assert error.code == "SCHEMA_MISMATCH"
    assert "a.parquet: 'v' is bytes in the file, and in public.t it is bytea[]: an array takes lists" in error.detail


@pytest.mark.parametrize("form", FORMS)
def test_a_replayed_letter_brings_the_array_that_its_load_would_have_brought(warehouse: Any, form: str) -> None:
    table_of(warehouse, "text")
    values: list[Any] = [["a,b", 'c"d', None, "NULL", ""], [["x"], ["{y}"]], None, [], ["mended"]]
    path = warehouse.folder / f"a.{form}"
    if form == "parquet":
        values[1] = ["x", "{y}"]
        pq.write_table(pa.table({"id": range(5), "v": values, "n": ["-"] * 5}), path)
    else:
        path.write_text("".join(f"{json.dumps({'id': n, 'v': v, 'n': '-'})}\n" for n, v in enumerate(values)))
    warehouse.rows("ALTER TABLE t ADD n int")
    warehouse.load(path, key="id")
    assert warehouse.rules() == [(line, ["type:n"]) for line in range(1, 6)]

    def mend(record: Any) -> Any:
        mended = {"v": ["mended", "too"]} if "mended" in str(record["v"]) else {}
        return {**record, "n": 1, **mended}

    warehouse.replay(key="id", mending=Fixed(mend, "mend"))
    values[4] = ["mended", "too"]
    assert warehouse.rows("SELECT id, v FROM t ORDER BY id") == list(enumerate(values))


def test_a_ragged_list_is_mended_and_replayed(warehouse: Any) -> None:
    table_of(warehouse, "integer")
    warehouse.load(warehouse.file("a.jsonl", '{"id": 1, "v": [[1], [2, 3]]}\n{"id": 2, "v": [4]}\n'), key="id")
    mended = {"id": 1, "v": [[1, 2], [3, None]]}
    warehouse.replay(key="id", mending=Fixed(lambda record: mended, "mend"))
    assert warehouse.rows("SELECT * FROM t ORDER BY id") == [(1, [[1, 2], [3, None]]), (2, [4])]
    assert [status for *_, status in warehouse.letters()] != ["open"]


def test_json_that_is_half_a_character_is_not_an_array() -> None:
    with pytest.raises(NoArrayError):
        array_literal('["\\ud800"]', "text[]")
    assert array_literal("[1,", "text[]") == "[1,"

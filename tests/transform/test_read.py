"""Files come as Arrow with the types of all their records, whatever their kind, encoding or parts."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sluicegate.faults import FaultError
from sluicegate.pipeline.keys.model import Format
from sluicegate.records.batches import Source, open_source
from sluicegate.storage import file_type

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_one(name: str, text: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write_one


def opened(*paths: Path, **how: object) -> Source:
    scratch = paths[0].parent / "scratch"
    scratch.mkdir(exist_ok=True)
    said = Format.model_validate(how) if how else None
    return open_source("s3://lake/x", paths, file_type(paths[0].name, said), said, scratch)


def rows(*paths: Path, **how: object) -> list[dict[str, object]]:
    return opened(*paths, **how).table().to_pylist()


def test_a_csv_has_the_types_of_its_values(write: Write) -> None:
    text = "id,day,at,x,name\n1,2013-02-11,2013-02-11T07:00:00Z,1.5,a\n2,,,,\n"
    assert rows(write("a.csv", text)) == [
        {
            "id": 1,
            "day": date(2013, 2, 11),
            "at": datetime(2013, 2, 11, 7, tzinfo=UTC),
            "x": 1.5,
            "name": "a",
        },
        {"id": 2, "day": None, "at": None, "x": None, "name": None},
    ]


def test_a_type_is_decided_by_all_records_not_by_the_first(write: Write) -> None:
    late = "".join(f"{n},\n" for n in range(30_000))
    source = opened(write("a.csv", f"id,x\n{late}30000,late\n"))
    assert source.schema.field("x").type == pa.string()
    assert source.table().column("x")[-1].as_py() == "late"


def test_parts_that_seem_of_different_types_fit_together(write: Write) -> None:
    assert rows(write("a.csv", "id,x\n1,1\n"), write("b.csv", "id,x\n2,two\n")) == [
        {"id": 1, "x": "1"},
        {"id": 2, "x": "two"},
    ]


def test_a_line_with_a_hash_is_no_comment(write: Write) -> None:
    assert rows(write("a.csv", "name,x\n#one,1\ntwo,2\n")) == [
        {"name": "#one", "x": 1},
        {"name": "two", "x": 2},
    ]


def test_a_day_that_can_be_read_two_ways_stays_text(write: Write) -> None:
    assert rows(write("a.csv", "day\n01/02/2013\n")) == [{"day": "01/02/2013"}]


def test_zeros_in_front_stay(write: Write) -> None:
    assert rows(write("a.csv", "code\n007\n010\n")) == [{"code": "007"}, {"code": "010"}]


def test_the_format_is_followed(write: Write) -> None:
    text = "1;NA;é\n-;2;b\n".encode("latin-1")
    found = rows(write("a.txt", text), type="csv", header=False, delimiter=";", null=["NA", "-"], encoding="latin-1")
    assert [list(row.values()) for row in found] == [[1, None, "é"], [None, 2, "b"]]


def test_gzip_is_unpacked_in_every_encoding(write: Write) -> None:
    assert rows(write("a.csv.gz", gzip.compress(b"id\n1\n"))) == [{"id": 1}]
    assert rows(write("b.csv.gz", gzip.compress("id\né\n".encode("cp1252"))), encoding="cp1252") == [{"id": "é"}]


def test_a_tsv_is_separated_by_tabs(write: Write) -> None:
    assert rows(write("a.tsv", "a\tb\n1\t2\n")) == [{"a": 1, "b": 2}]


def test_json_lines_keep_their_shape(write: Write) -> None:
    text = '{"id": 1, "tags": ["a"], "at": {"x": 1.5}}\n{"id": 2}\n'
    assert rows(write("a.jsonl", text)) == [
        {"id": 1, "tags": ["a"], "at": {"x": 1.5}},
        {"id": 2, "tags": None, "at": None},
    ]


def test_parquet_keeps_its_types_and_fills_what_a_part_lacks(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"id": pa.array([1], pa.int16()), "t": pa.array([1], pa.timestamp("ns"))}),
        tmp_path / "a.parquet",
    )
    pq.write_table(pa.table({"id": pa.array([2], pa.int32()), "new": ["x"]}), tmp_path / "b.parquet")
    source = opened(tmp_path / "a.parquet", tmp_path / "b.parquet")
    assert source.schema.field("t").type == pa.timestamp("ns")
    assert source.schema.field("id").type == pa.int32()
    table = source.table()
    assert table.column("id").to_pylist() == [1, 2]
    assert table.column("new").to_pylist() == [None, "x"]


def test_rows_are_counted_as_they_are_read(write: Write) -> None:
    source = opened(write("a.csv", "id\n1\n2\n"))
    assert source.rows == 0
    source.table()
    assert source.rows == 2


def test_the_order_of_the_file_is_kept(write: Write) -> None:
    numbers = list(range(200_000, 0, -1))
    source = opened(write("a.csv", "id\n" + "\n".join(map(str, numbers)) + "\n"))
    assert source.table().column("id").to_pylist() == numbers


def test_a_file_with_a_header_alone_has_columns_and_no_rows(write: Write) -> None:
    table = opened(write("a.csv", "id,x\n")).table()
    assert (table.column_names, table.num_rows) == (["id", "x"], 0)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"id,x\n1,2\n3,4,5\n", "Line: 3"),
        ("a.csv", b"id,x\n1,2\n3\n", "Line: 3"),
        ("a.csv", b"", "is empty"),
        ("a.csv", "id\né\n".encode("latin-1"), "utf-8"),
        ("a.csv.gz", b"not packed", "a.csv.gz"),
        ("a.jsonl", b'{"id": 1}\n{"id":\n', "JSON"),
        ("a.parquet", b"no parquet at all", "arquet"),
    ],
)
def test_what_cannot_be_read_says_what_and_where(write: Write, name: str, content: bytes, says: str) -> None:
    with pytest.raises(FaultError) as caught:
        opened(write(name, content)).table()
    assert caught.value.code == "SOURCE_UNREADABLE"
    assert "s3://lake/x" in caught.value.detail
    assert says in caught.value.detail or name == "a.csv.gz"


def test_a_wrong_encoding_is_a_mistake_of_the_pipeline(write: Write) -> None:
    with pytest.raises(FaultError) as caught:
        opened(write("a.csv", "id\n1\n"), encoding="utf-9")
    assert caught.value.code == "WRONG_USE"


def test_a_dataset_without_parts_has_no_columns(tmp_path: Path) -> None:
    with pytest.raises(FaultError) as caught:
        open_source("s3://lake/x/", (), file_type("a.csv"), None, tmp_path)
    assert caught.value.code == "SOURCE_UNREADABLE"


def test_a_decimal_comma_is_read_and_separated_thousands_are_not_guessed_at(write: Write) -> None:
    text = "a;b;c\n45,38;1.234,5;1.5\n7;2,5;2.5\n"
    found = rows(write("a.csv", text), delimiter=";", decimal=",", thousands=".")
    assert found == [{"a": 45.38, "b": "1.234,5", "c": "1.5"}, {"a": 7.0, "b": "2,5", "c": "2.5"}]


def test_digits_that_a_double_would_lose_make_a_decimal(write: Write) -> None:
    text = "id,near,far,e\n9007199254740993,0.1,12345678901234567890.25,9007199254740993\n0.5,0.25,,1e3\n"
    assert rows(write("a.csv", text)) == [
        {"id": Decimal("9007199254740993.0"), "near": 0.1, "far": Decimal("12345678901234567890.25"),
         "e": "9007199254740993"},
        {"id": Decimal("0.5"), "near": 0.25, "far": None, "e": "1e3"},
    ]  # fmt: skip
    found = rows(write("b.csv", "a;b\n9007199254740993,5;1,5\n"), delimiter=";", decimal=",")
    assert found == [{"a": Decimal("9007199254740993.5"), "b": 1.5}]


def test_whole_numbers_of_json_that_a_double_would_lose_make_a_decimal(write: Write) -> None:
    text = '{"a\\"b": 9007199254740993, "x": 0.5, "n": {"z": [1]}}\n{"a\\"b": 0.5, "x": 1}\n'
    assert rows(write("a.jsonl", text)) == [
        {'a"b': Decimal("9007199254740993.0"), "x": 0.5, "n": {"z": [1]}},
        {'a"b': Decimal("0.5"), "x": 1.0, "n": None},
    ]


def test_a_first_line_that_says_the_delimiter_is_not_a_record(write: Write) -> None:
    excel = write("a.csv", "\ufeffsep=;\r\nid;x\r\n1;a,b\r\n")
    assert rows(excel, write("b.csv", "sep=;\nid;x\n2;c\n")) == [{"id": 1, "x": "a,b"}, {"id": 2, "x": "c"}]
    packed = write("c.csv.gz", gzip.compress(b"sep=|\nid|x\n1|a\n"))
    assert rows(packed) == [{"id": 1, "x": "a"}]
    for other in (rows, lambda *paths: rows(*paths, delimiter="|")):
        with pytest.raises(FaultError, match="a part says `sep=;`"):
            other(excel, write("d.csv", "id,x\n1,2\n"))

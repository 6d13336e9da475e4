"""What a load reads may be several files: wildcards, folders, and the columns that partition folders are."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

TEXT = {"csv": "id,n\n{0},x\n", "jsonl": '{{"id": {0}, "n": "x"}}\n'}


def part(warehouse: Any, place: str, kind: str, number: int) -> None:
    if kind == "parquet":
        path = warehouse.file(f"{place}.parquet", "")
        pq.write_table(pa.table({"id": [number], "n": ["x"]}), path)
    else:
        warehouse.file(f"{place}.{kind}", TEXT[kind].format(number))


def test_all_files_that_match_are_one_source(warehouse: Any) -> None:
    for name in ("eu/a.csv", "eu/b.csv", "us/a.csv", "eu/_b.csv", "us/c.txt"):
        warehouse.file(name, f"id\n{abs(hash(name)) % 10**6}\n")
    source = f"{warehouse.folder}/*/*.csv"
    assert warehouse.load(source, key="id").counts.inserted == 3
    assert warehouse.load(source, key="id").status == "skipped"
    warehouse.file("us/d.csv", "id\n-1\n")
    assert warehouse.load(source, key="id").counts.inserted == 1


def test_a_pattern_that_matches_nothing_is_missing_and_says_what_is_there(warehouse: Any) -> None:
    warehouse.file("a.txt", "id\n1\n")
    error = warehouse.fails(f"{warehouse.folder}/*.csv", key="id")
    assert error.code == "SOURCE_MISSING"
    assert "matches no file; beside it there is a.txt" in error.detail


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_partition_folders_are_columns_in_every_format(warehouse: Any, kind: str) -> None:
    part(warehouse, "in/day=2026-01-01/shop=M%C3%BCnchen/a", kind, 1)
    part(warehouse, "in/day=2026-01-02/shop=__HIVE_DEFAULT_PARTITION__/a", kind, 2)
    warehouse.load(f"{warehouse.folder}/in/", key="id")
    assert warehouse.rows("SELECT id, n, day::text, shop FROM t ORDER BY id") == [
        (1, "x", "2026-01-01", "München"),
        (2, "x", "2026-01-02", None),
    ]
    assert warehouse.one("SELECT pg_typeof(day)::text FROM t LIMIT 1") == "date"


@pytest.mark.parametrize("columns", [{"id": "bigint", "n": "text", "shop": "text"}, {"id": "bigint", "n": "text"}])
def test_a_file_without_a_header_has_the_columns_that_its_folders_do_not_have(warehouse: Any, columns: Any) -> None:
    words = {"key": "id", "format": {"header": False}}
    part = warehouse.file("in/shop=a/1.csv", "1,x\n")
    warehouse.load(part.parent.parent.as_posix() + "/", columns=columns, **words)
    warehouse.file("in/shop=b/1.csv", "2,y\n")
    warehouse.load(part.parent.parent.as_posix() + "/", **words)  # named after the table
    warehouse.file("in/shop=c/1.csv", "3,z,own\n")
    warehouse.load(part.parent.parent.as_posix() + "/shop=c/", **words)
    assert warehouse.rows("SELECT id, n, shop FROM t ORDER BY id") == [(1, "x", "a"), (2, "y", "b"), (3, "z", "own")]


def test_a_folder_that_is_not_encoded_as_utf_8_is_refused(warehouse: Any) -> None:
    part(warehouse, "in/shop=M%FCnchen/50%FF/a", "csv", 1)
    error = warehouse.fails(f"{warehouse.folder}/in/shop=M%FCnchen/50%FF/a.csv", key="id")
    assert error.code == "SOURCE_UNREADABLE"
    assert "the folder 'M%FCnchen' is not URL-encoded UTF-8" in error.detail


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_dead_letter_has_the_values_of_its_folders(warehouse: Any, kind: str) -> None:
    part(warehouse, "day=2026-01-01/v=01/a", kind, 1)
    warehouse.load(
        f"{warehouse.folder}/**/a.{kind}", key="id", columns={"v": "text", "n": {"type": "text", "in": ["y"]}}
    )
    [(line, record, failures, key, _)] = warehouse.letters()
    assert {name: str(value) for name, value in json.loads(record).items()} == {
        "day": "2026-01-01", "v": "01", "id": "1", "n": "x",
    }  # fmt: skip
    assert (line, failures[0]["column"], key) == (1 + (kind == "csv"), "n", {"id": "1"})


def test_an_empty_object_below_a_partition_folder_is_a_record(warehouse: Any) -> None:
    warehouse.file("day=2026-01-01/a.jsonl", '{"id": 1}\n { } \n')
    warehouse.load(f"{warehouse.folder}/day=2026-01-01/", key="id")
    assert warehouse.letters()[0][1] == '{"day": "2026-01-01"}'


def test_the_types_of_partition_columns_are_those_that_the_pipeline_says(warehouse: Any) -> None:
    part(warehouse, "day=31/a", "csv", 1)
    part(warehouse, "day=x/a", "csv", 2)
    report = warehouse.load(f"{warehouse.folder}/*/*.csv", key="id", columns={"day": "integer"})
    assert report.reasons == {"type:day": 1}


def test_a_column_of_the_file_itself_wins_and_a_difference_is_said(
    warehouse: Any, caplog: pytest.LogCaptureFixture
) -> None:
    warehouse.file("day=1/a.csv", "id,day\n1,1\n2,01\n3,2\n")
    warehouse.load(f"{warehouse.folder}/day=1/", key="id")
    assert warehouse.rows("SELECT id, day FROM t ORDER BY id") == [(1, "1"), (2, "01"), (3, "2")]
    assert "1 records have another 'day' than their folder, which says '1'" in caplog.text


def test_partition_folders_can_be_switched_off(warehouse: Any) -> None:
    part(warehouse, "day=1/a", "csv", 1)
    warehouse.load(f"{warehouse.folder}/day=1/", key="id", format={"partitions": False})
    assert warehouse.rows("SELECT * FROM t") == [(1, "x")]


def test_folders_that_contradict_each_other_are_refused(warehouse: Any) -> None:
    part(warehouse, "day=1/day=2/a", "csv", 1)
    assert warehouse.fails(f"{warehouse.folder}/day=1/", key="id").code == "SOURCE_UNREADABLE"

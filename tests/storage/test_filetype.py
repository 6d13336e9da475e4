"""What kind of file a name stands for."""

from __future__ import annotations

import pytest

from sluicegate.faults import FaultError
from sluicegate.pipeline.keys.model import Format
from sluicegate.storage import FileType, file_type


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("s3://l/a.csv", FileType("csv")),
        ("a.CSV.GZ", FileType("csv", gzip=True)),
        ("a.csv.gzip", FileType("csv", gzip=True)),
        ("a.txt", FileType("csv")),
        ("a.tsv", FileType("csv", tab=True)),
        ("a.jsonl", FileType("jsonl")),
        ("a.ndjson.gz", FileType("jsonl", gzip=True)),
        ("part-00000-abc.snappy.parquet", FileType("parquet")),
        ("2026-01-01T00:00:00+00:00.csv", FileType("csv")),
    ],
)
def test_the_suffix_tells(name: str, expected: FileType) -> None:
    assert file_type(name) == expected


def test_the_format_wins_over_the_suffix() -> None:
    assert file_type("export.dat", Format(type="csv")) == FileType("csv")
    assert file_type("export.json.gz", Format(type="csv")) == FileType("csv", gzip=True)


def test_a_tab_separates_where_only_the_suffix_says_something() -> None:
    assert file_type("a.tsv").delimiter(Format()) == "\t"
    assert file_type("a.tsv").delimiter(Format(delimiter=";")) == ";"
    assert file_type("a.csv").delimiter(Format()) == ","


@pytest.mark.parametrize("name", ["a", "s3://l.csv/a", "a.xlsx", "a.gz", "a.parquet.gz"])
def test_what_cannot_be_told_is_asked_for(name: str) -> None:
    with pytest.raises(FaultError) as caught:
        file_type(name)
    assert caught.value.code == "WRONG_USE"

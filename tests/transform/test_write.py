"""Equal records make equal bytes, and what is written reads back the same."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluicegate.faults import FaultError
from sluicegate.pipeline.keys.model import Format
from sluicegate.records.batches import open_source
from sluicegate.records.write import write_file
from sluicegate.storage import file_type

TABLE = pa.table(
    {
        "id": pa.array([1, 2, None]),
        "name": ["a,b", 'say "x"', "line\nbreak"],
        "x": [1.5, None, -0.25],
        "day": [date(2013, 2, 11), None, date(2013, 2, 12)],
        "at": [datetime(2013, 2, 11, 7, tzinfo=UTC), None, None],
    }
)


def written(path: Path, table: pa.Table, slices: int = 1, **how: object) -> bytes:
    step = max(1, -(-table.num_rows // slices))
    batches = [batch for start in range(0, table.num_rows, step) for batch in table.slice(start, step).to_batches()]
    said = Format.model_validate(how) if how else None
    assert write_file(path, table.schema, batches, file_type(path.name, said), said) == table.num_rows
    return path.read_bytes()


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.tsv", "a.jsonl", "a.jsonl.gz", "a.parquet"])
def test_what_is_written_reads_back(tmp_path: Path, name: str) -> None:
    written(tmp_path / name, TABLE)
    source = open_source("x", [tmp_path / name], file_type(name), None, tmp_path)
    read = source.table()
    for column in ("id", "name", "x", "day"):
        assert read.column(column).to_pylist() == TABLE.column(column).to_pylist()


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.jsonl", "a.jsonl.gz", "a.parquet"])
def test_equal_rows_make_equal_bytes_however_they_are_sliced(tmp_path: Path, name: str) -> None:
    table = pa.table({"id": range(70_000), "name": [f"name {n % 977}" for n in range(70_000)]})
    once = written(tmp_path / name, table)
    (tmp_path / "other").mkdir()
    assert written(tmp_path / "other" / name, table, slices=7) == once


@given(lengths=st.lists(st.none() | st.integers(0, 30) | st.integers(90, 300), max_size=40), slices=st.integers(1, 9))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_groups_have_so_many_bytes_at_most_or_one_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lengths: list[int | None], slices: int
) -> None:
    monkeypatch.setattr("sluicegate.records.write._GROUP_BYTES", 100)
    monkeypatch.setattr("sluicegate.records.write._GROUP_ROWS", 8)
    texts = [None if length is None else "x" * length for length in lengths]
    table = pa.table({"n": pa.array(range(len(texts)), pa.int64()), "text": pa.array(texts, pa.string())})
    path = tmp_path / "long.parquet"
    assert written(path, table, slices) == written(path, table)
    file = pq.ParquetFile(path)
    assert file.read().equals(table)
    for number in range(file.num_row_groups):
        group = file.read_row_group(number)
        assert group.num_rows == 1 or sum(len(text or "") for text in group["text"].to_pylist()) <= 100
        assert group.num_rows <= 8


def test_a_gzip_has_neither_a_name_nor_a_time(tmp_path: Path) -> None:
    packed = written(tmp_path / "a.csv.gz", TABLE)
    assert packed[4:8] == b"\0\0\0\0"
    assert b"a.csv" not in packed


def test_no_rows_leave_a_file_with_columns(tmp_path: Path) -> None:
    empty = TABLE.slice(0, 0)
    assert written(tmp_path / "a.csv", empty).decode() == '"id","name","x","day","at"\n'
    written(tmp_path / "a.parquet", empty)
    assert pq.read_schema(tmp_path / "a.parquet").names == empty.column_names


def test_the_format_is_followed(tmp_path: Path) -> None:
    table = pa.table({"a": ["é", None], "b": [1, None]})
    raw = written(tmp_path / "a.csv", table, delimiter=";", header=False, null=["NA"], encoding="latin-1")
    assert raw == '"é";"1"\n"NA";"NA"\n'.encode("latin-1")


def test_json_has_text_for_what_it_has_no_word_for(tmp_path: Path) -> None:
    table = pa.table(
        {
            "d": [Decimal("1.10")],
            "n": [float("nan")],
            "t": [{"at": date(2013, 2, 11)}],
            "b": [b"\x01"],
            "l": [[1.5, None]],
        }
    )
    line = json.loads(written(tmp_path / "a.jsonl", table))
    assert line == {"d": "1.10", "n": None, "t": {"at": "2013-02-11"}, "b": "01", "l": [1.5, None]}


def test_a_nested_column_has_no_place_in_a_csv(tmp_path: Path) -> None:
    with pytest.raises(FaultError) as caught:
        written(tmp_path / "a.csv", pa.table({"id": [1], "tags": [["a"]]}))
    assert caught.value.code == "WRONG_USE"
    assert "tags" in caught.value.detail


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(-(2**62), 2**62), st.text(max_size=20)), max_size=30))
def test_any_text_survives_json_lines(tmp_path: Path, rows: list[tuple[int, str]]) -> None:
    table = pa.table(
        {"id": pa.array([n for n, _ in rows], pa.int64()), "t": pa.array([t for _, t in rows], pa.string())}
    )
    lines = gzip.decompress(written(tmp_path / "a.jsonl.gz", table)).decode().split("\n")[:-1]
    assert [tuple(json.loads(line).values()) for line in lines] == rows

"""A file that cannot be loaded stops the load, or is set aside alone where the pipeline says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

SKIPS: dict[str, Any] = {"key": "id", "columns": {"id": "integer"}, "skip_bad_files": True}


def test_a_bad_file_stops_the_load_unless_it_may_be_set_aside(warehouse: Any) -> None:
    warehouse.file("in/a.csv", "id\n1\n")
    warehouse.file("in/b.csv", b"PK\x03\x04" + bytes(200))
    source = f"{warehouse.folder}/in/"
    assert warehouse.fails(source, key="id").code == "SOURCE_UNREADABLE"
    report = warehouse.load(source, **SKIPS)
    assert (report.counts.read, report.counts.inserted, report.counts.dead) == (2, 1, 1)
    assert report.reasons == {"file": 1}
    [(line, record, [failure], key, status)] = warehouse.letters()
    assert (line, record, failure["rule"], key, status) == (0, "", "file", None, "open")
    assert "b.csv is read as CSV and looks like a zip archive" in failure["why"]
    assert warehouse.one("SELECT source FROM sluicegate.dead_letters").endswith("in/b.csv")


def test_a_mended_file_is_loaded_by_the_next_run(warehouse: Any) -> None:
    warehouse.file("in/a.csv", "id\n1\n")
    warehouse.file("in/b.csv", b"\x1f\x8b broken")
    warehouse.load(f"{warehouse.folder}/in/", **SKIPS)
    assert warehouse.load(f"{warehouse.folder}/in/", **SKIPS).status == "skipped"
    warehouse.file("in/b.csv", "id\n2\n")
    report = warehouse.load(f"{warehouse.folder}/in/", **SKIPS)
    assert (report.counts.inserted, report.counts.unchanged, report.counts.dead) == (1, 1, 0)
    assert report.resolved == 1
    assert [letter[-1] for letter in warehouse.letters()] == ["resolved"]


def test_a_bad_file_is_resolved_by_no_other_file_and_not_while_it_stays_bad(warehouse: Any) -> None:
    for name in ("a", "b"):
        warehouse.file(f"in/{name}.csv", b"\x1f\x8b broken")
    warehouse.file("in/c.csv", "id\n1\n")
    warehouse.load(f"{warehouse.folder}/in/", **{**SKIPS, "max_dead": "100%"})
    warehouse.file("in/a.csv", b"\x1f\x8b still broken")
    warehouse.file("in/b.csv", "id\n2\n")
    report = warehouse.load(f"{warehouse.folder}/in/", **{**SKIPS, "max_dead": "100%"})
    assert report.resolved == 1
    states = "SELECT right(source, 5), status, count(*) FROM sluicegate.dead_letters GROUP BY 1, 2 ORDER BY 1"
    assert warehouse.rows(states) == [("a.csv", "open", 2), ("b.csv", "resolved", 1)]
    warehouse.file("in/a.csv", "id\n3\n")
    assert warehouse.load(f"{warehouse.folder}/in/", **SKIPS).resolved == 2
    assert warehouse.one("SELECT count(*) FROM sluicegate.dead_letters WHERE status = 'open'") == 0


def test_a_file_with_other_columns_than_the_table_is_a_bad_one(warehouse: Any) -> None:
    warehouse.file("in/a.csv", "id,n\n1,x\n")
    warehouse.load(f"{warehouse.folder}/in/", **SKIPS)
    warehouse.file("in/b.csv", "id,n,more\n2,x,y\n")
    warehouse.file("in/c.csv", "ident,n\n3,x\n")
    warehouse.file("in/d.csv", "")
    report = warehouse.load(f"{warehouse.folder}/in/", **SKIPS)
    assert (report.counts.unchanged, report.counts.dead) == (1, 2)
    why = [failures[0]["why"] for _, _, failures, _, _ in warehouse.letters()]
    assert "has no column 'more'" in why[0]
    assert "no column 'id'" in why[1]


def test_nothing_of_a_file_that_turns_out_damaged_half_way_is_loaded(warehouse: Any) -> None:
    for name, start in (("a", 0), ("b", 1_000_000)):
        table = pa.table({"id": pa.array(range(start, start + 200_000), pa.int32())})
        path = warehouse.file(f"in/{name}.parquet", "")
        pq.write_table(table, path, row_group_size=20_000, compression="zstd")
    damaged = Path(warehouse.folder / "in/b.parquet")
    content = bytearray(damaged.read_bytes())
    half, most = len(content) // 2, len(content) * 3 // 4
    content[half:most] = b"\xff" * (most - half)
    damaged.write_bytes(content)
    report = warehouse.load(f"{warehouse.folder}/in/", **SKIPS)
    assert (report.counts.inserted, report.counts.dead) == (200_000, 1)
    assert warehouse.one("SELECT max(id) FROM t") == 199_999


def test_a_bad_file_counts_as_one_record_against_the_maximum(warehouse: Any) -> None:
    for name in ("a", "b"):
        warehouse.file(f"in/{name}.csv", b"\x1f\x8b broken")
    assert warehouse.fails(f"{warehouse.folder}/in/", max_dead="50%", **SKIPS).code == "TOO_MANY_DEAD_LETTERS"
    warehouse.file("in/c.csv", "id\n1\n2\n3\n")
    assert warehouse.fails(f"{warehouse.folder}/in/", max_dead=1, **SKIPS).code == "TOO_MANY_DEAD_LETTERS"
    assert warehouse.load(f"{warehouse.folder}/in/", max_dead="50%", **SKIPS).counts.dead == 2


def test_appending_cannot_set_files_aside(warehouse: Any) -> None:
    with pytest.raises(Exception, match="a second time"):
        warehouse.request("x.csv", mode="append", skip_bad_files=True)

"""Any sequence of dirty files, merged, leaves what a plain model of a merge leaves, and every count balances."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

IDS = st.sampled_from(["1", "2", "3", "4", "x", ""])
VALUES = st.sampled_from(["a", "b", 'q"', "two\nlines", "c,d", ""])
VERSIONS = st.sampled_from(["", "0", "1", "2", "1.5", "y"])
FILES = st.lists(st.lists(st.tuples(IDS, VALUES, VERSIONS), max_size=8), min_size=1, max_size=4)
COLUMNS = {"id": "integer", "v": "text", "at": "integer"}


def is_dead(record: tuple[str, str, str]) -> bool:
    return record[0] in {"x", ""} or record[2] in {"1.5", "y"}


def merged(files: list[list[tuple[str, str, str]]], newest_by: bool) -> dict[int, tuple[str | None, int | None]]:
    """What the table holds in the end. A file like the one before it is a ledger hit: no change either way."""
    table: dict[int, tuple[str | None, int | None]] = {}
    for records in files:
        batch: dict[int, tuple[str | None, int | None]] = {}
        for record in records:
            if is_dead(record):
                continue
            key, new = int(record[0]), (record[1] or None, int(record[2]) if record[2] else None)
            if key not in batch or not newest_by or rank(new) >= rank(batch[key]):
                batch[key] = new
        for key, new in batch.items():
            if key not in table or not newest_by or rank(new) >= rank(table[key]):
                table[key] = new
    return table


def rank(row: tuple[str | None, int | None]) -> tuple[bool, int]:
    return (row[1] is not None, row[1] or 0)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=FILES, newest_by=st.booleans(), packed=st.booleans())
def test_the_table_is_what_a_model_of_a_merge_says(warehouse: Any, files: Any, newest_by: bool, packed: bool) -> None:
    warehouse.rows("DROP TABLE IF EXISTS t")
    warehouse.rows("DROP SCHEMA IF EXISTS sluicegate CASCADE")
    for records in files:
        path: Path = warehouse.csv("m.csv", list(COLUMNS), records)
        if packed:
            import gzip

            path = warehouse.file("m.csv.gz", gzip.compress(path.read_bytes(), mtime=0))
        report = warehouse.load(path, key="id", columns=COLUMNS, newest_by="at" if newest_by else None)
        assert report.counts.balanced
        assert report.counts.read == len(records)
        assert report.counts.dead == sum(map(is_dead, records))
    expected = merged(files, newest_by)
    assert {row[0]: row[1:] for row in warehouse.rows("SELECT id, v, at FROM t")} == expected

"""The memory of a load does not grow with its records, nor with the loads that a process has done before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux: it reads /proc")


def peaks(warehouse: Any, rows: int, often: int) -> list[float]:
    path = warehouse.folder / f"{rows}.csv"
    duckdb.execute(
        f"COPY (SELECT i AS id, i % 1000 AS n, (i % 99999) / 100 AS price, 'item ' || i % 5000 AS item, "
        f"TIMESTAMP '2024-01-01' + INTERVAL (i) SECOND AS at, repeat('note ', 8) || i AS note "
        f"FROM range({rows}) t(i) ORDER BY hash(i)) TO '{path}' (FORMAT csv, HEADER)"
    )
    return filled(warehouse, path, often)


def filled(warehouse: Any, path: Path, often: int) -> list[float]:
    """The peak memory after each of so many loads of `path` in one process, in MB."""
    script = Path(__file__).with_name("filling.py")
    command = [sys.executable, script, warehouse.conninfo, path, str(often)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [float(line) for line in done.stdout.splitlines()]


def test_twice_the_records_take_no_more_memory(warehouse: Any) -> None:
    [few], [many] = peaks(warehouse, 800_000, 1), peaks(warehouse, 1_600_000, 1)
    more = (warehouse.folder / "1600000.csv").stat().st_size - (warehouse.folder / "800000.csv").stat().st_size
    # An allocator's peak wanders by some 20 MB. What a load kept of each record would be more than its line.
    assert many - few < more / 2**20
    assert many < 400


@pytest.mark.parametrize(("bytes_", "form"), [(2_000, "csv"), (60_000, "csv"), (200_000, "json")])
def test_long_records_take_no_more_memory(warehouse: Any, bytes_: int, form: str) -> None:
    path = warehouse.folder / f"long.{form}{'l' if form == 'json' else ''}"
    rows = 200_000_000 // bytes_
    duckdb.execute(
        f"COPY (SELECT i AS id, i % 1000 AS n, 1.5 AS price, 'item' AS item, TIMESTAMP '2024-01-01' AS at, "
        f"repeat('long ', {bytes_ // 5}) || i AS note FROM range({rows}) t(i) ORDER BY hash(i)) "
        f"TO '{path}' (FORMAT {form})"
    )
    assert max(filled(warehouse, path, 2)) < 450
    whole = f"length(note) >= {bytes_} AND note LIKE '%long ' || id"
    [(found,)] = warehouse.rows(f"SELECT count(*) FROM filled WHERE {whole}")
    assert found == rows


def test_ten_loads_in_one_process_take_no_more_than_two(warehouse: Any) -> None:
    _, second, *rest = peaks(warehouse, 60_000, 10)
    # An allocator's peak wanders by some 20 MB. The file has 6 MB: what a load left behind would show eight times.
    assert rest[-1] - second < len(rest) * 4

"""Many small files: a load for each, loads of a hundred in a folder, and raw COPY of each file: milliseconds a file.

    python benchmarks/load/small_files.py [--files 5000] [--rows 200]

In turns, a hundred files at a time, in one process. The target is 20 ms a file.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import duckdb
import psycopg

sys.path.insert(0, str(Path(__file__).parents[1]))

from load.measure.data import CHECKS, COLUMNS, CREATE, write
from load.measure.one import peak_memory

from sluicegate.load.load import load
from sluicegate.load.request import LoadRequest
from sluicegate.local.stack.scratch import scratch_postgres
from sluicegate.storage import Storage
from sluicegate.targets.postgres.target import PostgresTarget

_TURN = 100


def split(folder: Path, files: int, rows: int) -> list[Path]:
    write(folder, files * rows)
    header, *lines = (folder / "rows.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    paths = []
    for number in range(files):
        paths.append(folder / str(number // _TURN) / f"{number:05}.csv")
        paths[-1].parent.mkdir(exist_ok=True)
        paths[-1].write_text(header + "".join(lines[number * rows : (number + 1) * rows]), encoding="utf-8")
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=5_000)
    parser.add_argument("--rows", type=int, default=200)
    words = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = f"{stack.enter_context(scratch_postgres(folder / 'server'))} dbname=postgres"
        paths = split(folder, words.files, words.rows)
        connection = stack.enter_context(psycopg.connect(url, autocommit=True))
        for table in ("bench_raw", "bench_load", "bench_folder"):
            connection.execute(CREATE.format(table))
        seconds = {"a load each": 0.0, "a folder of 100": 0.0, "raw COPY": 0.0}

        def bring(source: str, table: str) -> None:
            request = LoadRequest(
                sources=(source,), table=table, key=("id",), newest_by="updated_at", columns=COLUMNS, checks=CHECKS
            )
            load(request, Storage(), PostgresTarget(url, table))

        def each(some: list[Path]) -> None:
            for path in some:
                bring(str(path), "bench_load")

        def folder_of(some: list[Path]) -> None:
            bring(f"{some[0].parent}/", "bench_folder")

        def copy(some: list[Path]) -> None:
            for path in some:
                with (
                    connection.cursor() as cursor,
                    cursor.copy("COPY bench_raw FROM STDIN (FORMAT csv, HEADER)") as sink,
                ):
                    sink.write(path.read_bytes())

        for start in range(0, len(paths), _TURN):
            for name, way in zip(seconds, (each, folder_of, copy), strict=True):
                began = time.perf_counter()
                way(paths[start : start + _TURN])
                seconds[name] += time.perf_counter() - began
        print(f"{words.files:,} files of {words.rows} rows, DuckDB {duckdb.__version__}")
        for name, all_ in seconds.items():
            print(f"{name:16}{1000 * all_ / words.files:8.1f} ms a file")
        print(f"peak memory {peak_memory():.0f} MB")


if __name__ == "__main__":
    main()

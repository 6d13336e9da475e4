"""One thing that is measured, in this process: prints its seconds and its peak memory as JSON.

    python -m load.measure.one copy|binary|load|pyarrow|parquet URL FILE [--into FOLDER] [--force]

What it imports is not counted in the seconds, and is in the memory.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path


def raw_copy(url: str, path: Path, form: str) -> Callable[[], object]:
    import psycopg

    def work() -> None:
        with (
            psycopg.connect(url) as connection,
            connection.cursor() as cursor,
            path.open("rb") as file,
            cursor.copy(f"COPY bench_raw FROM STDIN ({form})") as sink,
        ):
            while chunk := file.read(1 << 18):
                sink.write(chunk)

    return work


def a_load(url: str, path: Path, *, force: bool) -> Callable[[], object]:
    import arro3.core
    import duckdb
    import pgpq
    from load.measure.data import CHECKS, COLUMNS

    from sluicegate.load.load import load
    from sluicegate.load.request import LoadRequest
    from sluicegate.storage import Storage
    from sluicegate.targets.postgres.target import PostgresTarget

    del arro3, duckdb, pgpq
    request = LoadRequest(
        sources=(str(path),), table="bench_load", key=("id",), newest_by="updated_at", columns=COLUMNS, checks=CHECKS,
        force=force,
    )  # fmt: skip
    return lambda: load(request, Storage(), PostgresTarget(url, "bench_load"))


def pyarrow_write(path: Path, into: Path) -> Callable[[], object]:
    """The same table by pyarrow alone: read, sorted by its key, written with the same settings."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from load.measure.data import ARROW
    from pyarrow import csv

    types = {name: pa.type_for_alias(alias) for name, alias in ARROW.items()}
    types["price"] = pa.decimal128(18, 2)
    options = csv.ConvertOptions(column_types=types, strings_can_be_null=True)

    def work() -> None:
        table = csv.read_csv(path, convert_options=options)
        at = table.schema.get_field_index("updated_at")
        table = table.set_column(at, "updated_at", table["updated_at"].cast(pa.timestamp("us", "UTC"))).sort_by("id")
        pq.write_table(table, into / "part-0.parquet", compression="zstd", row_group_size=65_536)

    return work


def a_parquet_load(url: str, path: Path, into: Path, memory: str, *, force: bool) -> Callable[[], object]:
    import duckdb
    import pyarrow.parquet as pq
    from load.measure.data import CHECKS, COLUMNS

    from sluicegate.load.load import load
    from sluicegate.load.request import LoadRequest
    from sluicegate.storage import Storage
    from sluicegate.targets.parquet.target import ParquetTarget

    del duckdb, pq
    request = LoadRequest(
        sources=(str(path),), table=str(into), key=("id",), newest_by="updated_at", columns=COLUMNS, checks=CHECKS,
        force=force, memory_limit=memory,
    )  # fmt: skip
    return lambda: load(request, Storage(), ParquetTarget(f"{into}/", url, memory_limit=memory))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("copy", "binary", "load", "pyarrow", "parquet"))
    parser.add_argument("url")
    parser.add_argument("file", type=Path)
    parser.add_argument("--into", type=Path, default=Path())
    parser.add_argument("--memory", default="150MB")
    parser.add_argument("--force", action="store_true")
    parser.add_argument("--log", action="store_true")
    words = parser.parse_args()
    if words.log:
        import logging

        logging.basicConfig(level=logging.DEBUG, format="%(relativeCreated)d %(name)s %(message)s")
    works: dict[str, Callable[[], Callable[[], object]]] = {
        "copy": lambda: raw_copy(words.url, words.file, "FORMAT csv, HEADER"),
        "binary": lambda: raw_copy(words.url, words.file, "FORMAT binary"),
        "load": lambda: a_load(words.url, words.file, force=words.force),
        "pyarrow": lambda: pyarrow_write(words.file, words.into),
        "parquet": lambda: a_parquet_load(words.url, words.file, words.into, words.memory, force=words.force),
    }
    work = works[words.what]()
    began = time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "mb": peak_memory()}))


def peak_memory() -> float:
    """In MB. Not `ru_maxrss`, which a process inherits from the one that started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


if __name__ == "__main__":
    main()

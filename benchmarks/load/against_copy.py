"""A load against raw COPY of the same unsorted file into the same keyed table, in turns: prints seconds and ratios.

    python benchmarks/load/against_copy.py --rows 1000000 --rounds 3 [postgresql://user@host/scratch]

Without a database one is started for the time. It is written to (tables `bench_*`, schema `sluicegate`). COPY is
given a clean file: it can neither cast, check, dedupe nor be repeated, which the load does.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import duckdb
import psycopg

from sluicegate.load.load import load
from sluicegate.load.request import LoadRequest
from sluicegate.local.stack.scratch import scratch_postgres
from sluicegate.pipeline.keys.model import Check, Column
from sluicegate.storage import Storage
from sluicegate.targets.postgres.target import PostgresTarget

TYPES = {
    "id": "bigint", "customer": "integer", "qty": "integer", "price": "numeric(18,2)", "item": "text", "code": "text",
    "updated_at": "timestamptz", "day": "date", "score": "double precision", "note": "text",
}  # fmt: skip
COLUMNS = {name: Column(type=type_) for name, type_ in TYPES.items()} | {
    "qty": Column(type="integer", required=True, between=(0, 100)),
    "code": Column(type="text", required=True, matches="^[A-Z]{2}$"),
    "price": Column(type="numeric(18,2)", required=True, between=(0, 1000)),
}
CHECKS = (Check(expectation="expect_column_values_to_not_be_null", kwargs={"column": "updated_at"}),)
CREATE = f"CREATE TABLE {{}} ({', '.join(f'{name} {type_}' for name, type_ in TYPES.items())}, PRIMARY KEY (id))"


def write(path: Path, rows: int) -> None:
    duckdb.execute(
        f"COPY (SELECT i AS id, i % 1000 AS customer, (i * 7) % 100 AS qty, (i % 99999) / 100 AS price, "
        f"'item ' || i % 5000 AS item, chr(65 + (i % 26)::INT) || 'A' AS code, "
        f"TIMESTAMP '2024-01-01' + INTERVAL (i) SECOND AS updated_at, DATE '2024-01-01' + (i % 365)::INT AS day, "
        f"i / 7 AS score, CASE WHEN i % 10 > 0 THEN 'note ' || i END AS note FROM range({rows}) t(i) ORDER BY hash(i)) "
        f"TO '{path}' (FORMAT csv, HEADER)"
    )


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", nargs="?")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    words = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = words.url or f"{stack.enter_context(scratch_postgres(folder / 'server'))} dbname=postgres"
        compare(url, folder, words.rows, words.rounds)


def compare(url: str, folder: Path, rows: int, rounds: int) -> None:
    seconds: dict[str, list[float]] = {
        "raw COPY": [],
        "load, empty target": [],
        "load, same rows again": [],
        "ledger hit": [],
    }
    with psycopg.connect(url, autocommit=True) as connection:
        path = folder / "rows.csv"
        write(path, rows)

        def copy() -> None:
            statement = "COPY bench_raw FROM STDIN (FORMAT csv, HEADER)"
            with connection.cursor() as cursor, path.open("rb") as file, cursor.copy(statement) as sink:
                while chunk := file.read(1 << 18):
                    sink.write(chunk)

        def bring(force: bool) -> None:
            request = LoadRequest(
                sources=(str(path),),
                table="bench_load",
                key=("id",),
                newest_by="updated_at",
                columns=COLUMNS,
                checks=CHECKS,
                force=force,
            )
            load(request, Storage(), PostgresTarget(url, "bench_load"))

        for _ in range(rounds):
            for table in ("bench_raw", "bench_load"):
                connection.execute(f"DROP TABLE IF EXISTS {table}")
                connection.execute(CREATE.format(table))
            connection.execute("CHECKPOINT")
            seconds["raw COPY"].append(timed(copy))
            connection.execute("CHECKPOINT")
            seconds["load, empty target"].append(timed(lambda: bring(True)))
            seconds["load, same rows again"].append(timed(lambda: bring(True)))
            seconds["ledger hit"].append(timed(lambda: bring(False)))
        connection.execute("DROP TABLE bench_raw, bench_load")
    base = statistics.median(seconds["raw COPY"])
    print(f"{rows:,} rows of {len(TYPES)} columns, {rounds} rounds")
    for name, some in seconds.items():
        middle = statistics.median(some)
        print(f"{name:24}{middle:8.2f} s {middle / base:6.2f} x   ({', '.join(f'{each:.2f}' for each in some)})")
    print(f"client's memory at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()

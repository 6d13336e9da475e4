"""One peer's load of a CSV file into Postgres, in this process: prints its seconds and its peak memory as JSON.

    python peers.py dlt|insert_rows|insert_rows_10000 URL FILE

Runs with the peer's own Python and imports nothing of ours. dlt is given what it is quickest with: Arrow tables, its
Parquet file format and the merge strategy `upsert`, and writes into its own table. `insert_rows` is Airflow's hook, as
it is or with a commit each 10,000 rows.
"""

from __future__ import annotations

import csv
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

COLUMNS = ["id", "customer", "qty", "price", "item", "code", "updated_at", "day", "score", "note"]


def by_dlt(url: str, path: Path) -> Callable[[], object]:
    os.environ |= {
        "RUNTIME__DLTHUB_TELEMETRY": "false", "DESTINATION__POSTGRES__CREDENTIALS": url,
        "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true", "RUNTIME__LOG_LEVEL": "ERROR",
    }  # fmt: skip
    import dlt  # type: ignore[import-not-found]
    import pyarrow as pa
    from pyarrow import csv as pa_csv

    types = {"price": pa.decimal128(18, 2), "updated_at": pa.timestamp("us"), "day": pa.date32()}

    def work() -> None:
        table = pa_csv.read_csv(path, convert_options=pa_csv.ConvertOptions(column_types=types))
        folder = str(path.parent / "dlt")
        pipeline = dlt.pipeline("bench", pipelines_dir=folder, destination="postgres", dataset_name="bench_dlt")
        resource = dlt.resource(
            table, name="rows", primary_key="id", write_disposition={"disposition": "merge", "strategy": "upsert"}
        )
        pipeline.run(resource, loader_file_format="parquet")

    return work


def by_insert_rows(url: str, path: Path, **words: int) -> Callable[[], object]:
    os.environ["AIRFLOW_CONN_BENCH"] = url
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    def work() -> None:
        with path.open(newline="") as file:
            rows = csv.reader(file)
            next(rows)
            records = ([value if value != "" else None for value in row] for row in rows)
            hook = PostgresHook("bench")
            hook.insert_rows("bench_rows", records, COLUMNS, replace=True, replace_index="id", **words)

    return work


def main() -> None:
    what, url, path = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    works = {
        "dlt": by_dlt,
        "insert_rows": by_insert_rows,
        "insert_rows_10000": lambda url, path: by_insert_rows(url, path, commit_every=10_000),
    }
    work = works[what](url, path)
    began = time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024
    print(json.dumps({"seconds": seconds, "mb": peak}))


if __name__ == "__main__":
    main()

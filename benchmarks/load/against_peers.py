"""Merges of one file against those of dlt and of Airflow's `insert_rows`, in turns: seconds, ratios, memory.

    python benchmarks/load/against_peers.py [--rows 300000] [--rounds 3] [--write]

Each is a process of its own; the file is merged into an empty table, and once more. Ours also runs eight checks and
keeps a ledger. `insert_rows` is measured as it is called, and with a commit each 10,000 rows, which is quicker. dlt is
installed below `.bench/` once. The last line is no load: the server takes the records, read, checked, sorted and
encoded before, by one binary COPY, and no load that does this in one transaction can be quicker.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).parents[1]))

from factory.measure.environments import NotInstalledError, environment
from factory.measure.page import facts, write_section
from load.against_copy import Figures, measure
from load.measure.data import CREATE, write

from sluicegate.local.stack.scratch import scratch_postgres

DLT = "dlt[postgres,parquet]==1.31.0"
TARGETS = {"dlt": 3.0, "insert_rows": 10.0, "insert_rows_10000": 10.0}
TABLES = {"ours": "bench_load", "insert_rows": "bench_rows", "insert_rows_10000": "bench_rows"}
SAID = {
    "ours": "a load", "dlt": "dlt, Arrow, Parquet, `upsert`", "insert_rows": "`insert_rows(replace=True)`",
    "insert_rows_10000": "`insert_rows(replace=True, commit_every=10_000)`", "floor": "the server's COPY alone",
}  # fmt: skip


def peer(python: Path, *words: str | Path) -> dict[str, float]:
    script = Path(__file__).parent / "measure" / "peers.py"
    done = subprocess.run([python, script, *map(str, words)], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def compare(port: str, folder: Path, rounds: int, pythons: dict[str, Path]) -> Figures:
    url = f"postgresql://postgres:none@127.0.0.1:{port}/postgres"
    path = folder / "rows.csv"
    figures: Figures = {f"{name}, {when}": [] for name in ("ours", *pythons) for when in ("empty", "again")}
    figures["floor, empty"] = []
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(rounds):
            for name in ("ours", *pythons):
                connection.execute("DROP SCHEMA IF EXISTS bench_dlt, bench_dlt_staging CASCADE")
                if name in TABLES:
                    connection.execute(f"DROP TABLE IF EXISTS {TABLES[name]}")
                    connection.execute(CREATE.format(TABLES[name]))
                for when in ("empty", "again"):
                    connection.execute("CHECKPOINT")
                    done = (
                        measure("load", url, path, "--force")
                        if name == "ours"
                        else peer(pythons[name], name, url, path)
                    )
                    figures[f"{name}, {when}"].append(done)
                    if name == "ours" and when == "empty":
                        figures["floor, empty"].append(floor(connection, url, folder / "sorted"))
    return figures


def floor(connection: psycopg.Connection[tuple[object, ...]], url: str, path: Path) -> dict[str, float]:
    """The COPY of what a load has just brought, as the server writes it itself."""
    with (
        path.open("wb") as file,
        connection.cursor() as cursor,
        cursor.copy(f"COPY (SELECT * FROM {TABLES['ours']} ORDER BY id) TO STDOUT (FORMAT binary)") as source,
    ):
        for chunk in source:
            file.write(chunk)
    connection.execute("DROP TABLE IF EXISTS bench_raw")
    connection.execute(CREATE.format("bench_raw"))
    connection.execute("CHECKPOINT")
    return measure("binary", url, path)


def table(figures: Figures, rows: int, rounds: int) -> str:
    middle = {name: statistics.median(one["seconds"] for one in some) for name, some in figures.items()}
    lines = [
        f"#### {rows:,} rows of 10 columns, {rounds} rounds",
        "",
        "| | into | seconds | x a load | target | peak memory, MB |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for name, some in figures.items():
        contender, _, when = name.partition(", ")
        ratio = middle[name] / middle[f"ours, {when}"]
        target = f"{TARGETS[contender]:.0f}" if contender in TARGETS else ""
        into = "an empty table" if when == "empty" else "the same rows"
        peak = max(one["mb"] for one in some)
        lines.append(f"| {SAID[contender]} | {into} | {middle[name]:.2f} | {ratio:.1f} | {target} | {peak:.0f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="the table into docs/benchmarks.md")
    words = parser.parse_args()
    pythons = {"insert_rows": Path(sys.executable), "insert_rows_10000": Path(sys.executable)}
    try:
        pythons["dlt"] = environment(DLT)
    except NotInstalledError as error:
        print(f"without dlt: {error}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        conninfo = stack.enter_context(scratch_postgres(folder / "server"))
        port = dict(word.split("=") for word in conninfo.split())["port"]
        write(folder, words.rows)
        text = table(compare(port, folder, words.rounds, pythons), words.rows, words.rounds)
    print(text)
    if words.write:
        write_section("load peers", f"{facts()}\n\n{text}")


if __name__ == "__main__":
    main()

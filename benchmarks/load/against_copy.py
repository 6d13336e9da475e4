"""Loads against raw COPY of the same unsorted file into the same keyed table, in turns: seconds, ratios, memory.

    python benchmarks/load/against_copy.py [--rows 1000000] [--rounds 3] [--write] [postgresql://user@host/scratch]

Each is a process of its own. Without a database one is started for the time; a given one is written to (tables
`bench_*`, schema `sluicegate`). COPY is given a clean file: it can neither cast, check, dedupe nor be repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).parents[1]))

from factory.measure.page import facts, write_section
from load.measure.data import CREATE, TYPES, write

from sluicegate.local.stack.scratch import scratch_postgres

Figures = dict[str, list[dict[str, float]]]
TARGETS = {
    "empty table": 0.8, "the same rows again": 1.0, "a tenth newer": 1.0, "all newer": 1.9, "ledger hit": 0.05,
}  # fmt: skip


def measure(*words: str | Path) -> dict[str, float]:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-m", "load.measure.one", *map(str, words)]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def compare(url: str, folder: Path, rounds: int) -> Figures:
    figures: Figures = {name: [] for name in ("raw COPY", *TARGETS)}
    with psycopg.connect(url, autocommit=True) as connection:

        def fresh(table: str) -> None:
            connection.execute(f"DROP TABLE IF EXISTS {table}")
            connection.execute(CREATE.format(table))
            connection.execute("CHECKPOINT")

        def note(name: str, *words: str | Path) -> None:
            figures[name].append(measure(*words))
            connection.execute("CHECKPOINT")

        for _ in range(rounds):
            fresh("bench_raw")
            note("raw COPY", "copy", url, folder / "rows.csv")
            fresh("bench_load")
            note("empty table", "load", url, folder / "rows.csv", "--force")
            note("ledger hit", "load", url, folder / "rows.csv")
            note("the same rows again", "load", url, folder / "rows.csv", "--force")
            note("a tenth newer", "load", url, folder / "tenth.csv", "--force")
            fresh("bench_load")
            measure("load", url, folder / "rows.csv", "--force")
            connection.execute("CHECKPOINT")
            note("all newer", "load", url, folder / "newer.csv", "--force")
        connection.execute("DROP TABLE bench_raw, bench_load")
    return figures


def table(figures: Figures, rows: int, rounds: int) -> str:
    base = statistics.median(one["seconds"] for one in figures["raw COPY"])
    lines = [
        f"#### {rows:,} rows of {len(TYPES)} columns, {rounds} rounds",
        "",
        "| | seconds | x raw COPY | target | peak memory, MB |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, some in figures.items():
        middle = statistics.median(one["seconds"] for one in some)
        target = f"{TARGETS[name]:.2f}" if name in TARGETS else ""
        peak = max(one["mb"] for one in some)
        lines.append(f"| {name} | {middle:.2f} | {middle / base:.2f} | {target} | {peak:.0f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", nargs="?")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="the table into docs/benchmarks.md")
    words = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = words.url or f"{stack.enter_context(scratch_postgres(folder / 'server'))} dbname=postgres"
        write(folder, words.rows)
        text = table(compare(url, folder, words.rounds), words.rows, words.rounds)
    print(text)
    if words.write:
        write_section("loads", f"{facts()}\n\n{text}")


if __name__ == "__main__":
    main()

"""Loads into a folder of Parquet files against pyarrow that writes the same table, in turns: seconds, ratios, memory.

    python benchmarks/load/parquet.py [--rows 1000000] [--rounds 3]

Each is a process of its own. pyarrow reads a clean file, sorts it by its key and writes it with the same settings: it
can neither check, set aside, merge nor be repeated. The ledger is in a Postgres that is started for the time. With
150 MB the stage of a million records goes to disk; pyarrow has them all in memory.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from load.measure.data import TYPES, write

from sluicegate.local.stack.scratch import scratch_postgres

Figures = dict[str, list[dict[str, float]]]
ROOM = "200MB"
TARGETS = {f"no table yet, {ROOM}": 1.5}
WRITTEN = "pyarrow writes the table"


def measure(*words: str | Path) -> dict[str, float]:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-m", "load.measure.one", *map(str, words)]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def compare(url: str, folder: Path, rounds: int) -> Figures:
    first = ("no table yet", f"no table yet, {ROOM}")
    names = (WRITTEN, *first, "ledger hit", "the same rows again", "a tenth newer", "all newer")
    figures: Figures = {name: [] for name in names}
    plain, lake = folder / "plain", folder / "lake"
    for _ in range(rounds):
        for each in (plain, lake):
            shutil.rmtree(each, ignore_errors=True)
            each.mkdir()

        def loaded(name: str, file: str, *more: str) -> None:
            figures[name].append(measure("parquet", url, folder / file, "--into", lake, *more))

        figures[WRITTEN].append(measure("pyarrow", url, folder / "rows.csv", "--into", plain))
        loaded(first[0], "rows.csv", "--force")
        shutil.rmtree(lake)
        loaded(first[1], "rows.csv", "--force", "--memory", ROOM)
        loaded("ledger hit", "rows.csv")
        loaded("the same rows again", "rows.csv", "--force")
        loaded("a tenth newer", "tenth.csv", "--force")
        loaded("all newer", "newer.csv", "--force")
    return figures


def show(figures: Figures, rows: int, rounds: int) -> None:
    base = statistics.median(one["seconds"] for one in figures[WRITTEN])
    print(f"{rows:,} rows of {len(TYPES)} columns, {rounds} rounds")
    print(f"{'':26}{'seconds':>9}{'x pyarrow':>11}{'target':>8}{'MB':>6}")
    for name, some in figures.items():
        middle = statistics.median(one["seconds"] for one in some)
        target = f"{TARGETS[name]:8.2f}" if name in TARGETS else " " * 8
        each = ", ".join(f"{one['seconds']:.2f}" for one in some)
        print(f"{name:26}{middle:9.2f}{middle / base:11.2f}{target}{max(one['mb'] for one in some):6.0f}   ({each})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    words = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = f"{stack.enter_context(scratch_postgres(folder / 'server'))} dbname=postgres"
        write(folder, words.rows)
        show(compare(url, folder, words.rounds), words.rows, words.rounds)


if __name__ == "__main__":
    main()

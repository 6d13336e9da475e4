"""Many small files: a load for each, loads of a hundred in a folder, and raw COPY of each file: milliseconds a file.

    python benchmarks/load/small_files.py [--files 5000] [--rows 200] [--write]

In turns, a hundred files at a time, in one process, which makes nothing else. The target is 20 ms a file.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).parents[1]))

from factory.measure.page import facts, write_section
from load.measure.data import CHECKS, COLUMNS, CREATE, write

from sluicegate.load.load import load
from sluicegate.load.request import LoadRequest
from sluicegate.local.stack.scratch import scratch_postgres
from sluicegate.storage import Storage
from sluicegate.targets.postgres.target import PostgresTarget

_TURN = 100
_TARGETS = {"a load each": "20"}


def split(folder: Path, files: int, rows: int) -> None:
    write(folder, files * rows)
    header, *lines = (folder / "rows.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    for number in range(files):
        path = folder / f"{number // _TURN:03}" / f"{number:05}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(header + "".join(lines[number * rows : (number + 1) * rows]), encoding="utf-8")


def memory() -> float:
    """What this process holds now, in MB."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1e3


class Contest:
    """The ways to load files, each into a table of its own."""

    def __init__(self, url: str, connection: psycopg.Connection) -> None:
        self._url, self._connection = url, connection
        self.ways = {"a load each": self._each, "a folder of 100": self._folder, "raw COPY": self._copy}
        for table in ("bench_raw", "bench_load", "bench_folder"):
            connection.execute(CREATE.format(table))

    def _bring(self, source: str, table: str) -> None:
        request = LoadRequest(
            sources=(source,), table=table, key=("id",), newest_by="updated_at", columns=COLUMNS, checks=CHECKS
        )
        load(request, Storage(), PostgresTarget(self._url, table))

    def _each(self, some: list[Path]) -> None:
        for path in some:
            self._bring(str(path), "bench_load")

    def _folder(self, some: list[Path]) -> None:
        self._bring(f"{some[0].parent}/", "bench_folder")

    def _copy(self, some: list[Path]) -> None:
        for path in some:
            with (
                self._connection.cursor() as cursor,
                cursor.copy("COPY bench_raw FROM STDIN (FORMAT csv, HEADER)") as sink,
            ):
                sink.write(path.read_bytes())


def table(seconds: dict[str, list[float]], held: list[float], files: int, rows: int) -> str:
    lines = [
        f"#### {files:,} files of {rows} rows, {_TURN} at a time",
        "",
        "| | ms a file, all | median of the turns | first turn | last turn | target |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, turns in seconds.items():
        all_ = 1000 * sum(turns) / files
        some = (1000 * one / _TURN for one in (statistics.median(turns), turns[0], turns[-1]))
        lines.append(f"| {name} | {all_:.1f} | {' | '.join(f'{one:.1f}' for one in some)} | {_TARGETS.get(name, '')} |")
    tenth = held[(len(held) - 1) // 10]
    return "\n".join(
        [*lines, "", f"The process held {tenth:.0f} MB after a tenth of the files, {held[-1]:.0f} MB in the end."]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=5_000)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--write", action="store_true", help="the table into docs/benchmarks.md")
    words = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = f"{stack.enter_context(scratch_postgres(folder / 'server'))} dbname=postgres"
        (files := folder / "files").mkdir()
        # What making the files takes of memory is not to be in this process.
        maker = multiprocessing.get_context("spawn").Process(target=split, args=(files, words.files, words.rows))
        maker.start()
        maker.join()
        paths = sorted(files.glob("*/*.csv"))
        contest = Contest(url, stack.enter_context(psycopg.connect(url, autocommit=True)))
        seconds: dict[str, list[float]] = {name: [] for name in contest.ways}
        held = []
        for start in range(0, len(paths), _TURN):
            for name, way in contest.ways.items():
                began = time.perf_counter()
                way(paths[start : start + _TURN])
                seconds[name].append(time.perf_counter() - began)
            held.append(memory())
        text = table(seconds, held, words.files, words.rows)
    print(text)
    if words.write:
        write_section("small files", f"{facts()}\n\n{text}")


if __name__ == "__main__":
    main()

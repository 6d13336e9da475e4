"""The real dag-processor over N pipelines: one pass, a changed file, idle minutes. Takes minutes, and both processors.

    python benchmarks/factory/processor.py [--pipelines 1000] [--idle-minutes 10] [--write]

Starts a Postgres of its own and, one after the other, an `airflow dag-processor` for each way to lay the pipelines
out; all of it ends with the script. What is measured stands in `docs/benchmarks.md`.
"""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from measure.contenders import BARE, OURS
from measure.dag_processor import Database, Processor, migrated
from measure.environments import BENCH
from measure.layouts import LAYOUTS, Layout
from measure.page import facts, write_section
from measure.tables import table
from measure.workload import pipelines

from sluicegate.local.stack.scratch import scratch_postgres


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pipelines", type=int, default=100)
    parser.add_argument("--idle-minutes", type=float, default=1.0)
    parser.add_argument("--changes", type=int, default=3, help="how often a file is changed")
    parser.add_argument("--write", action="store_true", help="the tables into docs/benchmarks.md")
    words = parser.parse_args()
    began = time.monotonic()
    BENCH.mkdir(exist_ok=True)
    with ExitStack() as stack:
        # A folder of its own: another run at the same time must not take it away.
        home = Path(stack.enter_context(TemporaryDirectory(dir=BENCH, prefix="processor-")))
        server = stack.enter_context(scratch_postgres(home / "postgres"))
        print("preparing Airflow's database ...", flush=True)
        run = Run(home, migrated(server, home), words.pipelines)
        passes = {each: run.one_pass(each) for each in LAYOUTS}
        changed = run.changes(words.changes)
        idle = run.idle(words.idle_minutes)
    text = "\n\n".join([facts(), *_told(words.pipelines, passes, changed, idle, words.idle_minutes)])
    print(f"\n{text}\n\n{time.monotonic() - began:.0f} s in all")
    if words.write:
        write_section("processor", text)


class Run:
    """One size of workload, written once for each contender."""

    def __init__(self, home: Path, template: Database, count: int) -> None:
        self.home, self.template, self.count = home, template, count
        self.folders = {each: home / each.name.replace(" ", "_") for each in (BARE, OURS)}
        for each, folder in self.folders.items():
            folder.mkdir()
            each.write(folder, pipelines(count))

    def one_pass(self, layout: Layout) -> dict[str, dict[str, float]]:
        """Wall and CPU seconds until every DAG is in the database: for the first time, then parsed anew.

        Those of many files take minutes: once has to do.
        """
        database = self.template.copy(layout.key)
        found = {}
        for when in ("cold", "warm") if layout.is_ours or layout.is_for_all else ("cold",):
            began = time.time()
            with self._processor(layout, database, layout.settings) as processor:
                processor.wait(lambda began=began: database.parsed_since(began) >= self.count)
                found[when] = {"wall": time.time() - began, "cpu": processor.cpu()}
            told = ", ".join(f"{what} {seconds:.1f} s" for what, seconds in found[when].items())
            print(f"one pass, {layout.name}, {when}: {told}", flush=True)
        return found

    def changes(self, times: int) -> dict[str, list[float]]:
        """Seconds from the change of one file until its DAG is serialized anew, with the settings of the docs."""
        layout = next(each for each in LAYOUTS if each.is_ours)
        database = self.template.copy("changes")
        name = pipelines(self.count)[-1].name
        file = self.folders[OURS] / f"{name}.yaml"
        seconds = []
        with self._processor(layout, database, layout.recommended) as processor:
            processor.wait(lambda: database.parsed_since(0) >= self.count)
            for number in range(times):
                time.sleep(3 + number)  # at another moment between two refreshes
                before, began = database.serialized_at(name), time.time()
                file.write_text(file.read_text().replace("description: ", f"description: {number} ", 1))
                processor.wait(lambda before=before: database.serialized_at(name) != before, patience=180)
                seconds.append(time.time() - began)
                print(f"one file changed: serialized after {seconds[-1]:.1f} s", flush=True)
        return {"seconds": seconds}

    def idle(self, minutes: float) -> dict[str, dict[str, float]]:
        """CPU seconds of `minutes` in which nothing changes, and then MB; both at once, each with its own database."""
        ours = next(each for each in LAYOUTS if each.is_ours)
        theirs = next(each for each in LAYOUTS if each.contender is BARE)
        began = time.time()
        with ExitStack() as stack:
            running = {
                layout: stack.enter_context(self._processor(layout, self.template.named(layout.key), settings))
                for layout, settings in ((ours, ours.recommended), (theirs, {}))
            }
            # Ours has to be done with the pass that follows a start; files by hand are parsed again and again.
            database = self.template.named(ours.key)
            running[ours].wait(lambda: database.parsed_since(began) >= self.count)
            time.sleep(15)
            before = {layout: processor.cpu() for layout, processor in running.items()}
            print(f"idle for {minutes:g} minutes ...", flush=True)
            time.sleep(minutes * 60)
            return {
                layout.name: {"cpu": processor.cpu() - before[layout], "memory": processor.memory()}
                for layout, processor in running.items()
            }

    def _processor(self, layout: Layout, database: Database, settings: dict[str, str]) -> Processor:
        bundles = [layout.bundle(self.folders[layout.contender])]
        return Processor(self.home / layout.key, database, bundles, settings)


def _told(
    count: int, passes: dict[Layout, Any], changed: Any, idle: dict[str, dict[str, float]], minutes: float
) -> list[str]:
    rows = [
        [
            layout.name,
            *(
                f"{found[when][what]:.1f}" if when in found else ""
                for when in ("cold", "warm")
                for what in ("wall", "cpu")
            ),
        ]
        for layout, found in passes.items()
    ]
    ours = next(each for each in passes if each.is_ours)
    whole = next(each for each in passes if each.is_for_all)
    ratio = passes[ours]["cold"]["wall"] / passes[whole]["cold"]["wall"]
    warm = passes[ours]["warm"]["wall"] / passes[whole]["warm"]["wall"]
    mine, theirs = idle[ours.name]["cpu"], next(found["cpu"] for name, found in idle.items() if name != ours.name)
    slowest = max(changed["seconds"])
    return [
        f"#### One pass over {count:,} pipelines, seconds",
        table(["", "first: wall", "CPU", "again: wall", "CPU"], rows),
        f"#### One of {count:,} files changed",
        f"Serialized anew after {median(changed['seconds']):.1f} s (the slowest of {len(changed['seconds'])}: "
        f"{slowest:.1f} s).",
        f"#### {minutes:g} idle minutes, CPU seconds",
        table(
            ["", "seconds", "MB of its main process"],
            [[name, f"{found['cpu']:.1f}", f"{found['memory']:.0f}"] for name, found in idle.items()],
        ),
        "#### Asked and found",
        table(
            ["", "asked", "found", ""],
            [
                ["one pass, against one stub for all, first time", "at most 1", f"{ratio:.2f}", _holds(ratio <= 1)],
                ["one pass, against one stub for all, again", "at most 1", f"{warm:.2f}", _holds(warm <= 1)],
                ["a changed file, seconds", "at most 10", f"{slowest:.1f}", _holds(slowest <= 10)],
                ["idle, against files by hand", "at most 0.1", f"{mine / theirs:.3f}", _holds(mine <= theirs / 10)],
            ],
        ),
    ]


def _holds(does: bool) -> str:
    return "yes" if does else "**no**"


if __name__ == "__main__":
    main()

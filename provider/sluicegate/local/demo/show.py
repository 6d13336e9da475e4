"""The demo for a person: what is under way, and the tables at the end. Takes values, prints; decides nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sluicegate.api.answers import DagRun, TaskInstance
from sluicegate.local.demo.report import COUNTS, DemoReport, Load

__all__ = ["Watcher", "print_failures", "print_report"]

_MARKS = {
    "success": ("✓", "green"),
    "failed": ("✗", "bold red"),
    "upstream_failed": ("✗", "red"),
    "running": ("▸", "yellow"),
    "deferred": ("…", "cyan"),
    "up_for_retry": ("↻", "yellow"),
    "skipped": ("-", "dim"),
}
# A terminal of the usual 80 columns has room for short words only.
_WIDE = 112
_SHORT = {
    "inserted": "ins",
    "updated": "upd",
    "unchanged": "same",
    "deduplicated": "dup",
    "rejected": "rej",
}
_TOLD = frozenset({"success", "failed", "up_for_retry", "skipped", "upstream_failed"})


class Watcher:
    """Shows the runs while they go: a grid that changes on a terminal, else a line for every task that ends."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told: set[tuple[str, str, str, int, str]] = set()
        self._live = Live(console=console, transient=True) if console.is_terminal else None

    def __enter__(self) -> Watcher:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, runs: Sequence[DagRun], tasks: Sequence[TaskInstance]) -> None:
        if self._live:
            self._live.update(_grid(runs, tasks))
        starts = {(run.dag_id, run.run_id): run.start for run in runs}
        for task in tasks:
            mark = (task.dag_id, task.run_id, task.task_id, task.try_number, task.state or "")
            if task.state not in _TOLD or mark in self._told:
                continue
            self._told.add(mark)
            start = starts.get((task.dag_id, task.run_id))
            took = f"{task.seconds:6.1f} s" if task.seconds is not None else " " * 8
            line = Text("  ")
            line.append(*_MARKS[task.state])
            line.append(f" {start:%Y-%m-%d}  " if start else "  ")
            line.append(f"{f'{task.dag_id}.{task.task_id}':34} {took}  {task.state}")
            self._console.print(line, soft_wrap=True)


def _grid(runs: Sequence[DagRun], tasks: Sequence[TaskInstance]) -> Table:
    days = sorted({run.start.date() for run in runs})
    table = Table(box=None, padding=(0, 2))
    table.add_column("pipeline")
    for day in days:
        table.add_column(str(day))
    by_run: dict[tuple[str, str], list[TaskInstance]] = {}
    for task in tasks:
        by_run.setdefault((task.dag_id, task.run_id), []).append(task)
    for name in sorted({run.dag_id for run in runs}):
        cells = []
        for day in days:
            cell = Text()
            for run in runs:
                if (run.dag_id, run.start.date()) == (name, day):
                    for task in by_run.get((run.dag_id, run.run_id), ()):
                        cell.append(*_MARKS.get(task.state or "", ("·", "dim")))
                        cell.append(" ")
            cells.append(cell)
        table.add_row(name, *cells)
    return table


def _loads(loads: Sequence[Load], *, narrow: bool) -> Table:
    table = Table(title="Loads", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("load", "day", "status"):
        table.add_column(name, no_wrap=True)
    for name in ("read", *COUNTS):
        table.add_column(_SHORT.get(name, name) if narrow else name, justify="right", no_wrap=True)
    for load in loads:
        cells = [Text(f"{count:,}") if count else Text("·", style="dim") for count in load.counts]
        status = Text(load.status, style={"loaded": "green", "skipped": "dim"}.get(load.status, "red"))
        table.add_row(f"{load.pipeline}.{load.step}", load.window[:10], status, *cells)
    return table


def print_report(console: Console, report: DemoReport, where: Mapping[str, str]) -> None:
    """The tables a person wants to read: loads, reasons for dead letters, clusters; and `where` to look next."""
    console.print(_loads(report.loads, narrow=console.width < _WIDE))

    if report.dead_letters:
        letters = Table(title="Set aside (open dead letters, by rule)", title_justify="left", box=box.SIMPLE_HEAD)
        for name in ("pipeline", "rule"):
            letters.add_column(name, no_wrap=True)
        letters.add_column("records", justify="right")
        for letter in report.dead_letters[:10]:
            letters.add_row(letter.pipeline, letter.rule, f"{letter.count:,}")
        console.print(letters)

    clusters = Table(title="Clusters of this run", title_justify="left", box=box.SIMPLE_HEAD)
    clusters.add_column("name", overflow="fold")
    clusters.add_column("state", no_wrap=True)
    clusters.add_column("lived", justify="right", no_wrap=True)
    for cluster in report.clusters:
        clusters.add_row(cluster.name, cluster.state, f"{cluster.seconds:.1f} s")
    console.print(clusters)
    live = [cluster.name for cluster in report.clusters if cluster.live]
    states = Counter(cluster.state for cluster in report.clusters)
    ended = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    console.print(f"{len(report.clusters)} clusters: {ended or 'none'}; {len(live) or 'none'} left running.")
    for name, line in where.items():
        console.print(f"{name:<11} {line}", soft_wrap=True)


def print_failures(console: Console, failed: Sequence[tuple[DagRun, TaskInstance, list[str]]]) -> None:
    """What failed, and the end of its log; the fault's remedy is there."""
    for run, task, tail in failed:
        words = f": {run.dag_id}.{task.task_id} of {run.start:%Y-%m-%d}, try {task.try_number}"
        console.print(Text.assemble(("failed", "red"), words), soft_wrap=True)
        for line in tail:
            console.print(f"    {line}", soft_wrap=True)

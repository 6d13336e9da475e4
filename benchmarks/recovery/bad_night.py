"""A bad night in an Airflow with a thousand pipelines and thirty days: planned, recovered, and what else one can do.

    python benchmarks/recovery/bad_night.py [--pipelines 1000] [--days 30] [--write]

Every way is a process of its own, on the same night, one after the other; a reset task succeeds after `--task-seconds`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from big.airflow import DAY, BigAirflow, big_airflow
from big.ways import apply_plan, clear_by_command, clear_by_script, make_plan

sys.path.append(str(Path(__file__).parents[1] / "factory"))  # the page is one for all benchmarks
from measure.page import facts, write_section

_BY_COMMAND = 10
"""`airflow tasks clear` takes seconds for each DAG: so many are enough to know how many."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pipelines", type=int, default=1000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--task-seconds", type=float, default=10.0)
    parser.add_argument("--write", action="store_true", help="the tables into docs/benchmarks.md")
    words = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="sluicegate-bench-") as folder,
        big_airflow(Path(folder), pipelines=words.pipelines, days=words.days) as big,
        big.no_scheduler(),
    ):
        text = "\n\n".join([facts(), plans(big, Path(folder)), ways(big, Path(folder), words.task_seconds)])
    print(text)
    if words.write:
        write_section("recovery", text)


def plans(big: BigAirflow, folder: Path) -> str:
    """A plan for one night, and one for all days."""
    lines = [
        "| failed runs | waves | edges | calls | seconds | of these in calls | peak memory, MB |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for days in ([big.days - 1], list(range(big.days))):
        big.fail(days)
        found = make_plan(big, folder / "all.json")
        lines.append(
            f"| {found['runs']:,} | {found['waves']} | {found['edges']:,} | {found['calls']:,} "
            f"| {found['seconds']:.1f} | {found['in_calls']:.1f} | {found['MB']:.0f} |"
        )
        print(lines[-1], file=sys.stderr, flush=True)
    return f"#### A plan, {big.pipelines:,} pipelines, {big.days} days of runs\n\n" + "\n".join(lines)


def ways(big: BigAirflow, folder: Path, task_seconds: float) -> str:
    """One night, recovered in three ways."""
    day = [big.days - 1]
    lines = [
        "| way | runs | calls | seconds | in clearing calls | besides them, without waiting | edges violated |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in ("`recover plan` and `apply`", "a script, run by run over REST", "`airflow tasks clear`, a DAG a call"):
        big.fail(day)
        with big.quick_tasks(task_seconds):
            found = _one_way(name, big, folder, (DAY + timedelta(days=day[0] - 1)).isoformat())
            cleared = {dag for dag, _ in big.reset_runs(day[0])}
            kept = [each for each in big.edges if each[0] in cleared and each[1] in cleared]
            wrong = big.violations(kept, day[0])
        lines.append(
            f"| {name} | {found['runs']:,} | {found['calls']:,} | {found['seconds']:.0f} | "
            + (f"{found['in_clears']:.1f} | {found['share']:.1%} | " if "share" in found else "| | ")
            + f"{wrong:,} of {len(kept):,} |"
        )
        print(lines[-1], file=sys.stderr, flush=True)
    return f"#### One night, {task_seconds:.0f} seconds a task\n\n" + "\n".join(lines)


def _one_way(name: str, big: BigAirflow, folder: Path, date: str) -> dict[str, Any]:
    if name.startswith("a script"):
        found = clear_by_script(big)
        return {**found, "share": _share(found)}
    if name.startswith("`airflow"):
        return clear_by_command(big, [*big.sources[: _BY_COMMAND // 2], *big.readers[: _BY_COMMAND // 2]], date)
    file = folder / "one.json"
    for old in (file, Path(f"{file}.journal")):
        old.unlink(missing_ok=True)
    planned, applied = make_plan(big, file), apply_plan(big, file)
    both = {each: planned[each] + applied[each] for each in ("calls", "seconds", "in_clears")}
    if not applied["good"]:
        raise SystemExit(f"the plan was not carried out: {applied}")
    return {"runs": planned["runs"], **both, "share": _share(applied)}


def _share(found: dict[str, Any]) -> float:
    """What a process does besides its clearing calls, as a share of their time; its waiting is not counted."""
    return float((found["seconds"] - found["slept"] - found["in_clears"]) / found["in_clears"])


if __name__ == "__main__":
    main()

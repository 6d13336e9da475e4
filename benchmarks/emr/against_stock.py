"""A Spark job on a cluster of its own, by ours and by the stock operators: calls to EMR, the first step, the cost.

    python benchmarks/emr/against_stock.py [--clusters 1 10 50] [--burst 30] [--write]

Time is virtual and EMR is a script: nothing is started, and AWS is not reached. Contenders take turns.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

os.environ.setdefault("AIRFLOW_CONN_AWS_DEFAULT", "aws://id:secret@/?region_name=eu-west-1")
logging.disable(logging.CRITICAL)

from scripted.account import Times  # noqa: E402 - the connection is read where Airflow is imported
from scripted.clock import EPOCH  # noqa: E402
from scripted.contenders import BETWEEN_TASKS, CONTENDERS, run  # noqa: E402

sys.path.append(str(Path(__file__).parents[1] / "factory"))  # the page is one for all benchmarks
from measure.page import facts, write_section  # noqa: E402

_START = 300.0
_LATENCY = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clusters", type=int, nargs="+", default=[1, 10, 50, 100])
    parser.add_argument("--burst", type=int, default=30)
    parser.add_argument("--write", action="store_true", help="the tables into docs/benchmarks.md")
    words = parser.parse_args()
    text = "\n\n".join([facts(), lengths(), at_once(words.clusters), first_step(), burst(words.burst)])
    print(text)
    if words.write:
        write_section("emr", text)


def lengths() -> str:
    """One cluster, jobs of several lengths."""
    lines = [
        "#### One cluster: calls to EMR in a cluster-hour",
        "| minutes of the step | stock, deferred | Sluicegate | ratio | calls of a run | noticed after the end, s |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for minutes in (2, 5, 10, 25, 60, 120):
        a_run = {name: run(name, 1, Times(_START, minutes * 60)) for name in CONTENDERS}
        hourly = [each.calls.total() / (each.cluster_seconds / 3600) for each in a_run.values()]
        counts = " and ".join(str(each.calls.total()) for each in a_run.values())
        ours = a_run["Sluicegate"]
        ended = next(iter(ours.clusters.values())).gone
        assert ended is not None
        late = next(t for t in sorted(ours.log) if t >= ended) - ended
        lines.append(
            f"| {minutes} | {hourly[0]:.0f} | {hourly[1]:.0f} | {hourly[1] / hourly[0]:.2f} | {counts} "
            f"| {late.total_seconds():.0f} |"
        )
    return "\n\n".join([lines[0], "\n".join(lines[1:])])


def at_once(clusters: list[int]) -> str:
    """The same job many times at once."""
    lines = [
        "#### Many clusters at once, a step of 10 minutes: calls to EMR",
        "| clusters | stock: calls | a cluster | most in 10 s | Sluicegate: calls | a cluster | most in 10 s | ratio |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for count in clusters:
        found = [run(name, count, Times(_START, 600)) for name in CONTENDERS]
        shown = [f"{each.calls.total():,} | {each.calls.total() / count:.1f} | {each.busiest(10)}" for each in found]
        ratio = found[1].calls.total() / found[0].calls.total()
        lines.append(f"| {count} | {' | '.join(shown)} | {ratio:.2f} |")
    return "\n\n".join([lines[0], "\n".join(lines[1:])])


def first_step() -> str:
    """From the start of the first task until the first step runs."""
    lines = [
        f"#### The first step, of a cluster that starts in {_START:.0f} s, with {_LATENCY} s for each call",
        "| | seconds from the start of the task |",
        "|---|---:|",
    ]
    for name in CONTENDERS:
        account = run(name, 1, Times(_START, 600), latency=_LATENCY)
        lines.append(f"| {name} | {(account.first_step - EPOCH).total_seconds():.1f} |")
    return "\n\n".join([lines[0], "\n".join(lines[1:])])


def burst(count: int) -> str:
    """What short runs cost, which is how long their clusters live."""
    lines = [
        f"#### {count} short runs at once, steps of 2 minutes: cluster seconds, {BETWEEN_TASKS:.0f} s between tasks",
        "| | all | a run | beyond start, step and end |",
        "|---|---:|---:|---:|",
    ]
    times = Times(_START, 120)
    for name in CONTENDERS:
        account = run(name, count, times)
        each = account.cluster_seconds / count
        beyond = each - times.start - times.step - times.end
        lines.append(f"| {name} | {account.cluster_seconds:,.0f} | {each:.0f} | {beyond:.0f} |")
    return "\n\n".join([lines[0], "\n".join(lines[1:])])


if __name__ == "__main__":
    main()

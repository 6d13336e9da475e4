"""What receipts, events and metrics cost a task, and a load of a million rows: milliseconds, and per cent.

    python benchmarks/overhead/steps.py [--rows 1000000] [--rounds 9] [--tasks 15]

Each measurement is a process of its own, in turns with and without them. A task is a `python` step that does nothing,
whose process has imported what a task's process has that Airflow forks, and no more: the first connection to the
journal counts; psycopg's import does not where Airflow's own database is reached by it, and is shown. Metrics go to a
StatsD listener on loopback. Ends with 1 where a limit is exceeded.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from load.measure.data import write

from sluicegate.local.stack.scratch import scratch_postgres
from sluicegate.testing.warehouse import Warehouse

Pair = tuple[tuple[float, float], tuple[float, float]]

MOST_MILLISECONDS = 50.0
MOST_PER_CENT = 3.0
TASK = """\
sluicegate: 1
owner: bench
schedule: {cron: "@daily", start: 2026-01-01}
steps:
  STEPS
"""
LOAD = """\
sluicegate: 1
owner: bench
schedule: {cron: "@daily", start: 2026-01-01}
steps:
  step0:
    load: ROWS
    into: table://journal/rows
    key: id
"""
CHILD = """
import json, sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
import airflow.sdk.execution_time.supervisor  # a task is forked from it
import airflow.sdk.execution_time.task_runner
from sluicegate.factory.build import build_dag
from sluicegate.graph.window import Window
from sluicegate.pipeline import read_together
from sluicegate.runtime import lifecycle
from sluicegate.testing.step import StepInstance

root, how, run = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for name in sys.argv[4:]:
    __import__(name)
sys.path.append(str(root))
file = root / "bench.yaml"
together = read_together(file, root)
dag = build_dag(together.pipelines[0], together.upstreams)
start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=run)
step = StepInstance(dag.get_task("step0"), Window(start, start + timedelta(days=1)), params={"force": True})
if how == "without":
    lifecycle.observers = lambda: ()
began, computed = time.perf_counter(), time.process_time()
step.execute()
print(json.dumps([time.perf_counter() - began, time.process_time() - computed]))
"""


class Bench:
    """One database and one dags root."""

    def __init__(self, folder: Path, warehouse: Warehouse, port: int) -> None:
        self.warehouse, self.runs = warehouse, 0
        self.root = folder / "dags"
        self.root.mkdir()
        (self.root / "defaults.yaml").write_text("connections: {ledger: journal}\n")
        (self.root / "nothing.py").write_text("def do(): ...\n")
        self.environment = os.environ | {
            "AIRFLOW_HOME": str(folder / "airflow"),
            "AIRFLOW_CONN_JOURNAL": warehouse.connection,
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(port),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        }

    def says(self, text: str) -> None:
        (self.root / "bench.yaml").write_text(text)

    def taken(self, how: str, *imported: str) -> tuple[float, float]:
        """Seconds on the clock, and seconds that the process computed."""
        self.runs += 1
        command = [sys.executable, "-c", CHILD, str(self.root), how, str(self.runs), *imported]
        done = subprocess.run(command, env=self.environment, check=True, stdout=subprocess.PIPE, text=True)
        clock, computed = json.loads(done.stdout.splitlines()[-1])
        return float(clock), float(computed)

    def rounds(self, rounds: int, *imported: str) -> list[Pair]:
        """Without and with, each round in another order; the first round is not counted.

        :param imported: modules that the process has when the clock starts
        """
        found = []
        for _ in range(rounds + 1):
            order = ["without", "with"]
            random.shuffle(order)
            taken = {how: self.taken(how, *imported) for how in order}
            found.append((taken["without"], taken["with"]))
        return found[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--tasks", type=int, default=15)
    words = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(scratch_postgres(folder / "server"))
        listener = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        listener.bind(("127.0.0.1", 0))
        bench = Bench(folder, Warehouse.create(server), listener.getsockname()[1])
        steps = "\n  ".join(f"step{number}: {{python: 'nothing:do'}}" for number in range(10))
        bench.says(TASK.replace("STEPS", steps))
        print(f"{'':44}{'without':>10}{'with':>10}{'more':>10}{'limit':>10}")
        cost = show("a task that has imported psycopg, ms", bench.rounds(words.tasks, "psycopg"), MOST_MILLISECONDS)
        show("a task that has not, ms", bench.rounds(words.tasks), None)
        write(folder, words.rows)
        bench.says(LOAD.replace("ROWS", f"file://{folder}/rows.csv"))
        loads = bench.rounds(words.rounds)
        more = show(f"a load of {words.rows:,} rows, ms", loads, None)
        share = more / statistics.median(without[0] for without, _ in loads) / 10
        print(f"which is {share:.1f} % of the load; the limit is {MOST_PER_CENT:.1f} %")
        kept = bench.warehouse.one("SELECT count(*) FROM sluicegate.receipts WHERE status = 'succeeded'")
        print(f"{words.tasks} rounds of tasks and {words.rounds} of loads; {kept} receipts were kept")
    if cost > MOST_MILLISECONDS or share > MOST_PER_CENT:
        sys.exit("a limit is exceeded")


def show(name: str, rounds: list[Pair], limit: float | None) -> float:
    """Print medians; returns how many milliseconds more it is on the clock."""
    found = 0.0
    for index, words in ((0, name), (1, "  of which the process computes")):
        before, after = (statistics.median(pair[which][index] for pair in rounds) * 1000 for which in (0, 1))
        more = statistics.median(after[index] - before[index] for before, after in rounds) * 1000
        found = more if index == 0 else found
        shown = f"{limit:10.1f}" if index == 0 and limit is not None else ""
        print(f"{words:44}{before:10.1f}{after:10.1f}{more:10.1f}{shown}", flush=True)
    return found


if __name__ == "__main__":
    main()

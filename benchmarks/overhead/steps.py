"""What receipts, events and metrics cost a task, and a load of a million rows: milliseconds, and per cent.

    python benchmarks/overhead/steps.py [--rows 1000000] [--rounds 9] [--tasks 15]

Each measurement is a process of its own, in turns with and without them. A task is a `python` step that does nothing,
whose process has imported what Airflow's task runner and a parsed pipeline need, and no more: the first connection to
the journal and psycopg's import count. Metrics go to a StatsD listener on loopback. Ends with 1 where a limit is
exceeded.
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
import airflow.sdk.execution_time.task_runner
from sluicegate.factory.build import build_dag
from sluicegate.graph.window import Window
from sluicegate.pipeline import read_together
from sluicegate.runtime import lifecycle
from sluicegate.testing.step import StepInstance

root, how, run = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
sys.path.append(str(root))
file = root / "bench.yaml"
together = read_together(file, root)
dag = build_dag(together.pipelines[0], together.upstreams)
start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=run)
step = StepInstance(dag.get_task("step0"), Window(start, start + timedelta(days=1)), params={"force": True})
if how == "without":
    lifecycle.observers = lambda: ()
began = time.perf_counter()
step.execute()
print(json.dumps({"seconds": time.perf_counter() - began}))
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

    def seconds(self, how: str) -> float:
        self.runs += 1
        command = [sys.executable, "-c", CHILD, str(self.root), how, str(self.runs)]
        done = subprocess.run(command, env=self.environment, check=True, stdout=subprocess.PIPE, text=True)
        return float(json.loads(done.stdout.splitlines()[-1])["seconds"])

    def pairs(self, rounds: int) -> list[tuple[float, float]]:
        """Seconds without and with, each round in another order; the first round is not counted."""
        found = []
        for _ in range(rounds + 1):
            order = ["without", "with"]
            random.shuffle(order)
            taken = {how: self.seconds(how) for how in order}
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
        tasks = bench.pairs(words.tasks)
        write(folder, words.rows)
        bench.says(LOAD.replace("ROWS", str(folder / "rows.csv")))
        loads = bench.pairs(words.rounds)
        kept = bench.warehouse.one("SELECT count(*) FROM sluicegate.receipts WHERE status = 'succeeded'")
    cost = statistics.median(after - before for before, after in tasks) * 1000
    share = statistics.median(after / before for before, after in loads) * 100 - 100
    print(f"{'':24}{'without':>10}{'with':>10}{'more':>10}{'limit':>10}")
    before, after = (statistics.median(pair[index] for pair in tasks) * 1000 for index in (0, 1))
    print(f"{'a task, ms':24}{before:10.1f}{after:10.1f}{cost:10.1f}{MOST_MILLISECONDS:10.1f}")
    before, after = (statistics.median(pair[index] for pair in loads) for index in (0, 1))
    name = f"{words.rows:,} rows, s"
    print(f"{name:24}{before:10.2f}{after:10.2f}{share:9.1f}%{MOST_PER_CENT:9.1f}%")
    print(f"{words.tasks} and {words.rounds} rounds; {kept} receipts were kept")
    if cost > MOST_MILLISECONDS or share > MOST_PER_CENT:
        sys.exit("a limit is exceeded")


if __name__ == "__main__":
    main()

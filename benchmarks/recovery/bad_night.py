"""A plan for a thousand failed runs, and for thirty thousand, in an Airflow with a thousand pipelines.

    python benchmarks/recovery/bad_night.py [--pipelines 1000] [--days 30]

Prints calls, seconds and peak memory of `sluicegate recover plan`, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from big_airflow import BigAirflow, big_airflow

_PLAN = """
import json, resource, sys, time
began = time.monotonic()
from sluicegate.api.client import Client
from sluicegate.local.stack.stack import running
from sluicegate.local.stack.state import State
from sluicegate.recovery.planning import plan
from sluicegate.recovery.plan_file import write_plan
from pathlib import Path
calls = []
call = Client._call
def counted(self, method, where, **more):
    start = time.monotonic()
    try:
        return call(self, method, where, **more)
    finally:
        calls.append((f"{method} {where}", time.monotonic() - start))
Client._call = counted
with running(Path(sys.argv[1])).api() as client:
    found = plan(client)
write_plan(found, Path(sys.argv[2]))
print(json.dumps({
    "seconds": time.monotonic() - began, "calls": len(calls), "in calls": sum(each for _, each in calls),
    "MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "instances": len(found.instances),
    "runs": len(found.runs), "waves": len(found.waves), "edges": len(found.edges),
    "by call": sorted({where: sum(s for w, s in calls if w == where) for where, _ in calls}.items(), key=str),
}))
"""


def measured(big: BigAirflow, file: Path) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", _PLAN, str(big.stack._state.root), str(file)], check=True, capture_output=True, text=True
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pipelines", type=int, default=1000)
    parser.add_argument("--days", type=int, default=30)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sluicegate-bench-") as folder:
        began = time.monotonic()
        with big_airflow(Path(folder), pipelines=words.pipelines, days=words.days) as big, big.no_scheduler():
            print(f"filled in {time.monotonic() - began:.0f} s", flush=True)
            nights = {
                "one night": range(words.days - 1, words.days),
                "all days": range(words.days),
            }
            for name, days in nights.items():
                big.fail(big.sources, big.readers, list(days))
                print(name, json.dumps(measured(big, Path(folder) / "plan.json"), indent=1), flush=True)


if __name__ == "__main__":
    main()

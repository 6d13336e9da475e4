"""All benchmarks, one after the other, each to its end: `make bench`, or `make bench QUICK=1` in a few minutes.

    python benchmarks/run.py [--quick]

Quick runs print every table, with fewer pipelines, rows and rounds: good for "did it get slower", not for quoting.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
QUICK = {
    "load/against_copy.py": ("--rows", "200000", "--rounds", "2"),
    "load/against_peers.py": ("--rows", "50000", "--rounds", "2"),
    "load/small_files.py": ("--files", "300"),
    "load/parquet.py": ("--rows", "200000", "--rounds", "2"),
    "factory/against_peers.py": ("--sizes", "10", "100", "--rounds", "2"),
    "overhead/steps.py": ("--rows", "200000", "--rounds", "3", "--tasks", "5"),
    "recovery/bad_night.py": ("--pipelines", "100", "--days", "5", "--task-seconds", "2"),
    "emr/against_stock.py": ("--clusters", "1", "10", "--burst", "5"),
    "factory/processor.py": ("--pipelines", "50", "--idle-minutes", "0.5", "--changes", "1"),
}
"""By script, its options in a quick run."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="every table, with less work")
    words = parser.parse_args()
    failed = []
    for script, options in QUICK.items():
        began = time.monotonic()
        print(f"== benchmarks/{script}", flush=True)
        done = subprocess.run([sys.executable, HERE / script, *(options if words.quick else ())], check=False)
        print(f"== benchmarks/{script}: exit {done.returncode} after {time.monotonic() - began:.0f} s\n", flush=True)
        if done.returncode:
            failed.append(script)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()

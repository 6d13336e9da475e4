"""Loads in a process of its own, whose peak memory is printed after each: CONNINFO FILE HOW_OFTEN."""

from __future__ import annotations

import sys
from pathlib import Path

from sluicegate.load.load import load
from sluicegate.load.request import LoadRequest
from sluicegate.pipeline.keys.model import Column
from sluicegate.storage import Storage
from sluicegate.targets.postgres.target import PostgresTarget

TYPES = {"id": "bigint", "n": "integer", "price": "numeric(18,2)", "item": "text", "at": "timestamptz", "note": "text"}


def peak_memory() -> float:
    """In MB, of this process alone."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def main() -> None:
    conninfo, path, often = sys.argv[1:]
    columns = {name: Column(type=type_, required=name == "n") for name, type_ in TYPES.items()}
    for _ in range(int(often)):
        request = LoadRequest(sources=(path,), table="filled", key=("id",), newest_by="at", columns=columns, force=True)
        load(request, Storage(), PostgresTarget(conninfo, "filled"))
        print(peak_memory(), flush=True)


if __name__ == "__main__":
    main()

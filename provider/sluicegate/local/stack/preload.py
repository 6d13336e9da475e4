"""Imports done before they are needed, in the api-server while the database is made.

`python -m sluicegate.local.stack.preload GATE api-server` is an `airflow` command that has imported everything when
it waits for the file GATE. The api-server imports for ten seconds, the migration of the metadata database takes five,
and neither needs the other until the end.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path


def main(gate: Path, arguments: list[str]) -> None:
    supervisor = os.getppid()
    sys.argv = ["airflow", *arguments]
    import airflow.api_fastapi.main  # noqa: F401  # asks no database
    from airflow.__main__ import main as run

    while not gate.exists():
        if os.getppid() != supervisor:
            return
        time.sleep(0.05)
    run()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

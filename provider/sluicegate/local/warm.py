"""An `airflow` command whose imports are done beforehand: `python -m sluicegate.local.warm GATE api-server`.

The api-server imports for ten seconds, the migration of the metadata database takes five, and neither needs
the other until the end. So this imports at once and waits for the file GATE: the database is there.
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

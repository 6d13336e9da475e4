"""Imports done before they are needed: in the scheduler for its tasks, in the api-server while the database is made.

`python -m sluicegate.local.stack.preload GATE api-server` is an `airflow` command that has imported everything when
it waits for the file GATE. The api-server imports for ten seconds, the migration of the metadata database takes five,
and neither needs the other until the end.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import time
from pathlib import Path

# Only modules that start no thread when imported: a fork would lose the thread and keep its locks. That leaves out
# pyarrow (its allocator has one).
MODULES = (
    "duckdb",
    "psycopg",
    "boto3",
    "airflow.providers.amazon.aws.hooks.base_aws",
    "airflow.providers.postgres.hooks.postgres",
)


def into_scheduler(arguments: list[str] | None = None) -> None:
    """Import what tasks need, once: LocalExecutor forks its workers from the scheduler (Linux).

    Does nothing in every other component. A module that is missing is a matter for the task that needs it.
    """
    if "scheduler" not in (sys.argv if arguments is None else arguments):
        return
    for name in MODULES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


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

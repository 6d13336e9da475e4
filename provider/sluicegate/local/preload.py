"""Imports what tasks need into the scheduler, once: LocalExecutor forks its workers from it (Linux).

Only modules that start no thread when imported: a fork would lose the thread and keep its locks. That leaves
out pyarrow (its allocator has one).
"""

from __future__ import annotations

import contextlib
import importlib
import sys

MODULES = (
    "duckdb",
    "psycopg",
    "boto3",
    "airflow.providers.amazon.aws.hooks.base_aws",
    "airflow.providers.postgres.hooks.postgres",
)


def into_scheduler(arguments: list[str] | None = None) -> None:
    """A no-op in every other component. A module that is missing is a matter for the task that needs it."""
    if "scheduler" not in (sys.argv if arguments is None else arguments):
        return
    for name in MODULES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)

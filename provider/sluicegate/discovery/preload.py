"""Imports into a process that others are forked from, once, what each of those would import for itself.

Imported by `airflow_local_settings.py`, in every component: light until a function is called.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Sequence

__all__ = ["preload_parsing", "preload_tasks"]

_SERIALIZING = (
    "airflow.providers.standard.operators.trigger_dagrun",
    "airflow.providers.standard.sensors.external_task",
)
"""What Airflow imports whenever it serializes a DAG."""

_STARTING = (
    "sluicegate.discovery.shard",
    "sluicegate.discovery.compile_one",
    "sluicegate.factory.mapping",
    "sluicegate.load.operator",
    "sluicegate.emr.operator",
    "sluicegate.transform.operator",
    "sluicegate.transform.python",
    "sluicegate.wait.files",
    "sluicegate.wait.sensor",
    "airflow.providers.standard.operators.bash",
    "airflow.dag_processing.dagbag",
)
"""What a task imports to find its pipeline and build its DAG."""

_RUNNING = (
    "duckdb",
    "psycopg",
    "boto3",
    "airflow.providers.amazon.aws.hooks.base_aws",
    "airflow.providers.postgres.hooks.postgres",
)
"""What steps import when they run. Only modules that start no thread when imported: a fork would lose the thread and
keep its locks. That leaves out pyarrow (its allocator has one)."""


def preload_parsing(modules: Iterable[str]) -> None:
    """Import what the processes that parse need.

    :param modules: of Airflow and its providers, as Airflow itself imports those that a DAG file names
    """
    from airflow.providers.common.compat.sdk import conf

    if conf.getboolean("dag_processor", "parsing_pre_import_modules", fallback=True):
        _import((*_SERIALIZING, *sorted(modules)))


def preload_tasks(arguments: Sequence[str] | None = None) -> None:
    """Import what tasks need, in a component that forks them: a scheduler with LocalExecutor, a Celery worker (Linux).

    Does nothing in any other.

    :param arguments: of the `airflow` command; those of this process unless given
    """
    words = sys.argv if arguments is None else arguments
    if "scheduler" in words or ("celery" in words and "worker" in words):
        _import((*_STARTING, *_RUNNING))


def _import(modules: Iterable[str]) -> None:
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception:  # noqa: S112 - what needs it says so at its own place
            continue

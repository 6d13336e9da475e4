"""Imports into a process that others are forked from, once, what each of those would import for itself."""

from __future__ import annotations

import importlib
from collections.abc import Iterable

from airflow.providers.common.compat.sdk import conf

__all__ = ["preload_parsing"]

_SERIALIZING = (
    "airflow.providers.standard.operators.trigger_dagrun",
    "airflow.providers.standard.sensors.external_task",
)
"""What Airflow imports whenever it serializes a DAG."""


def preload_parsing(modules: Iterable[str]) -> None:
    """Import what the processes that parse need.

    :param modules: of Airflow and its providers, as Airflow itself imports those that a DAG file names
    """
    if conf.getboolean("dag_processor", "parsing_pre_import_modules", fallback=True):
        for module in (*_SERIALIZING, *sorted(modules)):
            try:
                importlib.import_module(module)
            except Exception:  # noqa: S112 - what needs it says so at its own place
                continue

"""Pipelines become Airflow DAGs, built in passes. Nothing is imported until it is used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sluicegate.factory.attempt import build_diagnostics
    from sluicegate.factory.build import build_dag

__all__ = ["build_dag", "build_diagnostics"]

_HOME = {"build_dag": "build", "build_diagnostics": "attempt"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)

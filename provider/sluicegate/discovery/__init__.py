"""How Airflow finds pipelines: the scan of the dags root, compiled pipelines, stubs, snapshots, and the ways in."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sluicegate.discovery.bundle import PipelineBundle
    from sluicegate.discovery.importer import PipelineImporter

__all__ = ["PipelineBundle", "PipelineImporter"]

_HOME = {"PipelineBundle": "bundle", "PipelineImporter": "importer"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)

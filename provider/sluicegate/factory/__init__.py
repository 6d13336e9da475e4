"""Pipelines become Airflow DAGs: built in passes, found by a bundle. Nothing is imported until it is used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sluicegate.discovery.bundle import PipelineBundle
    from sluicegate.discovery.importer import PipelineImporter
    from sluicegate.factory.build import build_dag
    from sluicegate.factory.dags import build_mistakes, load_dags
    from sluicegate.factory.site import PipelineFileError

__all__ = ["PipelineBundle", "PipelineFileError", "PipelineImporter", "build_dag", "build_mistakes", "load_dags"]

_HOME = {
    "PipelineBundle": "discovery.bundle",
    "PipelineFileError": "factory.site",
    "PipelineImporter": "discovery.importer",
    "build_dag": "factory.build",
    "build_mistakes": "factory.dags",
    "load_dags": "factory.dags",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"sluicegate.{_HOME[name]}"), name)

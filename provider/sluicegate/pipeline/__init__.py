"""Pipeline files, read with positions into frozen models, and the graph of their data. Imports no Airflow.

A task starts from a pipeline that was read before: what reads is imported where it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sluicegate.pipeline.environment import Environment
    from sluicegate.pipeline.errors import Mistake, PipelineErrors
    from sluicegate.pipeline.location import Location
    from sluicegate.pipeline.model import Pipeline
    from sluicegate.pipeline.read import read_pipeline
    from sluicegate.pipeline.tree import Together, Tree, read_together, read_tree
    from sluicegate.pipeline.window import Window

__all__ = [
    "Environment",
    "Location",
    "Mistake",
    "Pipeline",
    "PipelineErrors",
    "Together",
    "Tree",
    "Window",
    "read_pipeline",
    "read_together",
    "read_tree",
]

_HOME = {
    "Environment": "environment",
    "Location": "location",
    "Mistake": "errors",
    "Pipeline": "model",
    "PipelineErrors": "errors",
    "Together": "tree",
    "Tree": "tree",
    "Window": "window",
    "read_pipeline": "read",
    "read_together": "tree",
    "read_tree": "tree",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)

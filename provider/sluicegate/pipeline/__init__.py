"""Pipeline files, read with positions into frozen models, and the graph of their data. Imports no Airflow.

A task starts from a pipeline that was read before: what reads is imported where it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sluicegate.graph.location import Location
    from sluicegate.graph.window import Window
    from sluicegate.pipeline.diagnostics import Diagnostic, PipelineErrors
    from sluicegate.pipeline.keys.model import Pipeline
    from sluicegate.pipeline.text.environment import Environment
    from sluicegate.pipeline.tree import Together, Tree, read_together, read_tree

__all__ = [
    "Diagnostic",
    "Environment",
    "Location",
    "Pipeline",
    "PipelineErrors",
    "Together",
    "Tree",
    "Window",
    "read_together",
    "read_tree",
]

_HOME = {
    "Environment": "pipeline.text.environment",
    "Location": "graph.location",
    "Diagnostic": "pipeline.diagnostics",
    "Pipeline": "pipeline.keys.model",
    "PipelineErrors": "pipeline.diagnostics",
    "Together": "pipeline.tree",
    "Tree": "pipeline.tree",
    "Window": "graph.window",
    "read_together": "pipeline.tree",
    "read_tree": "pipeline.tree",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"sluicegate.{_HOME[name]}"), name)

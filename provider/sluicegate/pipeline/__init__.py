"""Pipeline files, read with positions into frozen models, and the graph of their data. Imports no Airflow."""

from __future__ import annotations

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

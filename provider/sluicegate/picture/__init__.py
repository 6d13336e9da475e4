"""Any graph as a picture: boxes, nodes and edges -> DOT, Mermaid, SVG or PNG; `pipelines` makes one of pipelines.

Imports no Airflow.
"""

from __future__ import annotations

from sluicegate.picture.dot import dot
from sluicegate.picture.mermaid import mermaid
from sluicegate.picture.model import Box, Edge, EdgeKind, Line, Node, NodeKind, Picture, Shape

__all__ = ["Box", "Edge", "EdgeKind", "Line", "Node", "NodeKind", "Picture", "Shape", "dot", "mermaid"]

"""All pipelines as a picture: a tree of files -> nodes and edges -> DOT, Mermaid, SVG or PNG. Imports no Airflow."""

from __future__ import annotations

from sluicegate.picture.dot import dot
from sluicegate.picture.draw import picture_of, pipelines_only, related
from sluicegate.picture.mermaid import mermaid
from sluicegate.picture.model import Box, Edge, EdgeKind, Node, NodeKind, Picture

__all__ = [
    "Box",
    "Edge",
    "EdgeKind",
    "Node",
    "NodeKind",
    "Picture",
    "dot",
    "mermaid",
    "picture_of",
    "pipelines_only",
    "related",
]

"""What a picture shows, as values: boxes with nodes in them, nodes outside, edges between them. No place, no colour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Box", "Edge", "EdgeKind", "Node", "NodeKind", "Picture"]


class NodeKind(StrEnum):
    """The five kinds of steps have the names they have in a pipeline file."""

    LOAD = "load"
    SPARK = "spark"
    TRANSFORM = "transform"
    PYTHON = "python"
    OPERATOR = "operator"
    FILE = "file"
    TABLE = "table"
    PIPELINE = "pipeline"
    OTHER_DAG = "other_dag"
    UNREADABLE = "unreadable"


class EdgeKind(StrEnum):
    DATA = "data"
    LATEST = "latest"
    """Reads what has been written last, without waiting for a window."""
    AFTER = "after"
    """An order that no data says."""


@dataclass(frozen=True)
class Node:
    """`detail` is a second, smaller line, `tooltip` what is shown when a pointer rests on it."""

    id: str
    kind: NodeKind
    label: str
    detail: str = ""
    tooltip: str = ""
    source: bool = False
    """A dataset that no pipeline writes."""
    broken: bool = False


@dataclass(frozen=True)
class Edge:
    tail: str
    head: str
    kind: EdgeKind = EdgeKind.DATA


@dataclass(frozen=True)
class Box:
    """One pipeline. `partial`: only what others read of it is in the picture."""

    id: str
    title: str
    nodes: tuple[Node, ...]
    detail: str = ""
    tooltip: str = ""
    broken: bool = False
    partial: bool = False


@dataclass(frozen=True)
class Picture:
    boxes: tuple[Box, ...] = ()
    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()

    def all_nodes(self) -> Iterator[Node]:
        yield from self.nodes
        for box in self.boxes:
            yield from box.nodes

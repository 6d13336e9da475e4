"""What a picture shows, as values: boxes with nodes in them, nodes outside, edges between them. Of any graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from sluicegate.picture.palette import NODE, Colour

__all__ = ["Box", "Edge", "EdgeKind", "Line", "Node", "NodeKind", "Picture", "Shape"]


class Shape(StrEnum):
    BOX = "box"
    """With a coloured bar and two lines of text, as a hexagon has too."""
    HEXAGON = "hexagon"
    PILL = "pill"
    """With the label alone, as a cylinder has too."""
    CYLINDER = "cylinder"


class Line(StrEnum):
    SOLID = "solid"
    DASHED = "dashed"
    DOTTED = "dotted"


@dataclass(frozen=True)
class NodeKind:
    """What the nodes of one kind look like.

    `name` is one word: their class in SVG and Mermaid. `words` are their entry in the legend; without any, they
    have none.
    """

    name: str
    colour: Colour
    """The colour of the outline and of a box's bar."""
    words: str = ""
    shape: Shape = Shape.BOX
    fill: Colour = NODE
    dashed: bool = False

    @property
    def one_line(self) -> bool:
        """Whether such a node shows its label alone, without its detail."""
        return self.shape in (Shape.PILL, Shape.CYLINDER)


@dataclass(frozen=True)
class EdgeKind:
    """`words` are the entry in the legend."""

    name: str
    line: Line = Line.SOLID
    words: str = ""


@dataclass(frozen=True)
class Node:
    """`detail` is a second, smaller line, `tooltip` what is shown when a pointer rests on it."""

    id: str
    kind: NodeKind
    label: str
    detail: str = ""
    tooltip: str = ""
    broken: bool = False


@dataclass(frozen=True)
class Edge:
    tail: str
    head: str
    kind: EdgeKind


@dataclass(frozen=True)
class Box:
    """A frame around nodes that belong together. `partial`: others belong there that are not in the picture."""

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

    def node_kinds(self) -> tuple[NodeKind, ...]:
        """The kinds of nodes that occur, each once, by shape."""
        shapes = list(Shape)
        kinds = dict.fromkeys(node.kind for node in self.all_nodes())
        return tuple(sorted(kinds, key=lambda kind: (shapes.index(kind.shape), kind.dashed)))

    def edge_kinds(self) -> tuple[EdgeKind, ...]:
        """The kinds of edges that occur, each once, by line."""
        lines = list(Line)
        return tuple(sorted(dict.fromkeys(edge.kind for edge in self.edges), key=lambda kind: lines.index(kind.line)))

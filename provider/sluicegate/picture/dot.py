"""A picture in Graphviz's language. Complete in itself: `dot -Tsvg` draws it, and our own SVG begins with that."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from sluicegate.picture.measures import LABEL, TITLE, size_of, visible
from sluicegate.picture.model import Box, Edge, Node, Picture, Shape
from sluicegate.picture.palette import BOX, BOX_LINE, EDGE, ERROR, ERROR_FILL, TEXT

__all__ = ["dot"]

_SHAPES = {Shape.CYLINDER: "cylinder", Shape.HEXAGON: "hexagon"}
_INCH = 72.0


def dot(picture: Picture) -> str:
    """A directed graph from left to right.

    Every box, node and edge has an `id` (`box0`, `node0`, `edge0`, by its number in the picture) and a `class`.
    """
    return "\n".join(_lines(picture)) + "\n"


def _lines(picture: Picture) -> Iterator[str]:
    yield "digraph {"
    yield '  graph [rankdir=LR, nodesep=0.2, ranksep=0.5, pad=0, fontname="Arial", bgcolor=transparent, labeljust=l];'
    yield f'  node [fontname="Arial", fontsize={LABEL:g}, fontcolor="{TEXT.light}", fixedsize=true];'
    yield f'  edge [color="{EDGE.light}", penwidth=1.3, arrowsize=0.6, tailport=e, headport=w];'
    numbers = count()
    for node in picture.nodes:
        yield f"  {_node(next(numbers), node)}"
    for number, box in enumerate(picture.boxes):
        yield f"  subgraph {_quoted(f'cluster:{box.id}')} {{"
        yield f"    graph [{_box(number, box)}];"
        for node in box.nodes:
            yield f"    {_node(next(numbers), node)}"
        yield "  }"
    for number, edge in enumerate(picture.edges):
        yield f"  {_edge(number, edge)}"
    yield "}"


def _box(number: int, box: Box) -> str:
    label = "".join(f"{_escaped(line)}\\l" for line in (box.title, box.detail) if line)
    line, fill = (ERROR, ERROR_FILL) if box.broken else (BOX_LINE, BOX)
    return ", ".join(
        [
            f'id="box{number}"',
            f'class="box{" broken" if box.broken else ""}"',
            f'label="{label}"',
            f'fontsize={TITLE:g}, fontcolor="{TEXT.light}", margin=14',
            f'style="rounded,filled{",dashed" if box.partial else ""}"',
            f'color="{line.light}"',
            f'fillcolor="{fill.light}"',
            f'tooltip="{_escaped(box.tooltip)}"',
        ]
    )


def _node(number: int, node: Node) -> str:
    kind = node.kind
    width, height = size_of(node)
    label = "\\n".join(_escaped(line) for line in (node.label, "" if kind.one_line else node.detail) if line)
    rounded = [] if kind.shape in _SHAPES else ["rounded"]
    attributes = [
        f'id="node{number}"',
        f'class="{kind.name}{" broken" if node.broken else ""}"',
        f'label="{label}"',
        f"shape={_SHAPES.get(kind.shape, 'box')}",
        f"width={width / _INCH:.3f}",
        f"height={height / _INCH:.3f}",
        f'style="{",".join(["filled", *rounded, *(["dashed"] if kind.dashed else [])])}"',
        f'color="{(ERROR if node.broken else kind.colour).light}"',
        f'fillcolor="{(ERROR_FILL if node.broken else kind.fill).light}"',
        f'tooltip="{_escaped(node.tooltip)}"',
    ]
    return f"{_quoted(node.id)} [{', '.join(attributes)}];"


def _edge(number: int, edge: Edge) -> str:
    attributes = f'id="edge{number}", class="{edge.kind.name}", style={edge.kind.line}'
    return f"{_quoted(edge.tail)} -> {_quoted(edge.head)} [{attributes}];"


def _quoted(words: str) -> str:
    return '"' + visible(words).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _escaped(words: str) -> str:
    """For the inside of a quoted label, in which `&` begins an entity."""
    return _quoted(words.replace("&", "&amp;"))[1:-1]

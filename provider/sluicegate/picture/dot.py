"""A picture in Graphviz's language. Complete in itself: `dot -Tsvg` draws it, our own SVG takes its places from it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from sluicegate.picture.measures import LABEL, TITLE, size_of, visible
from sluicegate.picture.model import Box, Edge, EdgeKind, Node, NodeKind, Picture
from sluicegate.picture.palette import LIGHT

__all__ = ["dot"]

_SHAPES = {NodeKind.TABLE: "cylinder", NodeKind.OTHER_DAG: "hexagon"}
_STYLES = {EdgeKind.DATA: "solid", EdgeKind.LATEST: "dashed", EdgeKind.AFTER: "dotted"}
_INCH = 72.0


def dot(picture: Picture) -> str:
    """A directed graph from left to right. The `id` of a box, a node or an edge is its number in the picture."""
    return "\n".join(_lines(picture)) + "\n"


def _lines(picture: Picture) -> Iterator[str]:
    yield "digraph pipelines {"
    yield '  graph [rankdir=LR, nodesep=0.2, ranksep=0.5, fontname="Arial", bgcolor=transparent, labeljust=l];'
    yield f'  node [fontname="Arial", fontsize={LABEL:g}, fixedsize=true, style=filled];'
    yield f'  edge [color="{LIGHT.edge}", arrowsize=0.7, tailport=e, headport=w];'
    numbers = count()
    for node in picture.nodes:
        yield f"  {_node(next(numbers), node)}"
    for number, box in enumerate(picture.boxes):
        yield f"  subgraph {_quoted(f'cluster:{box.id}')} {{"
        yield f'    graph [id="{number}", {_box_attributes(box)}];'
        for node in box.nodes:
            yield f"    {_node(next(numbers), node)}"
        yield "  }"
    for number, edge in enumerate(picture.edges):
        yield f"  {_edge(number, edge)}"
    yield "}"


def _box_attributes(box: Box) -> str:
    label = "".join(f"{_escaped(line)}\\l" for line in (box.title, box.detail) if line)
    line, fill = (LIGHT.error, LIGHT.error_fill) if box.broken else (LIGHT.box_line, LIGHT.box)
    style = "rounded,dashed" if box.partial else "rounded,filled"
    attributes = f'label="{label}", fontsize={TITLE:g}, fontcolor="{LIGHT.text}", margin=14, '
    return attributes + f'style="{style}", color="{line}", fillcolor="{fill}", tooltip="{_escaped(box.tooltip)}"'


def _node(number: int, node: Node) -> str:
    width, height = size_of(node)
    dataset = node.kind in (NodeKind.FILE, NodeKind.TABLE)
    label = "\\n".join(_escaped(line) for line in (node.label, "" if dataset else node.detail) if line)
    line = LIGHT.error if node.broken else LIGHT.dataset_line if dataset else LIGHT.accents[node.kind]
    attributes = [
        f'id="{number}"',
        f'label="{label}"',
        f"shape={_SHAPES.get(node.kind, 'box')}",
        f"width={width / _INCH:.3f}",
        f"height={height / _INCH:.3f}",
        f'style="{_style(node)}"',
        f'color="{line}"',
        f'fillcolor="{LIGHT.error_fill if node.broken else LIGHT.dataset if dataset else LIGHT.node}"',
        f'fontcolor="{LIGHT.text}"',
        f'tooltip="{_escaped(node.tooltip)}"',
    ]
    return f"{_quoted(node.id)} [{', '.join(attributes)}];"


def _style(node: Node) -> str:
    rounded = [] if node.kind in _SHAPES else ["rounded"]
    return ",".join(["filled", *rounded, *(["dashed"] if node.source else [])])


def _edge(number: int, edge: Edge) -> str:
    return f'{_quoted(edge.tail)} -> {_quoted(edge.head)} [id="{number}", style={_STYLES[edge.kind]}];'


def _quoted(words: str) -> str:
    return '"' + visible(words).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _escaped(words: str) -> str:
    """For the inside of a quoted label, in which `&` begins an entity."""
    return _quoted(words.replace("&", "&amp;"))[1:-1]

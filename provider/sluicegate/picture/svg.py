"""A picture and its layout as SVG. Light where it is shown on light ground, dark on dark; it loads nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256

from sluicegate.picture.dot import dot
from sluicegate.picture.layout import Layout, Point, Rectangle
from sluicegate.picture.measures import SUBTITLE, width_of
from sluicegate.picture.model import Edge, EdgeKind, Node, NodeKind, Picture
from sluicegate.picture.palette import DARK, LIGHT
from sluicegate.picture.shapes import box_of, edge_of, node_of, rules, text, title_of

__all__ = ["digest", "size_of_svg", "svg"]

_MARGIN = 24.0
_LEGEND_HEIGHT = 40.0
_FONT = "Arimo, Arial, Helvetica, 'Liberation Sans', sans-serif"

_EDGE_WORDS = {
    EdgeKind.DATA: "data, window by window",
    EdgeKind.LATEST: "the latest data",
    EdgeKind.AFTER: "an order that the file says",
}


def svg(picture: Picture, layout: Layout) -> str:
    """The whole file."""
    width, height = size_of_svg(picture, layout)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="{_FONT}">',
            f"<metadata>{digest(picture)}</metadata>",
            f"<style>@media (prefers-color-scheme: dark) {{ {' '.join(rules(DARK))} }}</style>",
            f'<rect class="paper" width="100%" height="100%" rx="8" fill="{LIGHT.paper}"/>',
            f'<g transform="translate({_MARGIN:g} {_MARGIN:g})">',
            *_drawn(picture, layout),
            *_legend_row(list(_legend(picture)), layout.height + _LEGEND_HEIGHT / 2 + 8),
            "</g>",
            "</svg>",
            "",
        ]
    )


def digest(picture: Picture) -> str:
    """What stands in an SVG's metadata: the hash of the picture's DOT, which tells whether the file is up to date."""
    return f"dot sha256 {sha256(dot(picture).encode()).hexdigest()}"


def size_of_svg(picture: Picture, layout: Layout) -> tuple[float, float]:
    """Width and height, in points."""
    legend = list(_legend(picture))
    width = max(layout.width, sum(_entry_width(words) for words, _ in legend))
    return width + 2 * _MARGIN, layout.height + 2 * _MARGIN + (_LEGEND_HEIGHT if legend else 0)


def _drawn(picture: Picture, layout: Layout) -> Iterator[str]:
    """Boxes below edges below nodes, so that no line runs through words."""
    for box in picture.boxes:
        if box.id in layout.boxes:
            yield from box_of(box, layout.boxes[box.id])
    for edge in picture.edges:
        if (edge.tail, edge.head) in layout.edges:
            yield from edge_of(edge, layout.edges[edge.tail, edge.head])
    for box in picture.boxes:
        if box.id in layout.boxes:
            yield from title_of(box, layout.boxes[box.id])
    for node in picture.all_nodes():
        if node.id in layout.nodes:
            yield from node_of(node, layout.nodes[node.id])


# --- the legend --------------------------------------------------------------------------------------------------

_STEPS = (NodeKind.LOAD, NodeKind.SPARK, NodeKind.TRANSFORM, NodeKind.PYTHON, NodeKind.OPERATOR)
_Entry = tuple[str, Node | EdgeKind]


def _legend(picture: Picture) -> Iterator[_Entry]:
    """What occurs, each with its words."""
    nodes = list(picture.all_nodes())
    kinds = {node.kind for node in nodes}
    for kind in _STEPS:
        if kind in kinds:
            yield str(kind), Node("", kind, "")
    if any(node.kind is NodeKind.FILE for node in nodes):
        yield "files", Node("", NodeKind.FILE, "")
    if NodeKind.TABLE in kinds:
        yield "table", Node("", NodeKind.TABLE, "")
    if any(node.source and not node.broken for node in nodes):
        yield "source: no pipeline writes it", Node("", NodeKind.FILE, "", source=True)
    if NodeKind.OTHER_DAG in kinds:
        yield "DAG that is no pipeline", Node("", NodeKind.OTHER_DAG, "")
    if any(node.broken for node in nodes) or any(box.broken for box in picture.boxes):
        yield "with errors", Node("", NodeKind.PIPELINE, "", broken=True)
    for edge in EdgeKind:
        if any(each.kind is edge for each in picture.edges):
            yield _EDGE_WORDS[edge], edge


def _entry_width(words: str) -> float:
    return 34 + width_of(words, SUBTITLE) + 22


def _legend_row(legend: Sequence[_Entry], middle: float) -> Iterator[str]:
    left = 0.0
    for words, what in legend:
        if isinstance(what, Node):
            high = 14.0 if what.kind is not NodeKind.TABLE else 18.0
            yield from node_of(what, Rectangle(left, middle - high / 2, 26, high))
        else:
            yield from edge_of(Edge("", "", what), _sample(left, middle))
        yield text(left + 34, middle + 3.8, SUBTITLE, words, "muted")
        left += _entry_width(words)


def _sample(left: float, middle: float) -> list[Point]:
    """A short straight curve with its tip."""
    return [(left, middle), (left + 8, middle), (left + 14, middle), (left + 21, middle), (left + 26, middle)]

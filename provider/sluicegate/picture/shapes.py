"""What stands in a picture, as elements of SVG: in the light palette by attributes, by classes for another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from math import atan2, cos, sin

from sluicegate.picture.layout import Point, Rectangle
from sluicegate.picture.measures import DETAIL, LABEL, SUBTITLE, TITLE, visible
from sluicegate.picture.model import Box, Edge, EdgeKind, Node, NodeKind
from sluicegate.picture.palette import LIGHT, Palette

__all__ = ["box_of", "edge_of", "node_of", "rules", "text", "title_of"]

_DASHES = {EdgeKind.DATA: "", EdgeKind.LATEST: "5 4", EdgeKind.AFTER: "1.5 3.5"}
_ARROW = 6.5
_CORNER = 6.0
_LID = 4.5
"""How far a cylinder's lid is from flat."""


def rules(palette: Palette) -> Iterator[str]:
    """What the attributes say in the light palette, as rules for another."""
    for name, colour in _fills(palette).items():
        yield f".{name} {{ fill: {colour} }}"
    for name, colour in _strokes(palette).items():
        yield f".{name} {{ stroke: {colour} }}"


def _fills(palette: Palette) -> dict[str, str]:
    return {
        "paper": palette.paper,
        "box": palette.box,
        "node": palette.node,
        "dataset": palette.dataset,
        "wrong": palette.error_fill,
        "text": palette.text,
        "muted": palette.muted,
        "red": palette.error,
        "tip": palette.edge,
    } | {f"{kind}-fill": colour for kind, colour in palette.accents.items()}


def _strokes(palette: Palette) -> dict[str, str]:
    return {
        "box-line": palette.box_line,
        "dataset-line": palette.dataset_line,
        "red-line": palette.error,
        "edge": palette.edge,
        "box-halo": palette.box,
        "wrong-halo": palette.error_fill,
    } | {f"{kind}-line": colour for kind, colour in palette.accents.items()}


_FILL = _fills(LIGHT)
_STROKE = _strokes(LIGHT)


def _fill(name: str) -> str:
    return f'class="{name}" fill="{_FILL[name]}"'


def _painted(fill: str, line: str) -> str:
    return f'class="{fill} {line}" fill="{_FILL[fill]}" stroke="{_STROKE[line]}"'


def box_of(box: Box, at: Rectangle) -> Iterator[str]:
    paint = _painted("wrong", "red-line") if box.broken else _painted("box", "box-line")
    dashes = ' stroke-dasharray="5 4"' if box.partial else ""
    yield f'<rect {_frame(at)} rx="10" {paint}{dashes}>{_tooltip(box.tooltip)}</rect>'


def title_of(box: Box, at: Rectangle) -> Iterator[str]:
    """With a halo, where a line passes behind the words."""
    halo = "wrong" if box.broken else "box"
    width = 'stroke-width="4" stroke-linejoin="round" paint-order="stroke"'
    yield f'<g class="{halo}-halo" stroke="{_FILL[halo]}" {width}>'
    yield text(at.left + 14, at.top + 21, TITLE, box.title, "text", bold=True)
    if box.detail:
        yield text(at.left + 14, at.top + 37, SUBTITLE, box.detail, "red" if box.broken else "muted")
    yield "</g>"


def edge_of(edge: Edge, curve: Sequence[Point]) -> Iterator[str]:
    *points, tip = curve
    first, *others = points
    path = f"M{first[0]:.1f} {first[1]:.1f}C" + " ".join(f"{x:.1f} {y:.1f}" for x, y in others)
    # Graphviz ends a curve where its own arrow begins, which is longer than ours.
    path += f"L{(points[-1][0] + tip[0]) / 2:.1f} {(points[-1][1] + tip[1]) / 2:.1f}"
    dashes = f' stroke-dasharray="{_DASHES[edge.kind]}"' if _DASHES[edge.kind] else ""
    yield f'<path d="{path}" class="edge" fill="none" stroke="{_STROKE["edge"]}" stroke-width="1.3"{dashes}/>'
    yield _arrow(points[-1], tip)


def _arrow(start: Point, tip: Point) -> str:
    angle = atan2(tip[1] - start[1], tip[0] - start[0])
    corners = [(tip[0] - _ARROW * cos(angle + turn), tip[1] - _ARROW * sin(angle + turn)) for turn in (0.42, -0.42)]
    return f'<polygon points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in (tip, *corners))}" {_fill("tip")}/>'


def node_of(node: Node, at: Rectangle) -> Iterator[str]:
    yield f"<g>{_tooltip(node.tooltip)}"
    if node.kind in (NodeKind.FILE, NodeKind.TABLE):
        yield from _dataset(node, at)
    else:
        yield from _step(node, at)
    yield "</g>"


def _dataset(node: Node, at: Rectangle) -> Iterator[str]:
    paint = _painted("wrong", "red-line") if node.broken else _painted("dataset", "dataset-line")
    dashes = ' stroke-dasharray="4 3"' if node.source else ""
    middle = at.left + at.width / 2
    if node.kind is NodeKind.FILE:
        yield f'<rect {_frame(at)} rx="{at.height / 2:g}" {paint}{dashes}/>'
        yield text(middle, at.top + at.height / 2 + 4.2, LABEL, node.label, "text", anchor="middle")
        return
    left, right = at.left, at.left + at.width
    top, bottom = at.top + _LID, at.top + at.height - _LID
    arc = f"A{at.width / 2:.1f} {_LID:g} 0 0 0"
    sides = f"M{left:.1f} {top:.1f}V{bottom:.1f}{arc} {right:.1f} {bottom:.1f}V{top:.1f}A{at.width / 2:.1f} {_LID:g}"
    yield f'<path d="{sides} 0 0 0 {left:.1f} {top:.1f}Z" {paint}{dashes}/>'
    yield f'<path d="M{left:.1f} {top:.1f}{arc} {right:.1f} {top:.1f}" {paint}{dashes}/>'
    yield text(middle, at.top + at.height / 2 + 6.5, LABEL, node.label, "text", anchor="middle")


def _step(node: Node, at: Rectangle) -> Iterator[str]:
    line = "red-line" if node.broken else f"{node.kind}-line"
    fill = "red" if node.broken else f"{node.kind}-fill"
    paint = _painted("wrong" if node.broken else "node", line)
    if node.kind is NodeKind.OTHER_DAG:
        yield f'<polygon points="{_hexagon(at)}" {paint}/>'
    else:
        yield f'<rect {_frame(at)} rx="{_CORNER:g}" {paint}/>'
        yield f'<path d="{_bar(at)}" {_fill(fill)}/>'
    left = at.left + 17
    yield text(left, at.top + (17 if node.detail else 24), LABEL, node.label, "text", bold=True)
    if node.detail:
        yield text(left, at.top + 31, DETAIL, node.detail, "red" if node.broken else "muted")


def _hexagon(at: Rectangle) -> str:
    left, right, middle, bottom = at.left, at.left + at.width, at.top + at.height / 2, at.top + at.height
    cut = 9.0
    upper = [(left, middle), (left + cut, at.top), (right - cut, at.top)]
    corners = [*upper, (right, middle), (right - cut, bottom), (left + cut, bottom)]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)


def _bar(at: Rectangle) -> str:
    """The coloured left edge of a step, round where the step is."""
    left, top, bottom, inner = at.left, at.top, at.top + at.height, at.left + _CORNER
    arc = f"A{_CORNER:g} {_CORNER:g} 0 0 1"
    outline = f"M{inner:.1f} {top:.1f}h1V{bottom:.1f}h-1{arc} {left:.1f} {bottom - _CORNER:.1f}"
    return f"{outline}V{top + _CORNER:.1f}{arc} {inner:.1f} {top:.1f}Z"


def text(x: float, y: float, size: float, words: str, colour: str, *, bold: bool = False, anchor: str = "") -> str:
    weight = ' font-weight="bold"' if bold else ""
    side = f' text-anchor="{anchor}"' if anchor else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}"{weight}{side} {_fill(colour)}>{_escaped(words)}</text>'


def _tooltip(words: str) -> str:
    return f"<title>{_escaped(words)}</title>" if words else ""


def _frame(at: Rectangle) -> str:
    return f'x="{at.left:.1f}" y="{at.top:.1f}" width="{at.width:.1f}" height="{at.height:.1f}"'


def _escaped(words: str) -> str:
    return escape(visible(words))

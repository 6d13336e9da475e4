"""Order in any directed graph: what can be reached, cycles, waves. Nodes are whatever can be hashed."""

from __future__ import annotations

import graphlib
from collections.abc import Hashable, Iterable, Mapping
from itertools import chain
from typing import TypeVar

__all__ = ["CycleError", "cycles", "following", "reached", "waves"]

NodeT = TypeVar("NodeT", bound=Hashable)


class CycleError(ValueError):
    """Raised where an order is asked for and nodes wait for each other.

    `path` goes along the links and has its first node again at its end.
    """

    def __init__(self, path: tuple[Hashable, ...]) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"a cycle: {' -> '.join(map(str, self.path))}"


def following(links: Iterable[tuple[NodeT, NodeT]]) -> dict[NodeT, list[NodeT]]:
    """By node with a link to another, the nodes that its links lead to, in the order of the links."""
    found: dict[NodeT, list[NodeT]] = {}
    for first, second in links:
        found.setdefault(first, []).append(second)
    return found


def reached(after: Mapping[NodeT, Iterable[NodeT]], starts: Iterable[NodeT]) -> set[NodeT]:
    """The nodes at the end of a path of one or more links from one of `starts`; a start only if a path leads to it.

    :param after: by node, the nodes that its links lead to
    """
    found: set[NodeT] = set()
    ahead = [node for start in starts for node in after.get(start, ())]
    while ahead:
        node = ahead.pop()
        if node not in found:
            found.add(node)
            ahead += after.get(node, ())
    return found


def waves(links: Iterable[tuple[NodeT, NodeT]], nodes: Iterable[NodeT] = ()) -> tuple[tuple[NodeT, ...], ...]:
    """The nodes in as few groups as can be, so that each link leads into a later group than it starts from.

    A node is in the first group that its links allow (Kahn's levels). Within a group the order is that of
    `nodes`, then that of `links`.

    :param links: pairs of a node and one that comes after it
    :param nodes: those to include without a link; the ends of `links` need not be named
    :raises CycleError: when nodes wait for each other, also one for itself.
    """
    pairs = list(links)
    before: dict[NodeT, list[NodeT]] = {node: [] for node in chain(nodes, chain.from_iterable(pairs))}
    for first, second in pairs:
        before[second].append(first)
    place = {node: number for number, node in enumerate(before)}
    sorter = graphlib.TopologicalSorter(before)
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        raise CycleError(tuple(error.args[1])) from None
    found = []
    while ready := sorter.get_ready():
        found.append(tuple(sorted(ready, key=place.__getitem__)))
        sorter.done(*ready)
    return tuple(found)


def cycles(links: Iterable[tuple[NodeT, NodeT]]) -> list[tuple[NodeT, ...]]:
    """Cycles of a graph that share no node, each with its first node again at its end; no links to itself."""
    before: dict[NodeT, list[NodeT]] = {}
    for first, second in links:
        if first != second:
            before.setdefault(first, [])
            before.setdefault(second, []).append(first)
    found: list[tuple[NodeT, ...]] = []
    while True:
        try:
            graphlib.TopologicalSorter(before).prepare()
        except graphlib.CycleError as error:
            path: tuple[NodeT, ...] = tuple(error.args[1])
            found.append(path)
            before = {
                node: [other for other in others if other not in path]
                for node, others in before.items()
                if node not in path
            }
        else:
            return found

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


def waves(
    links: Iterable[tuple[NodeT, NodeT]],
    nodes: Iterable[NodeT] = (),
    *,
    together: Iterable[tuple[NodeT, NodeT]] = (),
) -> tuple[tuple[NodeT, ...], ...]:
    """The nodes in as few groups as can be, so that each link leads into a later group than it starts from.

    A node is in the first group that its links allow (Kahn's levels). Within a group the order is that of
    `nodes`, then that of `links`.

    :param links: pairs of a node and one that comes after it
    :param nodes: those to include without a link; the ends of `links` need not be named
    :param together: further links, which may lead into the group that they start from, but not into an earlier one
    :raises CycleError: when nodes wait for each other, also one for itself.
    """
    apart, beside = list(links), list(together)
    before: dict[NodeT, list[NodeT]] = {
        node: [] for node in chain(nodes, chain.from_iterable(apart), chain.from_iterable(beside))
    }
    for first, second in chain(apart, beside):
        before[second].append(first)
    try:
        ordered = tuple(graphlib.TopologicalSorter(before).static_order())
    except graphlib.CycleError as error:
        raise CycleError(tuple(error.args[1])) from None
    later, same = following(apart), following(beside)
    level = dict.fromkeys(before, 0)
    for node in ordered:
        for other in later.get(node, ()):
            level[other] = max(level[other], level[node] + 1)
        for other in same.get(node, ()):
            level[other] = max(level[other], level[node])
    found: list[list[NodeT]] = [[] for _ in range(1 + max(level.values(), default=-1))]
    for node, number in level.items():
        found[number].append(node)
    return tuple(map(tuple, found))


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

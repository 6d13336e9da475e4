"""How many machines of which type a cluster asks for, at the most. Values in, values out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sluicegate.pipeline.keys.cluster import Cluster, Fleet, Fleets, Instances

__all__ = ["Machines", "machines_of", "types_of"]


@dataclass(frozen=True)
class Machines:
    """`market` is `on_demand` or `spot`."""

    type: str
    count: int
    market: str


def machines_of(cluster: Cluster) -> tuple[Machines, ...]:
    """Those of the largest of what the cluster may be made of; of a fleet's types, the first."""
    sizes = [cluster.sized(size) for size in cluster.by_input] or [cluster]
    choices = [
        *(tuple(_groups(each)) for one in sizes for each in one.instances),
        *(tuple(_fleets(each)) for one in sizes for each in one.fleets),
    ]
    return max(choices, key=lambda some: sum(one.count for one in some), default=())


def types_of(cluster: Cluster) -> frozenset[str]:
    """Every type that the cluster names."""
    groups = {some.type for each in cluster.instances for some in _groups(each)}
    return frozenset(groups | {kind.type for each in cluster.fleets for fleet in _roles(each) for kind in fleet.types})


def _groups(groups: Instances) -> Iterator[Machines]:
    yield Machines(groups.primary.type, 1, groups.primary.market)
    for nodes in (groups.core, groups.task):
        if nodes is not None:
            yield Machines(nodes.type, nodes.count, nodes.market)


def _fleets(fleets: Fleets) -> Iterator[Machines]:
    for fleet in _roles(fleets):
        first = fleet.types[0]
        for market, units in (("on_demand", fleet.on_demand), ("spot", fleet.spot)):
            if units:
                yield Machines(first.type, -(-units // first.weight), market)


def _roles(fleets: Fleets) -> Iterator[Fleet]:
    yield from (fleet for fleet in (fleets.primary, fleets.core, fleets.task) if fleet is not None)

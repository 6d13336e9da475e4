"""How many machines of which type a cluster asks for, at the most. Values in, values out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sluicegate.pipeline.keys.cluster import Cluster, Fleet, Fleets, Instances, Scaling

__all__ = ["Machines", "machines_of", "types_of"]


@dataclass(frozen=True)
class Machines:
    """`market` is `on_demand` or `spot`."""

    type: str
    count: int
    market: str


def machines_of(cluster: Cluster) -> tuple[Machines, ...]:
    """Those of the largest of what the cluster may be made of, grown as far as `scaling` lets it.

    Of a fleet's types the first counts; what scaling adds is task nodes, or core nodes where there are none.
    """
    sizes = [cluster.sized(size) for size in cluster.by_input] or [cluster]
    choices = [
        *(tuple(_groups(each, one.scaling)) for one in sizes for each in one.instances),
        *(tuple(_fleets(each, one.scaling)) for one in sizes for each in one.fleets),
    ]
    return max(choices, key=lambda some: sum(one.count for one in some), default=())


def types_of(cluster: Cluster) -> frozenset[str]:
    """Every type that the cluster names."""
    groups = {some.type for each in cluster.instances for some in _groups(each)}
    return frozenset(groups | {kind.type for each in cluster.fleets for fleet in _roles(each) for kind in fleet.types})


def _groups(groups: Instances, scaling: Scaling | None = None) -> Iterator[Machines]:
    yield Machines(groups.primary.type, 1, groups.primary.market)
    nodes = [each for each in (groups.core, groups.task) if each is not None]
    for each in nodes:
        yield Machines(each.type, each.count, each.market)
    more = scaling.max - sum(each.count for each in nodes) if scaling else 0
    if nodes and more > 0:
        yield Machines(nodes[-1].type, more, nodes[-1].market)


def _fleets(fleets: Fleets, scaling: Scaling | None) -> Iterator[Machines]:
    nodes = [each for each in (fleets.core, fleets.task) if each is not None]
    more = scaling.max - sum(each.on_demand + each.spot for each in nodes) if scaling else 0
    for fleet in _roles(fleets):
        first, grows = fleet.types[0], max(more, 0) if nodes and fleet is nodes[-1] else 0
        spot = fleet.spot + (grows if fleet.spot else 0)
        on_demand = fleet.on_demand + (0 if fleet.spot else grows)
        for market, units in (("on_demand", on_demand), ("spot", spot)):
            if units:
                yield Machines(first.type, -(-units // first.weight), market)


def _roles(fleets: Fleets) -> Iterator[Fleet]:
    yield from (fleet for fleet in (fleets.primary, fleets.core, fleets.task) if fleet is not None)

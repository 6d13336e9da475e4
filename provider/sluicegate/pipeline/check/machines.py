"""What is wrong with the machines of a cluster: markets, fleets, limits of scaling, sizes by input. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

from sluicegate.pipeline.check.unsound import Unsound
from sluicegate.pipeline.diagnostics import Where
from sluicegate.pipeline.keys.cluster import (
    Cluster,
    CoreInstances,
    Fleet,
    Fleets,
    Instances,
    PrimaryFleet,
    Scaling,
    Size,
    Volume,
)
from sluicegate.pipeline.text.quantities import format_bytes, format_duration

__all__ = ["machine_errors"]

_MOST_TYPES = 30
"""Instance types of a fleet that has an allocation strategy, as ours have."""
_SPOT_TIMEOUT = timedelta(minutes=5), timedelta(minutes=1440)
_THROUGHPUT = 125, 1000
_SPOT_PRIMARY = (
    "when AWS takes a spot primary node back, the cluster ends and all its work is lost: "
    "leave it on demand, or say `interruptible: true` beside it"
)


def machine_errors(cluster: Cluster) -> Iterator[Unsound]:
    for index, groups in enumerate(cluster.instances):
        yield from _groups(groups, ("instances", index))
    for index, fleets in enumerate(cluster.fleets):
        yield from _fleets(fleets, ("fleets", index))
    if cluster.scaling is not None:
        yield from _scaling(cluster.scaling)
        yield from _without_core(cluster, "`scaling` is of core and task nodes")
    yield from _over_limits(cluster)
    yield from _sizes(cluster)


def _groups(groups: Instances, at: Where) -> Iterator[Unsound]:
    if groups.primary.market == "spot" and not groups.primary.interruptible:
        yield Unsound((*at, "primary", "market"), _SPOT_PRIMARY)
    if groups.task is not None and groups.core is None:
        yield Unsound((*at, "task"), "EMR takes task nodes only beside core nodes: say `core` too", key=True)
    for role in ("primary", "core", "task"):
        if (group := getattr(groups, role)) is not None and group.volume is not None:
            yield from _volume(group.volume, (*at, role, "volume"))


def _volume(volume: Volume, at: Where) -> Iterator[Unsound]:
    least, most = _THROUGHPUT
    if volume.throughput is not None and volume.type != "gp3":
        yield Unsound((*at, "throughput"), "`throughput` is for `type: gp3`", key=True)
    elif volume.throughput is not None and not least <= volume.throughput <= most:
        yield Unsound((*at, "throughput"), f"EMR takes from {least} to {most} MiB/s here, not {volume.throughput}")
    if volume.iops is not None and volume.type not in ("gp3", "io1"):
        yield Unsound((*at, "iops"), "`iops` is for `type: gp3` or `io1`", key=True)
    if volume.iops is None and volume.type == "io1":
        yield Unsound((*at, "type"), "a volume of `type: io1` needs `iops`: say it, or take `gp3`")


def _fleets(fleets: Fleets, at: Where) -> Iterator[Unsound]:
    primary = fleets.primary
    if primary.on_demand + primary.spot != 1:
        units = f"a cluster has one primary node, not {primary.on_demand} on demand and {primary.spot} spot"
        message = f"{units}: leave both out, or say `on_demand: 0, spot: 1`"
        yield Unsound((*at, "primary"), message, key=True)
    elif primary.spot and not primary.interruptible:
        yield Unsound((*at, "primary", "spot"), _SPOT_PRIMARY)
    for index, each in enumerate(primary.types):
        if each.weight != 1:
            message = "a primary node is one machine, whatever its type weighs: leave `weight` out here"
            yield Unsound((*at, "primary", "types", index, "weight"), message, key=True)
    if fleets.task is not None and fleets.core is None:
        yield Unsound((*at, "task"), "EMR takes task nodes only beside core nodes: say `core` too", key=True)
    for role in ("primary", "core", "task"):
        if (fleet := getattr(fleets, role)) is not None:
            yield from _fleet(fleet, (*at, role))


def _fleet(fleet: Fleet, at: Where) -> Iterator[Unsound]:
    types = [each.type for each in fleet.types]
    if not types:
        yield Unsound((*at, "types"), "a fleet needs a type")
    if len(types) > _MOST_TYPES:
        message = f"EMR takes {_MOST_TYPES} types in a fleet, not {len(types)}: leave some out"
        yield Unsound((*at, "types"), message)
    if twice := [name for name, count in Counter(types).items() if count > 1]:
        yield Unsound((*at, "types"), f"{twice[0]} is there twice: name each type once")
    if not isinstance(fleet, PrimaryFleet) and not fleet.on_demand + fleet.spot:
        yield Unsound(at, "how many? say `on_demand: 2`, `spot: 8`, or both, in units", key=True)
    if fleet.volume is not None:
        yield from _volume(fleet.volume, (*at, "volume"))
    least, most = _SPOT_TIMEOUT
    if not least <= fleet.spot_timeout <= most:
        said = format_duration(fleet.spot_timeout)
        yield Unsound((*at, "spot_timeout"), f"EMR takes from 5m to 24h here, not {said}")
    if fleet.spot_timeout.total_seconds() % 60:
        yield Unsound((*at, "spot_timeout"), "EMR takes whole minutes here")


def _scaling(scaling: Scaling) -> Iterator[Unsound]:
    if scaling.max < scaling.min:
        message = f"`max: {scaling.max}` is below `min: {scaling.min}`: raise it, or lower `min`"
        yield Unsound(("scaling", "max"), message)
        return
    for key, limit in (("max_on_demand", scaling.max_on_demand), ("max_core", scaling.max_core)):
        if limit is not None and limit > scaling.max:
            message = f"`{key}: {limit}` is above `max: {scaling.max}`: lower it, or raise `max`"
            yield Unsound(("scaling", key), message)


def _without_core(cluster: Cluster, why: str) -> Iterator[Unsound]:
    for place, machines in _all_machines(cluster):
        if machines.core is None:
            yield Unsound(place, f"{why}: say `core` here", key=True)


def _all_machines(cluster: Cluster) -> Iterator[tuple[Where, Instances | Fleets]]:
    for index, groups in enumerate(cluster.instances):
        yield ("instances", index), groups
    for index, fleets in enumerate(cluster.fleets):
        yield ("fleets", index), fleets


def _over_limits(cluster: Cluster) -> Iterator[Unsound]:
    """Counts that are fixed and above what scaling may have."""
    scaling = cluster.scaling
    if scaling is None or scaling.max < scaling.min:
        return
    limits = {"max": scaling.max, "max_on_demand": scaling.max_on_demand, "max_core": scaling.max_core}
    for place, machines in _all_machines(cluster):
        for key, count in _counts(machines).items():
            limit = limits[key]
            if limit is not None and count > limit:
                what = {"max": "core and task nodes", "max_on_demand": "on demand", "max_core": "core nodes"}[key]
                message = (
                    f"it begins with {count} {what}, and `scaling` has `{key}: {limit}`: raise it, or begin with less"
                )
                yield Unsound(place, message, key=True)


def _counts(machines: Instances | Fleets) -> dict[str, int]:
    """By the limit of scaling that holds for them."""
    nodes = [each for each in (machines.core, machines.task) if each is not None]
    return {
        "max": sum(_units(each) for each in nodes),
        "max_on_demand": sum(each.on_demand if isinstance(each, Fleet) else _on_demand(each) for each in nodes),
        "max_core": _units(machines.core) if machines.core is not None else 0,
    }


def _units(nodes: Fleet | CoreInstances) -> int:
    return nodes.on_demand + nodes.spot if isinstance(nodes, Fleet) else nodes.count


def _on_demand(nodes: CoreInstances) -> int:
    return nodes.count if nodes.market == "on_demand" else 0


# --- by input -----------------------------------------------------------------------------------------------------


def _sizes(cluster: Cluster) -> Iterator[Unsound]:
    sizes = cluster.by_input
    if not sizes:
        return
    if not cluster.instances and not cluster.fleets:
        message = "it is for `instances` or `fleets`, not those of `run_job_flow`: say the machines there"
        yield Unsound(("by_input",), message, key=True)
        return
    if sizes[0].from_ != 0:
        at = ("by_input", 0, "from")
        yield Unsound(at, f"what holds below {format_bytes(sizes[0].from_)}? let the first say `from: 0`")
    for index, (before, after) in enumerate(pairwise(sizes), start=1):
        if after.from_ <= before.from_:
            message = (
                f"expected more than {format_bytes(before.from_)}, where the one before begins: sort them by `from`"
            )
            yield Unsound(("by_input", index, "from"), message)
    for index, size in enumerate(sizes):
        yield from _size(cluster, size, ("by_input", index))


def _size(cluster: Cluster, size: Size, at: Where) -> Iterator[Unsound]:
    if size.core is None and size.task is None and size.max is None:
        yield Unsound(at, "this says nothing: expected `core`, `task` or `max`")
    if size.max is not None and cluster.scaling is None:
        yield Unsound((*at, "max"), "this is the `max` of `scaling`, which the cluster does not have", key=True)
        return
    for role in ("core", "task"):
        if (count := getattr(size, role)) is None:
            continue
        for place, machines in _all_machines(cluster):
            nodes = getattr(machines, role)
            if nodes is None:
                yield Unsound((*at, role), f"the cluster has no `{role}`: say its types below `{place[0]}`", key=True)
            elif isinstance(nodes, Fleet) and nodes.on_demand and nodes.spot:
                message = (
                    f"the {role} fleet has units on demand and spot, and {count} does not say of which: "
                    "give it one market, or one cluster to each size"
                )
                yield Unsound((*at, role), message)
    if cluster.scaling is not None and not any(_over_limits(cluster)):
        for wrong in (*_scaling(cluster.sized(size).scaling or cluster.scaling), *_over_limits(cluster.sized(size))):
            yield Unsound(at, f"with this size {wrong.message}")
            return

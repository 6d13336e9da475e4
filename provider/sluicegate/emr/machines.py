"""The machines of a cluster as RunJobFlow's `Instances` has them: instance groups, or instance fleets. Pure."""

from __future__ import annotations

from typing import Any

from sluicegate.pipeline.keys.cluster import (
    CoreInstances,
    Fleet,
    Fleets,
    Instances,
    PrimaryInstance,
    Scaling,
    Volume,
)

__all__ = ["fleet_request", "group_request", "scaling_request"]

_ROLES = {"primary": "MASTER", "core": "CORE", "task": "TASK"}


def group_request(groups: Instances) -> list[dict[str, Any]]:
    """`InstanceGroups`."""
    every = {role: getattr(groups, role) for role in _ROLES}
    return [_group(role, group) for role, group in every.items() if group is not None]


def _group(role: str, group: PrimaryInstance | CoreInstances) -> dict[str, Any]:
    return {
        "Name": role,
        "InstanceRole": _ROLES[role],
        "Market": group.market.upper(),
        "InstanceType": group.type,
        "InstanceCount": group.count if isinstance(group, CoreInstances) else 1,
        **_ebs(group.volume),
    }


def fleet_request(fleets: Fleets) -> list[dict[str, Any]]:
    """`InstanceFleets`."""
    every = {role: getattr(fleets, role) for role in _ROLES}
    return [_fleet(role, fleet) for role, fleet in every.items() if fleet is not None]


def _fleet(role: str, fleet: Fleet) -> dict[str, Any]:
    types = [
        {
            "InstanceType": each.type,
            # A primary fleet is one instance: check refuses a weight.
            **({"WeightedCapacity": each.weight} if role != "primary" else {}),
            **({"Priority": float(index)} if _takes_in_order(fleet) else {}),
            **_ebs(fleet.volume),
        }
        for index, each in enumerate(fleet.types)
    ]
    return {
        "Name": role,
        "InstanceFleetType": _ROLES[role],
        "TargetOnDemandCapacity": fleet.on_demand,
        "TargetSpotCapacity": fleet.spot,
        "InstanceTypeConfigs": types,
        "LaunchSpecifications": _launch(fleet),
    }


def _takes_in_order(fleet: Fleet) -> bool:
    return "prioritized" in (fleet.on_demand_allocation, fleet.spot_allocation.rpartition("-")[2])


def _launch(fleet: Fleet) -> dict[str, Any]:
    """Without what is said of a market that the fleet does not use."""
    switches = bool(fleet.spot) and fleet.on_spot_timeout == "switch_to_on_demand"
    found: dict[str, Any] = {}
    if fleet.on_demand or switches:
        found["OnDemandSpecification"] = {"AllocationStrategy": fleet.on_demand_allocation}
    if fleet.spot:
        found["SpotSpecification"] = {
            "TimeoutDurationMinutes": int(fleet.spot_timeout.total_seconds()) // 60,
            "TimeoutAction": fleet.on_spot_timeout.upper(),
            "AllocationStrategy": fleet.spot_allocation,
        }
    return found


def _ebs(volume: Volume | None) -> dict[str, Any]:
    if volume is None:
        return {}
    optional = {"Iops": volume.iops, "Throughput": volume.throughput}
    specification = {
        "VolumeType": volume.type,
        "SizeInGB": volume.size,
        **{key: value for key, value in optional.items() if value is not None},
    }
    config = {"VolumeSpecification": specification, "VolumesPerInstance": volume.per_node}
    return {"EbsConfiguration": {"EbsBlockDeviceConfigs": [config]}}


def scaling_request(scaling: Scaling, *, by_fleets: bool) -> dict[str, Any]:
    """`ManagedScalingPolicy`."""
    limits: dict[str, Any] = {
        "UnitType": "InstanceFleetUnits" if by_fleets else "Instances",
        "MinimumCapacityUnits": scaling.min,
        "MaximumCapacityUnits": scaling.max,
    }
    if scaling.max_on_demand is not None:
        limits["MaximumOnDemandCapacityUnits"] = scaling.max_on_demand
    if scaling.max_core is not None:
        limits["MaximumCoreCapacityUnits"] = scaling.max_core
    return {"ComputeLimits": limits}

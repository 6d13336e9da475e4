"""The machines that a cluster would have on EMR, as EMR shows them: groups, fleets, instances, normalized hours.

None of them is real: everything runs on this machine. Their ids follow from the cluster's.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from sluicegate.local.aws.clusters import Cluster, ClusterState, Json

_STATES = {
    ClusterState.STARTING: "PROVISIONING",
    ClusterState.BOOTSTRAPPING: "BOOTSTRAPPING",
    ClusterState.RUNNING: "RUNNING",
    ClusterState.WAITING: "RUNNING",
    ClusterState.TERMINATING: "TERMINATING",
}
# EMR's weights of sizes, in hours of an m1.small; every further xlarge counts 8.
_WEIGHTS = {"medium": 2, "large": 4, "xlarge": 8}


@dataclass(frozen=True)
class Machines:
    """A group or fleet: so many machines of a type on demand and from the spot market."""

    id: str
    role: str
    type: str
    on_demand: int
    spot: int
    asked: Json

    @property
    def count(self) -> int:
        return self.on_demand + self.spot

    @property
    def market(self) -> str:
        """That of most of its machines."""
        return "SPOT" if self.spot > self.on_demand else "ON_DEMAND"

    @property
    def weight(self) -> int:
        size = self.type.rpartition(".")[2]
        found = re.fullmatch(r"(\d+)xlarge", size)
        return 8 * int(found[1]) if found else _WEIGHTS.get(size, 1)


def uses_fleets(cluster: Cluster) -> bool:
    return bool(cluster.instances.get("InstanceFleets"))


def machines_of(cluster: Cluster) -> list[Machines]:
    if uses_fleets(cluster):
        fleets = cast("list[Json]", cluster.instances["InstanceFleets"])
        return [_fleet(cluster, number, fleet) for number, fleet in enumerate(fleets)]
    return [_group(cluster, number, group) for number, group in enumerate(_groups(cluster.instances))]


def normalized_hours(cluster: Cluster, now: datetime) -> int:
    """Nothing until the cluster is ready, then every hour that was begun."""
    if cluster.ready is None:
        return 0
    hours = max(1, math.ceil(((cluster.ended or now) - cluster.ready).total_seconds() / 3600))
    return hours * sum(each.count * each.weight for each in machines_of(cluster))


def group_views(cluster: Cluster) -> list[Json]:
    """EMR's InstanceGroup, each."""
    return [
        {
            "Id": each.id,
            "Name": str(each.asked.get("Name") or each.role),
            "Market": each.market,
            "InstanceGroupType": each.role,
            "InstanceType": each.type,
            "RequestedInstanceCount": each.count,
            "RunningInstanceCount": _running(cluster, each),
            "Status": _status(cluster),
            "Configurations": each.asked.get("Configurations") or [],
            "EbsBlockDevices": [],
            "ShrinkPolicy": {},
            **({"BidPrice": each.asked["BidPrice"]} if each.asked.get("BidPrice") else {}),
        }
        for each in machines_of(cluster)
    ]


def fleet_views(cluster: Cluster) -> list[Json]:
    """EMR's InstanceFleet, each."""
    found = []
    for each in machines_of(cluster):
        on_demand, spot = _targets(each.asked)
        up = _running(cluster, each) > 0
        view: Json = {
            "Id": each.id,
            "Name": str(each.asked.get("Name") or each.role),
            "Status": _status(cluster),
            "InstanceFleetType": each.role,
            "TargetOnDemandCapacity": on_demand,
            "TargetSpotCapacity": spot,
            "ProvisionedOnDemandCapacity": on_demand if up else 0,
            "ProvisionedSpotCapacity": spot if up else 0,
            "InstanceTypeSpecifications": [_specification(row) for row in _types(each.asked)],
        }
        if each.asked.get("LaunchSpecifications"):
            view["LaunchSpecifications"] = each.asked["LaunchSpecifications"]
        found.append(view)
    return found


def instance_views(cluster: Cluster, asked: Json) -> Iterator[Json]:
    """EMR's Instance, each that the request asks for."""
    wanted_groups = cast("list[str]", asked.get("InstanceGroupTypes") or [])
    wanted_states = cast("list[str]", asked.get("InstanceStates") or [])
    member = "InstanceFleetId" if uses_fleets(cluster) else "InstanceGroupId"
    for each in machines_of(cluster):
        if asked.get(member, each.id) != each.id or asked.get("InstanceFleetType", each.role) != each.role:
            continue
        if wanted_groups and each.role not in wanted_groups:
            continue
        for number in range(each.count):
            view = _instance(cluster, each, member, number)
            if not wanted_states or cast("Json", view["Status"])["State"] in wanted_states:
                yield view


def _instance(cluster: Cluster, each: Machines, member: str, number: int) -> Json:
    unique = _id(cluster, f"{each.id}/{number}").lower()
    address = f"10.0.{number // 250}.{number % 250 + 4}"
    lost = each.role in cluster.lost_roles
    state = "TERMINATED" if lost or cluster.has_ended else _STATES[cluster.state].replace("TERMINATING", "RUNNING")
    reason: Json = {}
    if lost:
        reason = {"Code": "INSTANCE_FAILURE", "Message": "Instance was terminated due to Spot."}
    elif cluster.has_ended:
        reason = {"Code": "CLUSTER_TERMINATED", "Message": "Instance terminated as its cluster ended."}
    return {
        "Id": f"ci-{unique.upper()}",
        "Ec2InstanceId": f"i-{unique}",
        "PublicDnsName": "",
        "PrivateDnsName": f"ip-{address.replace('.', '-')}.ec2.internal",
        "PrivateIpAddress": address,
        "Status": {"State": state, "StateChangeReason": reason, "Timeline": _timeline(cluster)},
        member: each.id,
        "Market": "ON_DEMAND" if number < each.on_demand else "SPOT",
        "InstanceType": each.type,
        "EbsVolumes": [],
    }


def _groups(instances: Json) -> list[Json]:
    if groups := cast("list[Json]", instances.get("InstanceGroups") or []):
        return groups
    kind = instances.get("MasterInstanceType")
    master: Json = {"InstanceRole": "MASTER", "InstanceType": kind, "InstanceCount": 1}
    others = cast("int", instances.get("InstanceCount") or 1) - 1
    core: Json = {
        "InstanceRole": "CORE",
        "InstanceType": instances.get("SlaveInstanceType") or kind,
        "InstanceCount": others,
    }
    return [master, core] if others else [master]


def _group(cluster: Cluster, number: int, group: Json) -> Machines:
    count = cast("int", group.get("InstanceCount") or 0)
    is_spot = group.get("Market") == "SPOT"
    return Machines(
        id=f"ig-{_id(cluster, f'ig{number}')}",
        role=str(group.get("InstanceRole")),
        type=str(group.get("InstanceType")),
        on_demand=0 if is_spot else count,
        spot=count if is_spot else 0,
        asked=group,
    )


def _fleet(cluster: Cluster, number: int, fleet: Json) -> Machines:
    """Its first type is the one that is taken where all are to be had."""
    first = (_types(fleet) or [{}])[0]
    on_demand, spot = _targets(fleet)
    units = cast("int", first.get("WeightedCapacity") or 1)
    return Machines(
        id=f"if-{_id(cluster, f'if{number}')}",
        role=str(fleet.get("InstanceFleetType")),
        type=str(first.get("InstanceType") or "m5.xlarge"),
        on_demand=math.ceil(on_demand / units),
        spot=math.ceil(spot / units),
        asked=fleet,
    )


def _types(fleet: Json) -> list[Json]:
    return cast("list[Json]", fleet.get("InstanceTypeConfigs") or [])


def _targets(fleet: Json) -> tuple[int, int]:
    return cast("int", fleet.get("TargetOnDemandCapacity") or 0), cast("int", fleet.get("TargetSpotCapacity") or 0)


def _specification(row: Json) -> Json:
    kept = (
        "BidPrice",
        "BidPriceAsPercentageOfOnDemandPrice",
        "Configurations",
        "CustomAmiId",
        "InstanceType",
        "Priority",
    )
    found = {name: row[name] for name in kept if row.get(name) is not None}
    return {**found, "WeightedCapacity": row.get("WeightedCapacity") or 1}


def _running(cluster: Cluster, each: Machines) -> int:
    return each.count if _STATES.get(cluster.state) == "RUNNING" and each.role not in cluster.lost_roles else 0


def _status(cluster: Cluster) -> Json:
    reason: Json = {"Code": "CLUSTER_TERMINATED", "Message": "Job flow terminated"} if cluster.has_ended else {}
    state = _STATES.get(cluster.state, "TERMINATED")
    return {"State": state, "StateChangeReason": reason, "Timeline": _timeline(cluster)}


def _timeline(cluster: Cluster) -> Json:
    times = {"CreationDateTime": cluster.created, "ReadyDateTime": cluster.ready, "EndDateTime": cluster.ended}
    return {name: value for name, value in times.items() if value is not None}


def _id(cluster: Cluster, what: str) -> str:
    return hashlib.sha256(f"{cluster.id}/{what}".encode()).hexdigest()[:13].upper()

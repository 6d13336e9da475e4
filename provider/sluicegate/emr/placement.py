"""Where a cluster may be tried: its subnets in turn, then the next of its machines. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sluicegate.pipeline.check.cluster import in_request
from sluicegate.pipeline.keys.cluster import Cluster

__all__ = ["Placement", "placements"]


@dataclass(frozen=True)
class Placement:
    """`machines` is an index into the cluster's `instances` or `fleets`. With fleets EMR takes one of `subnets`."""

    subnets: tuple[str, ...] = ()
    machines: int = 0
    by_fleets: bool = False

    @property
    def request(self) -> dict[str, Any]:
        """The subnets in `Instances` of RunJobFlow, which has a member for groups and one for fleets."""
        if self.by_fleets:
            return {"Ec2SubnetIds": list(self.subnets)} if self.subnets else {}
        return {"Ec2SubnetId": self.subnets[0]} if self.subnets else {}

    def __str__(self) -> str:
        where = " or ".join(self.subnets) or "the default VPC"
        return where if not self.machines else f"{where}, machines {self.machines + 1}"


def placements(cluster: Cluster) -> tuple[Placement, ...]:
    """All of them, in the order in which they are tried; at least one.

    Groups start in one subnet, so each subnet is a try of its own. With fleets EMR looks through all subnets by itself.
    """
    by_fleets = bool(cluster.fleets) or in_request(cluster.run_job_flow, "Instances.InstanceFleets") is not None
    several = max(len(cluster.instances), len(cluster.fleets), 1)
    subnets = [cluster.subnets] if by_fleets or not cluster.subnets else [(each,) for each in cluster.subnets]
    return tuple(Placement(each, machines, by_fleets) for machines in range(several) for each in subnets)

"""What a cluster used: how long it lived, and its machines' hours by market. One call, once it has ended.

The one place for it: the result of a `spark` step has it as `usage`, and so have the facts of its fault.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sluicegate.emr.connection import Aws
from sluicegate.emr.verdict import ClusterStatus
from sluicegate.faults import classify
from sluicegate.pipeline.text.quantities import format_duration

__all__ = ["Machines", "Usage", "read_usage", "usage_of"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Machines:
    """Machines of one type in one market (`on_demand`, `spot`), and their hours together."""

    market: str
    type: str
    count: int
    hours: float


@dataclass(frozen=True)
class Usage:
    """`cluster_seconds` is None while the cluster is still ending; hours then count up to the look."""

    cluster_seconds: float | None
    machines: tuple[Machines, ...]

    @property
    def instance_hours(self) -> dict[str, float]:
        """Hours of machines by market."""
        hours: dict[str, float] = {}
        for some in self.machines:
            hours[some.market] = round(hours.get(some.market, 0.0) + some.hours, 4)
        return hours

    def as_json(self) -> dict[str, Any]:
        return {
            "cluster_seconds": self.cluster_seconds,
            "instance_hours": self.instance_hours,
            "machines": [vars(some) for some in self.machines],
        }

    def __str__(self) -> str:
        lived = timedelta(seconds=round(self.cluster_seconds or 0))
        hours = ", ".join(f"{hours:g} h {market.replace('_', ' ')}" for market, hours in self.instance_hours.items())
        cluster = f"the cluster lived {format_duration(lived)}" if self.cluster_seconds is not None else "still ending"
        return f"{cluster}; its machines: {hours or 'none'}"


def usage_of(cluster: ClusterStatus, instances: Iterable[Mapping[str, Any]], now: datetime) -> Usage:
    """The usage of `instances`, which are what ListInstances says. An instance without an end ran until `now`, or
    as long as the cluster.
    """
    found: dict[tuple[str, str], list[float]] = {}
    for instance in instances:
        times = instance.get("Status", {}).get("Timeline", {})
        if (start := times.get("CreationDateTime")) is None:
            continue  # asked for and never there
        end = times.get("EndDateTime") or cluster.ended or now
        kind = (str(instance.get("Market", "on_demand")).lower(), instance.get("InstanceType", "unknown"))
        found.setdefault(kind, []).append(max(0.0, (end - start).total_seconds()))
    machines = (
        Machines(market, type_, len(seconds), round(sum(seconds) / 3600, 4))
        for (market, type_), seconds in sorted(found.items())
    )
    return Usage(None if cluster.seconds is None else round(cluster.seconds, 1), tuple(machines))


def read_usage(cluster: ClusterStatus, aws: Aws) -> Usage | None:
    """What `cluster` used; None when AWS does not say. Never raises: it must not fail what has succeeded."""
    try:
        pages = aws.client("emr", attempts=2).get_paginator("list_instances").paginate(ClusterId=cluster.cluster_id)
        instances = [instance for page in pages for instance in page["Instances"]]
        return usage_of(cluster, instances, datetime.now(UTC))
    except Exception as unread:
        log.warning("What the machines of %s used is not known: %s", cluster.name, classify(unread))
        return None

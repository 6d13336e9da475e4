from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sluicegate.emr.connection import Aws
from sluicegate.emr.usage import Machines, read_usage, usage_of
from sluicegate.emr.verdict import ClusterStatus
from sluicegate.testing.emr import AwsError

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def cluster(ended: datetime | None = START + HOUR) -> ClusterStatus:
    return ClusterStatus("j-1", "d-p-0-a1", "TERMINATED", created=START, ended=ended)


def machine(market: str, type_: str, start: float | None, end: float | None = None) -> dict[str, Any]:
    times = {"CreationDateTime": start, "EndDateTime": end}
    timeline = {name: START + timedelta(minutes=minutes) for name, minutes in times.items() if minutes is not None}
    return {"Market": market, "InstanceType": type_, "Status": {"Timeline": timeline}}


def test_hours_are_counted_by_market_from_each_machines_own_times() -> None:
    used = usage_of(
        cluster(),
        [
            machine("ON_DEMAND", "m7g.xlarge", 3, 60),
            machine("SPOT", "m7g.large", 6, 36),
            machine("SPOT", "c7g.large", 6, 60),
            machine("SPOT", "c7g.large", 30),
            machine("SPOT", "c7g.large", None),
        ],
        START,
    )
    assert used.machines == (
        Machines("on_demand", "m7g.xlarge", 1, 0.95),
        Machines("spot", "c7g.large", 2, 1.4),
        Machines("spot", "m7g.large", 1, 0.5),
    )
    assert used.as_json()["instance_hours"] == {"on_demand": 0.95, "spot": 1.9}
    assert str(used) == "the cluster lived 1h; its machines: 0.95 h on demand, 1.9 h spot"


def test_a_cluster_that_is_still_ending_counts_up_to_now() -> None:
    used = usage_of(cluster(ended=None), [machine("ON_DEMAND", "m7g.xlarge", 0)], START + HOUR / 2)
    assert (used.cluster_seconds, used.instance_hours) == (None, {"on_demand": 0.5})


def test_a_usage_that_aws_does_not_say_fails_nothing(aws: Any, caplog: pytest.LogCaptureFixture) -> None:
    aws.before["ListInstances"] = [AwsError("AccessDeniedException")]
    assert read_usage(cluster(), Aws("aws_default")) is None
    assert "is not known" in caplog.text

"""The `spark` step: jobs on an EMR cluster of their own, which is found again by name and always ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sluicegate.emr.janitor import JanitorOperator
    from sluicegate.emr.operator import SparkOperator
    from sluicegate.emr.trigger import ClusterTrigger

__all__ = ["ClusterTrigger", "JanitorOperator", "SparkOperator"]


def __getattr__(name: str) -> object:
    if name == "SparkOperator":
        from sluicegate.emr.operator import SparkOperator

        return SparkOperator
    if name == "ClusterTrigger":
        from sluicegate.emr.trigger import ClusterTrigger

        return ClusterTrigger
    if name == "JanitorOperator":
        from sluicegate.emr.janitor import JanitorOperator

        return JanitorOperator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

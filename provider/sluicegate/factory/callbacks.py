"""The callbacks of a pipeline's tasks: who is notified when one has failed. One object for all of them."""

from __future__ import annotations

from collections.abc import Iterable

from sluicegate.alerts.callback import AlertCallback
from sluicegate.factory.steps import Task
from sluicegate.pipeline.keys.alerts import channels_of
from sluicegate.pipeline.keys.model import Pipeline

__all__ = ["call_back"]


def call_back(pipeline: Pipeline, tasks: Iterable[Task]) -> None:
    """Have `tasks` send the pipeline's alerts, after what callbacks their steps have of their own."""
    channels = channels_of(pipeline.alerts)
    if not channels:
        return
    callback = AlertCallback(pipeline.name, channels, pipeline.owner or "")
    for task in tasks:
        own = task.on_failure_callback or []
        task.on_failure_callback = [*(own if isinstance(own, list | tuple) else [own]), callback]

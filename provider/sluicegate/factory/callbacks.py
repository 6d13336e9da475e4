"""The callbacks of a pipeline: who is notified when a step has failed. One object for all of its tasks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sluicegate.alerts.callback import AlertCallback, RunCallback
from sluicegate.factory.steps import Task
from sluicegate.pipeline.keys.alerts import channels_of
from sluicegate.pipeline.keys.model import Pipeline
from sluicegate.runtime.dag import PipelineDAG

__all__ = ["call_back"]


def call_back(pipeline: Pipeline, dag: PipelineDAG, tasks: Iterable[Task]) -> bool:
    """Have `dag` and its `tasks` send the pipeline's alerts, after what callbacks they have of their own.

    Whether the pipeline has channels.
    """
    channels = channels_of(pipeline.alerts)
    if not channels:
        return False
    callback = AlertCallback(pipeline.name, channels, pipeline.owner or "")
    for task in tasks:
        task.on_failure_callback = _with(task.on_failure_callback, callback)
    dag.on_failure_callback = _with(dag.on_failure_callback, RunCallback(pipeline.name, channels, pipeline.owner or ""))
    dag.has_on_failure_callback = True
    return True


def _with(own: Any, callback: Any) -> list[Any]:
    return [*(own if isinstance(own, list | tuple) else [own] if own else []), callback]

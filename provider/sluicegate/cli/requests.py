"""Whether what spark steps ask of AWS has the form that AWS takes: `run_job_flow`, by botocore's model of EMR.

Only `check` asks: botocore is not imported where DAGs are parsed. The same is asked of each request before it is sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from sluicegate.pipeline.check.spark import cluster_place
from sluicegate.pipeline.diagnostics import Diagnostic, Where
from sluicegate.pipeline.keys.cluster import Cluster
from sluicegate.pipeline.keys.model import Pipeline, SparkStep
from sluicegate.pipeline.text.source import Source

__all__ = ["request_diagnostics"]


def request_diagnostics(pipeline: Pipeline) -> Iterator[Diagnostic]:
    """What of the `run_job_flow` of its clusters EMR has not, or not so. One that is refused already is left out."""
    clusters = [step for step in pipeline.steps.values() if isinstance(step, SparkStep) and step.cluster.run_job_flow]
    if not clusters:
        return
    source = Source.open(pipeline.file, pipeline.root)
    for place, cluster in {cluster_place(step, source): step.cluster for step in clusters}.items():
        for path, message, key in _misfits(cluster):
            yield source.diagnostic((*place, "run_job_flow", *path), "cluster", f"`run_job_flow`: {message}", key=key)


def _misfits(cluster: Cluster) -> Iterator[tuple[Where, str, bool]]:
    from sluicegate.emr.request import cluster_request
    from sluicegate.emr.service_model import misfits
    from sluicegate.faults import FaultError

    try:
        request = cluster_request(
            name="name", cluster=cluster, steps=(), bindings={}, max_runtime=timedelta(hours=1), tags={}
        )
    except FaultError:
        return
    for path, message, key in misfits(request):
        if _is_in(cluster.run_job_flow, path):
            yield path, message, key


def _is_in(said: Any, path: Where) -> bool:
    """Whether the file says what is at `path`; else the request has it from another key, which is right."""
    for part in path:
        if isinstance(said, Mapping) and part in said:
            said = said[str(part)]
        elif isinstance(said, list | tuple) and isinstance(part, int) and part < len(said):
            said = said[part]
        else:
            return False
    return True

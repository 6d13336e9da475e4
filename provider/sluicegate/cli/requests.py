"""Whether what spark steps ask of AWS has the form that AWS takes: `run_job_flow`, by botocore's model of EMR.

Only `check` asks: botocore is not imported where DAGs are parsed. The same is asked of each request before it is sent.
"""

from __future__ import annotations

from collections.abc import Iterator

from sluicegate.pipeline.check.spark import cluster_place
from sluicegate.pipeline.diagnostics import Diagnostic
from sluicegate.pipeline.keys.model import Pipeline, SparkStep
from sluicegate.pipeline.text.source import Source

__all__ = ["request_diagnostics"]


def request_diagnostics(pipeline: Pipeline) -> Iterator[Diagnostic]:
    """What of the `run_job_flow` of its clusters EMR does not have, or not in this form."""
    steps = (*pipeline.steps.values(), *pipeline.unfinished.values())
    passing = [step for step in steps if isinstance(step, SparkStep) and step.cluster.run_job_flow]
    if not passing:
        return
    from sluicegate.emr.service_model import misfits

    source = Source.open(pipeline.file, pipeline.root)
    for place, cluster in {cluster_place(step, source): step.cluster for step in passing}.items():
        for path, message, key in misfits(cluster.run_job_flow):
            if path:  # what is missing at the top is Sluicegate's to say
                where = (*place, "run_job_flow", *path)
                yield source.diagnostic(where, "cluster", f"`run_job_flow`: {message}", key=key)

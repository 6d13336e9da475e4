"""What is wrong with the spark steps of a pipeline and their clusters, with its place in the file."""

from __future__ import annotations

from collections.abc import Iterator

from sluicegate.pipeline.check.cluster import cluster_errors
from sluicegate.pipeline.check.jobs import job_errors
from sluicegate.pipeline.diagnostics import Diagnostic, Where
from sluicegate.pipeline.keys.model import Pipeline, SparkStep
from sluicegate.pipeline.read.yaml_paths import as_written, read_place
from sluicegate.pipeline.text.source import Source

__all__ = ["check_spark"]


def check_spark(pipeline: Pipeline, source: Source) -> Iterator[Diagnostic]:
    seen: set[Where] = set()
    for step in (*pipeline.steps.values(), *pipeline.unfinished.values()):
        if not isinstance(step, SparkStep):
            continue
        place = cluster_place(step, source)
        if place not in seen:
            seen.add(place)
            for wrong in cluster_errors(step.cluster):
                where = as_written((*place, *wrong.where), source.value)
                yield source.diagnostic(where, wrong.code, wrong.message, key=wrong.key)
        yield from _jobs(step, source)
        if step.cluster.by_input:
            yield from _input(step, pipeline, source)


def cluster_place(step: SparkStep, source: Source) -> Where:
    """Where the file, or its defaults, say what the step's cluster is made of."""
    written = source.value["steps"][step.name].get("cluster")
    return ("clusters", step.cluster_name) if isinstance(written, str) else ("steps", step.name, "cluster")


def _input(step: SparkStep, pipeline: Pipeline, source: Source) -> Iterator[Diagnostic]:
    """A cluster of its input's size whose step has none, or one that is never measured."""
    if not step.reads:
        what = f"the cluster `{step.cluster_name}` has the size of the step's input (`by_input`), and it reads nothing"
        yield source.diagnostic(("steps", step.name, "cluster"), "cluster", f"{what}: say `reads`, or leave it out")
    for binding, read in step.reads.items():
        dataset = pipeline.datasets.get(read.dataset)
        if dataset is not None and dataset.uri.startswith(("table://", "iceberg://")):
            message = "a table cannot be measured, so the cluster is always the largest of `by_input`"
            where = read_place(source, step.name, binding)
            yield source.diagnostic(where, "unmeasured", message, severity="warning")


def _jobs(step: SparkStep, source: Source) -> Iterator[Diagnostic]:
    where: Where = ("steps", step.name, "spark")
    for wrong in job_errors(step.jobs, step.cluster):
        place = as_written((*where, *wrong.where), source.value)
        yield source.diagnostic(place, wrong.code, wrong.message, key=wrong.key)

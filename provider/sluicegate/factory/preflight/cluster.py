"""Whether a cluster can check what a load asks for: who writes the records, where and how, and what is asked."""

from __future__ import annotations

from collections.abc import Iterator

from sluicegate.factory.unplaced import UnplacedDiagnostic
from sluicegate.graph.datasets import is_foreign, writers
from sluicegate.graph.template import masks
from sluicegate.pipeline.diagnostics import Where
from sluicegate.pipeline.keys.load import CheckOn, CopyFrom
from sluicegate.pipeline.keys.model import LoadStep, Pipeline, SparkStep
from sluicegate.records.on_cluster import cluster_errors, options_of
from sluicegate.targets.open import is_said_redshift

__all__ = ["cluster_diagnostics", "is_checked"]

_REMEDY = "leave `check_on` out: then a worker checks"


def is_checked(step: SparkStep, pipeline: Pipeline) -> bool:
    """Whether what `step` writes is checked on its cluster."""
    return any(_on_cluster(load) and load.load.dataset in step.writes.values() for load in _loads(pipeline))


def cluster_diagnostics(step: LoadStep, pipeline: Pipeline) -> Iterator[UnplacedDiagnostic]:
    """What would have to wait for the run, after a cluster has done its work; nothing for other loads."""
    if not _on_cluster(step):
        return
    at: Where = ("steps", step.name, "check_on")
    if (why := _why_not_written(step, pipeline) or _why_no_folder(step, pipeline)) is not None:
        yield UnplacedDiagnostic(at, "load", f"`check_on: cluster`: {why}")
    if step.copy_from is CopyFrom.S3 and (why := _why_not_copied(step, pipeline)) is not None:
        yield UnplacedDiagnostic(("steps", step.name, "copy_from"), "load", f"`copy_from: s3`: {why}")
    for where, what in cluster_errors(options_of(step, pipeline), pipeline.root):
        if where == ("format",) and step.format is None:
            where = ("check_on",)  # The dataset says it.
        in_key = where[0] == "checks"
        yield UnplacedDiagnostic(("steps", step.name, *where), "load", f"`check_on: cluster`: {what}", key=in_key)


def _on_cluster(step: LoadStep) -> bool:
    return step.check_on is CheckOn.CLUSTER


def _loads(pipeline: Pipeline) -> list[LoadStep]:
    return [step for step in pipeline.steps.values() if isinstance(step, LoadStep)]


def _why_not_written(step: LoadStep, pipeline: Pipeline) -> str | None:
    """Why no job of a cluster of this pipeline can check the dataset behind the one that writes it."""
    dataset = step.load.dataset
    if is_foreign(dataset):
        return f"`{dataset}` is written by another pipeline, whose cluster knows nothing of this load; {_REMEDY}"
    if dataset not in pipeline.datasets:
        return None  # said elsewhere
    names = writers(pipeline).get(dataset, ())
    makers = [pipeline.steps[name] for name in names]
    if not names:
        return f"no spark step of this pipeline writes {_shown(dataset, pipeline)}; {_REMEDY}"
    if len(makers) > 1:
        return f"{_shown(dataset, pipeline)} is written by {', '.join(names)}, and only one can check it; {_REMEDY}"
    [maker] = makers
    if not isinstance(maker, SparkStep):
        what = f"is written by the {maker.kind} step {maker.name}, without a cluster"
        return f"{_shown(dataset, pipeline)} {what}; {_REMEDY}"
    if dataset not in maker.writes.values() or maker.for_each is not None or step.for_each is not None:
        return f"the items of a `for_each` are not checked on a cluster; {_REMEDY}"
    return None


def _why_no_folder(step: LoadStep, pipeline: Pipeline) -> str | None:
    dataset = pipeline.datasets.get(step.load.dataset)
    if dataset is None:
        return None
    uri = masks()(dataset.uri)
    if not uri.endswith("/"):
        return f"{_shown(step.load.dataset, pipeline)} is not a folder: end its URI in a slash"
    form = options_of(step, pipeline).format
    if form is None or form.type is None:
        return f"a cluster checks Parquet: say `format: parquet` of {_shown(step.load.dataset, pipeline)}"
    if form.partitions and any("=" in part for part in uri.rstrip("/").split("/")[3:]):
        return (
            f"the folders of {dataset.uri!r} itself are columns to a load and not to Spark: "
            "say `format: {type: parquet, partitions: false}`, or call them otherwise"
        )
    return None


def _why_not_copied(step: LoadStep, pipeline: Pipeline) -> str | None:
    """Why no server can copy what the cluster has checked by itself."""
    source, target = (pipeline.datasets.get(name) for name in (step.load.dataset, step.into))
    if source is not None and not source.uri.startswith("s3://"):
        return f"a server copies from S3 alone, and {_shown(step.load.dataset, pipeline)} is elsewhere: leave it out"
    if target is not None and not target.uri.startswith("table://"):
        return f"a table of Postgres is copied into, and {_shown(step.into, pipeline)} is none: leave it out"
    if target is not None and is_said_redshift(target.uri, pipeline.connections.redshift):
        return "a Redshift copies what a cluster has checked in any case: leave it out"
    return None


def _shown(dataset: str, pipeline: Pipeline) -> str:
    return f"`{pipeline.datasets[dataset].name or pipeline.datasets[dataset].uri}`"

"""A pipeline file, read with its defaults into a frozen `Pipeline`, with all diagnostics of the file at once.

What concerns other pipelines is checked in `tree`; nothing of the user's code is run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sluicegate.pipeline.check.rules import check_pipeline
from sluicegate.pipeline.diagnostics import Diagnostic, PipelineErrors, Where, bug, did_you_mean, in_order
from sluicegate.pipeline.keys.base import Mark, keys_of, marks_of
from sluicegate.pipeline.keys.model import Defaults, Head, Pipeline, Read
from sluicegate.pipeline.read.alerts import read_alerts
from sluicegate.pipeline.read.context import Site
from sluicegate.pipeline.read.datasets import Datasets
from sluicegate.pipeline.read.draft import Draft, Variant
from sluicegate.pipeline.read.faults import read_faults
from sluicegate.pipeline.read.matrix import combined_name, merged, read_matrix, sources_of
from sluicegate.pipeline.read.params import read_params
from sluicegate.pipeline.read.schedule import read_schedule
from sluicegate.pipeline.read.steps import Steps
from sluicegate.pipeline.read.validate import invalid_name, mapping, shown, validate
from sluicegate.pipeline.text.digest import DEFAULTS
from sluicegate.pipeline.text.environment import Environment
from sluicegate.pipeline.text.source import Report, Source

__all__ = ["DEFAULTS_KEYS", "KEYS", "read_draft"]

KEYS = tuple(key for key in keys_of(Pipeline) if key not in keys_of(Defaults))
DEFAULTS_KEYS = tuple(key for key in keys_of(Pipeline) if Mark.FILE_ONLY not in marks_of(Pipeline, key))

_READ_APART = frozenset({"alerts", "faults"})
"""The plain keys that have a reader of their own."""


def read_draft(file: Path, root: Path, environment: Environment | None = None, only: str | None = None) -> Draft:
    """Read as much of `file` as is right, and note all that is not.

    :param only: of the pipelines that a `matrix:` makes, read just the one of this name, if there is one
    """
    file, root = file.absolute(), root.absolute()
    try:
        return _draft(file, root, environment, only)
    except Exception as error:
        return Draft(file, (), (bug(error, "reading", file),), {})


def _draft(file: Path, root: Path, environment: Environment | None, only: str | None) -> Draft:
    try:
        source = Source.open(file, root, environment)
    except PipelineErrors as errors:
        return Draft(file, (), errors.diagnostics, {})
    except OSError as error:
        lost = Diagnostic("unreadable", f"this cannot be read: {error.strerror or error}", file)
        return Draft(file, (), (lost,), {})
    if not any("matrix" in layer.text for layer in source.layers):
        alone = _variant(source)
        return Draft(file, (alone,), alone.diagnostics, source.env)
    report = Report(source)
    has_matrix = "matrix" in source.layers[0].value
    combinations = read_matrix(source, report) if has_matrix else ()
    if any(combined_name(file.stem, combination) == only for combination in combinations):
        combinations = tuple(each for each in combinations if combined_name(file.stem, each) == only)
    sources = sources_of(source, combinations, report)
    variants = tuple(_variant(each, report.diagnostics) for each in sources)
    diagnostics = in_order(merged([(variant.source.matrix, variant.diagnostics) for variant in variants]))
    return Draft(file, variants if combinations or not has_matrix else (), diagnostics, source.env)


def _variant(source: Source, known: Iterable[Diagnostic] = ()) -> Variant:
    report = Report(source)
    pipeline, elsewhere = _pipeline(source, report)
    report.diagnostics += known
    try:
        report.diagnostics += check_pipeline(pipeline, source)
    except Exception as error:
        report.diagnostics.append(bug(error, "checking", source.file))
    return Variant(source.name, source, pipeline, in_order(report.diagnostics), elsewhere)


def _pipeline(source: Source, report: Report) -> tuple[Pipeline, tuple[tuple[Where, Read], ...]]:
    value = _top_level(source, report)
    if wrong := invalid_name(source.file.stem):
        report.error((), "name", f"{wrong}: rename the file, its stem is the pipeline's name")
    _check_version(value, report)
    schedule = read_schedule(value.get("schedule"), report)
    params = read_params(value.get("params"), schedule.kind != "none", report)
    head = _head(value, report)
    datasets = Datasets(source.name, _names(value.get("params")), report)
    datasets.declare(value.get("datasets"))
    clusters = mapping(value.get("clusters"), ("clusters",), report)
    steps, unfinished = Steps(Site(source.root, datasets, clusters, head.retries, report)).read(value.get("steps"))
    made = {
        **{name: getattr(head, name) for name in head.model_fields_set},
        "schedule": schedule,
        "params": params,
        "alerts": read_alerts(value.get("alerts"), report),
        "faults": read_faults(value.get("faults"), report),
        "datasets": datasets.known,
        "steps": steps,
        "unfinished": unfinished,
        "matrix": source.matrix,
        "env": tuple(source.env),
    }
    pipeline = Pipeline(name=source.name, file=source.file, root=source.root, digest=source.digest, **made)
    return pipeline, tuple(datasets.elsewhere)


def _top_level(source: Source, report: Report) -> dict[str, Any]:
    """The merged value without keys that are unknown at their place."""
    for document in source.layers:
        own = document is source.layers[0]
        allowed = KEYS if own else DEFAULTS_KEYS
        for key in document.value:
            if key in allowed:
                continue
            if key in DEFAULTS_KEYS:
                report.error((key,), "unknown-key", f"`{key}` belongs in `{DEFAULTS}`", key=True)
            else:
                what = "a pipeline" if own else f"`{DEFAULTS}`"
                meant = did_you_mean(key, allowed)
                report.error((key,), "unknown-key", f"{what} has no key `{key}`", key=True, suggestion=meant)
    return {key: item for key, item in source.value.items() if key in DEFAULTS_KEYS}


def _check_version(value: Mapping[str, Any], report: Report) -> None:
    version = value.get("sluicegate")
    if version != 1 or isinstance(version, bool):
        report.error(("sluicegate",), "version", f"this reads version 1 of the file, not {shown(version)}")


def _names(value: object) -> frozenset[str]:
    """All keys, also of entries that are wrong: a reference to one of those makes no second diagnostic."""
    return frozenset(value) if isinstance(value, dict) else frozenset()


def _head(value: Mapping[str, Any], report: Report) -> Head:
    """The plain keys, each on its own, so that a wrong one takes none of the others with it."""
    keys = [key for key in Head.model_fields if value.get(key) is not None and key not in _READ_APART]
    heads = [validate(Head, {key: value[key]}, (), report) for key in keys]
    made = {name: getattr(head, name) for head in heads if head is not None for name in head.model_fields_set}
    return Head.model_construct(**made)

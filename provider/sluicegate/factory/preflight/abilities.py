"""What the steps of a pipeline could not do in a run, as far as the file shows it: values in, diagnostics out.

Asks what refuses in the run itself, so that both say the same. Every pipeline is judged at each parse: nothing
heavy is imported, no file but a suite is read. Of a template only the text around it is judged.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping

from sluicegate.factory.preflight.alerts import alert_diagnostics
from sluicegate.factory.preflight.cluster import cluster_diagnostics, is_checked
from sluicegate.factory.preflight.contract import contract_diagnostics
from sluicegate.factory.preflight.faults import fault_diagnostics
from sluicegate.factory.unplaced import UnplacedDiagnostic
from sluicegate.faults import FaultError
from sluicegate.graph.datasets import read_locations, write_locations
from sluicegate.graph.glob import is_pattern
from sluicegate.graph.location import Location
from sluicegate.graph.template import masks
from sluicegate.pipeline.diagnostics import Where
from sluicegate.pipeline.keys.model import FetchStep, Format, LoadStep, Pipeline, SparkStep, Step, TransformStep
from sluicegate.sources.statement import why_unbindable
from sluicegate.storage.filetype import FileType, file_type
from sluicegate.storage.uri import parse_uri
from sluicegate.targets.open import is_folder, ledger_connection, place_in

__all__ = ["unsupported"]

_TEMPLATE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_WEB = frozenset({"http", "https"})
_ANYTHING = "\0"
"""Stands for whatever a template becomes."""


def unsupported(pipeline: Pipeline, others: Mapping[str, Pipeline]) -> tuple[UnplacedDiagnostic, ...]:
    """All of them, warnings too.

    :param others: the pipelines that it reads from, by name
    """
    found = [*alert_diagnostics(pipeline), *fault_diagnostics(pipeline)]
    for step in (*pipeline.steps.values(), *pipeline.unfinished.values()):
        match step:
            case LoadStep():
                found += _load(step, pipeline, others)
            case TransformStep():
                found += _transform(step, pipeline, others)
            case SparkStep():
                found += _spark(step, pipeline)
            case FetchStep():
                found += _fetch(step, pipeline)
        if step is not None:
            found += _wildcards(step, pipeline)
    return tuple(found)


def _load(step: LoadStep, pipeline: Pipeline, others: Mapping[str, Pipeline]) -> Iterator[UnplacedDiagnostic]:
    source = read_locations(pipeline, step, others).get("load")
    if source is not None:  # as it is unless the step is unfinished
        where: Where = ("steps", step.name, "reads", "load")
        form_where = _format_place(source, pipeline, where) if step.format is None else ("steps", step.name, "format")
        form = step.format or source.format
        yield from _place(source, "read", step, where) or _file(source, form, where, form_where)
    if step.into in pipeline.datasets:
        yield from _target(pipeline.datasets[step.into].uri, pipeline, ("steps", step.name, "writes", "into"))
    yield from cluster_diagnostics(step, pipeline)
    into = pipeline.datasets[step.into].uri if step.into in pipeline.datasets else None
    redshift, is_whole = pipeline.connections.redshift, step.name in pipeline.steps
    yield from contract_diagnostics(step, pipeline.root, into, redshift, is_whole=is_whole)


def _transform(step: TransformStep, pipeline: Pipeline, others: Mapping[str, Pipeline]) -> Iterator[UnplacedDiagnostic]:
    sides = (
        ("reads", "read", read_locations(pipeline, step, others)),
        ("writes", "write", write_locations(pipeline, step)),
    )
    for side, verb, places in sides:
        for binding, place in places.items():
            where: Where = ("steps", step.name, side, binding)
            form_where = _format_place(place, pipeline, where)
            yield from _place(place, verb, step, where) or _file(place, place.format, where, form_where)


def _fetch(step: FetchStep, pipeline: Pipeline) -> Iterator[UnplacedDiagnostic]:
    """A query whose values cannot be bound, a watermark that nothing keeps, a place that is not a folder."""
    where: Where = ("steps", step.name)
    if step.fetch.sql is not None and (why := why_unbindable(step.fetch.sql)) is not None:
        yield UnplacedDiagnostic((*where, "fetch", "sql"), "template", why)
    if step.fetch.watermark is not None and pipeline.connections.ledger is None:
        message = "a watermark is kept in the ledger: say `connections: {ledger: …}`, a connection to a Postgres"
        yield UnplacedDiagnostic((*where, "fetch", "watermark"), "missing-key", message)
    if step.into not in pipeline.datasets:
        return
    dataset = pipeline.datasets[step.into]
    at: Where = (*where, "writes", "into")
    place = write_locations(pipeline, step)["into"]
    if wrong := _place(place, "write", step, at):
        yield from wrong
    elif not dataset.uri.endswith("/"):
        yield UnplacedDiagnostic(
            at, "not-supported", f"a fetch lands parts in a folder: end {dataset.uri!r} in a slash"
        )
    lands = "parquet" if step.fetch.sql is not None else "jsonl"
    if dataset.format is not None and dataset.format.type not in (None, lands):
        message = f"this fetch lands {lands}, and the format of its folder is {dataset.format.type}"
        yield UnplacedDiagnostic(at, "format", message)


def _wildcards(step: Step, pipeline: Pipeline) -> Iterator[UnplacedDiagnostic]:
    for binding, place in write_locations(pipeline, step).items():
        if is_pattern(masks()(place.template)):
            message = f"wildcards say what is read, and a step writes one place: {place.template!r}"
            yield UnplacedDiagnostic(("steps", step.name, "writes", binding), "uri", message)


def _spark(step: SparkStep, pipeline: Pipeline) -> Iterator[UnplacedDiagnostic]:
    bucket = pipeline.artifacts.removeprefix("s3://").partition("/")[0]
    uploads = step.cluster.watchdog or any("://" not in path for path in step.uploads) or is_checked(step, pipeline)
    if uploads and not (pipeline.artifacts.startswith("s3://") and bucket):
        message = f"job files are uploaded to s3://<bucket>/, which {pipeline.artifacts!r} is not"
        yield UnplacedDiagnostic(("artifacts",), "uri", message)


def _place(place: Location, verb: str, step: Step, where: Where) -> list[UnplacedDiagnostic]:
    """Whether files can be read or written there at all."""
    uri = place.template
    scheme = _scheme(uri)
    if scheme in {"table", "iceberg"}:
        return [UnplacedDiagnostic(where, "not-supported", f"a {step.kind} {verb}s files, and {uri!r} is a table")]
    if scheme in _WEB and verb == "write":
        return [UnplacedDiagnostic(where, "not-supported", f"nothing can be written to a web server: {uri!r}")]
    if scheme in _WEB and uri.endswith("/"):
        return [
            UnplacedDiagnostic(where, "not-supported", f"a web server has no folders to list: {uri!r}; name a file")
        ]
    if "{" not in uri:
        try:
            parse_uri(uri)
        except FaultError as refused:
            return [UnplacedDiagnostic(where, "uri", refused.detail)]
    return []


def _file(place: Location, form: Format | None, where: Where, form_where: Where) -> Iterator[UnplacedDiagnostic]:
    """Whether the kind of file is known, and what is said about it makes sense."""
    kind: FileType | None = None
    if (name := _static_name(place.template, form)) is not None:
        try:
            kind = file_type(name, form)
        except FaultError as refused:
            detail = refused.detail.partition(": ")[2] or refused.detail
            yield UnplacedDiagnostic(where, "format", f"{place.template!r}: {detail}")
    if form is None or (kind.kind if kind is not None else form.type) == "parquet":
        return
    try:
        codecs.lookup(form.encoding)
    except LookupError:
        way = (*form_where, "encoding") if form_where != where else where
        yield UnplacedDiagnostic(way, "format", f"there is no encoding {form.encoding!r}")


def _target(uri: str, pipeline: Pipeline, where: Where) -> Iterator[UnplacedDiagnostic]:
    if "{" in uri and _scheme(uri) == "table":
        return
    try:
        place_in(_TEMPLATE.sub("x", uri) if is_folder(uri) else uri)
        ledger_connection(uri, pipeline.connections.ledger, pipeline.connections.redshift)
    except FaultError as refused:
        yield UnplacedDiagnostic(where, "not-supported", refused.detail.removeprefix("into: "))


def _format_place(place: Location, pipeline: Pipeline, where: Where) -> Where:
    """Where the file says the format of a dataset; for one of another pipeline, where it is used."""
    dataset = pipeline.datasets.get(place.dataset)
    return ("datasets", dataset.name, "format") if dataset is not None and dataset.name is not None else where


def _static_name(uri: str, form: Format | None) -> str | None:
    """The name of the file, or None where only a run shows what its end is, and for a folder."""
    path = _TEMPLATE.sub(_ANYTHING, uri)
    name = (path.partition("?")[0] if _scheme(uri) in _WEB else path).rpartition("/")[2]
    if not name or is_pattern(name[-1]):
        return None
    if _ANYTHING not in name:
        return name
    end = "x" + name.rpartition(_ANYTHING)[2]
    is_named = form is not None and form.type is not None
    return end if "." in end.lower().removesuffix(".gz").removesuffix(".gzip") or (is_named and "." in end) else None


def _scheme(uri: str) -> str:
    return uri.partition("://")[0]

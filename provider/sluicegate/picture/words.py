"""The text of a picture: one short line that sets a step, a pipeline or a place apart from others."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sluicegate.pipeline.diagnostics import Diagnostic
from sluicegate.pipeline.keys.model import (
    FetchStep,
    LoadStep,
    OperatorStep,
    Pipeline,
    PythonStep,
    SparkStep,
    Step,
    TransformStep,
)

__all__ = ["as_text", "count_of", "detail", "head", "short"]

_URI_LENGTH = 34
_SHORT_CRONS = {
    "0 * * * *": "@hourly",
    "0 0 * * *": "@daily",
    "0 0 * * 0": "@weekly",
    "0 0 1 * *": "@monthly",
    "0 0 1 1 *": "@yearly",
}


def detail(step: Step) -> str:
    """The kind of a step, and what sets it apart from others of its kind."""
    return _kind(step) + (", for each" if step.for_each is not None else "")


def _kind(step: Step) -> str:
    match step:
        case LoadStep():
            return f"load, {step.mode}"
        case FetchStep():
            return f"fetch by {'sql' if step.fetch.sql is not None else 'api'}"
        case SparkStep():
            return f"spark on {step.cluster_name}"
        case TransformStep() | PythonStep():
            return f"{step.kind} {step.function.rpartition(':')[2]}"
        case OperatorStep():
            return step.operator.rpartition(".")[2]


def short(uri: str) -> str:
    """A place without its scheme; the beginning of a long one is left out, its end says more."""
    place = uri.partition("://")[2] or uri
    return place if len(place) <= _URI_LENGTH else f"…{place[1 - _URI_LENGTH :]}"


def head(pipeline: Pipeline, diagnostics: Collection[Diagnostic]) -> str:
    """`0 7 * * *, data-platform`: when it runs and whose it is."""
    schedule = pipeline.schedule
    cron = schedule.cron or ""
    when = {"once": "once", "none": "no schedule"}.get(schedule.kind, _SHORT_CRONS.get(cron, cron))
    if schedule.timetable is not None:
        when = schedule.timetable.rpartition(".")[2]
    if schedule.kind == "cron" and schedule.timezone != "UTC":
        when += f" {schedule.timezone}"
    return ", ".join(word for word in (when, pipeline.owner, count_of(diagnostics)) if word)


def count_of(diagnostics: Collection[Diagnostic]) -> str:
    errors = sum(diagnostic.is_error for diagnostic in diagnostics)
    return f"{errors} error{'' if errors == 1 else 's'}" if errors else ""


def as_text(diagnostics: Iterable[Diagnostic]) -> str:
    return "\n".join(
        f"{diagnostic.line}:{diagnostic.column}: {diagnostic.message}"
        for diagnostic in diagnostics
        if diagnostic.is_error
    )

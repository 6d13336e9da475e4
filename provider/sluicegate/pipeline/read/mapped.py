"""`for_each:` of a step: how it is read, and what a mapped step must not have."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from sluicegate.graph import template
from sluicegate.graph.datasets import writers
from sluicegate.pipeline.diagnostics import Diagnostic, Where, did_you_mean
from sluicegate.pipeline.keys.base import keys_of
from sluicegate.pipeline.keys.model import ForEach, LoadStep, Mode, Pipeline, SparkStep, Step, TransformStep
from sluicegate.pipeline.read.context import Site
from sluicegate.pipeline.read.validate import known_keys, leaves, shown, text, validate
from sluicegate.pipeline.read.yaml_paths import read_place, write_place
from sluicegate.pipeline.text.source import Source

__all__ = ["check_mapped", "read_for_each"]

_WAYS = ("items", "output_of", "files")
_WILD = ("*", "?", "[")
_CARRIED = ("s3://", "gs://", "file://")


def read_for_each(raw: object, own: str, names: Collection[str], where: Where, site: Site) -> ForEach | None:
    """A list, or one of `items`, `output_of` and `files` with the options of mapping."""
    if isinstance(raw, list):
        return ForEach(items=items) if (items := _items(raw, where, site)) else None
    if not isinstance(raw, dict):
        hint = "a list, {output_of: step} or {files: s3://bucket/*.csv}"
        site.report.error(where, "type", f"expected {hint}, not {shown(raw)}")
        return None
    given = {key: value for key, value in raw.items() if value is not None}
    given = known_keys(given, keys_of(ForEach), where, site.report, "`for_each`")
    ways = [key for key in _WAYS if key in given]
    if not ways:
        if given or not raw:
            message = "one of `items`, `output_of` and `files` says what the items are"
            site.report.error(where, "missing-key", message, key=True)
        return None
    for second in ways[1:]:
        message = f"`{ways[0]}` says already what the items are"
        site.report.error((*where, second), "two-kinds", message, key=True)
    at = (*where, ways[0])
    match ways[0]:
        case "items":
            if not isinstance(given["items"], list):
                site.report.error(at, "type", f"expected a list, not {shown(given['items'])}")
                return None
            given["items"] = _items(given["items"], at, site)
        case "output_of":
            _check_output_of(given["output_of"], own, names, at, site)
        case _:
            _check_files(given["files"], at, site)
    if "empty" in given and ways[0] != "files":
        message = "`empty` is for `files`: without items Airflow skips the step"
        site.report.error((*where, "empty"), "value", message, key=True)
    if isinstance(label := given.get("label"), str) and (wrong := template.syntax_diagnostic(label)):
        site.report.error((*where, "label"), "template", wrong.message)
    return validate(ForEach, given, where, site.report)


def _items(raw: list[Any], where: Where, site: Site) -> tuple[Any, ...]:
    if not raw:
        site.report.error(where, "value", "an empty list: the step would never run")
    for index, item in enumerate(raw):
        if item is None:
            site.report.error((*where, index), "value", "an item says something: text, a number, keys and values")
        elif item in raw[:index]:
            site.report.error((*where, index), "value", f"{shown(item)} is here twice: each item once")
    for words, place in leaves(raw, where):
        if "{{" in words or "{%" in words:
            site.report.error(place, "template", "an item is taken as it is: write the template where it is used")
    return tuple(raw)


def _check_output_of(raw: object, own: str, names: Collection[str], where: Where, site: Site) -> None:
    step = text(raw, where, site.report)
    if step == own:
        site.report.error(where, "cycle", f"`{own}` cannot be mapped over its own result")
    elif step is not None and step not in names:
        meant = did_you_mean(step, set(names) - {own})
        site.report.error(where, "missing-step", f"there is no step {shown(step)}", suggestion=meant)


def _check_files(raw: object, where: Where, site: Site) -> None:
    uri = text(raw, where, site.report)
    if uri is None:
        return
    if not uri.startswith(_CARRIED):
        site.report.error(where, "uri", f"files are looked for at s3://, gs:// and file://, not at {shown(uri)}")
    elif not any(sign in uri for sign in _WILD):
        site.report.error(where, "uri", "this matches one file at most: `*` matches any name, `**` any folders")
    site.datasets.check_template(uri, where, mapped=False)


def check_mapped(pipeline: Pipeline, source: Source) -> Iterator[Diagnostic]:
    """The errors in how mapped steps go together with others."""
    for name, step in pipeline.steps.items():
        if step.for_each is None:
            continue
        if not _uses_item(pipeline, step):
            message = "nothing in this step depends on `item`: it would do the same for each"
            yield source.diagnostic(("steps", name, "for_each"), "item-unused", message, key=True, severity="warning")
        yield from _without_items(pipeline, step, source)
        yield from _one_place(pipeline, step, source)
        yield from _other_items(pipeline, step, source)
        waits = [key for key, read in step.reads.items() if _by_item(pipeline, read.dataset)]
        if step.wait is not None and step.for_each.output_of is not None and waits:
            message = "`wait` cannot know the items beforehand, and this place depends on `item`"
            yield source.diagnostic(read_place(source, name, waits[0]), "wait", message)


def _uses_item(pipeline: Pipeline, step: Step) -> bool:
    """False only where that is certain: functions and operators may come to the item in other ways."""
    if not isinstance(step, LoadStep | SparkStep):
        return True
    datasets = [*step.writes.values(), *(read.dataset for read in step.reads.values())]
    arguments = [word for job in step.jobs for word in (*job.args, *job.command)] if isinstance(step, SparkStep) else []
    return any(_by_item(pipeline, key) for key in datasets) or any(map(template.needs_item, arguments))


def _without_items(pipeline: Pipeline, step: Step, source: Source) -> Iterator[Diagnostic]:
    """Mapped over a step whose result is a report and no list."""
    maker = pipeline.steps.get(step.for_each.output_of or "") if step.for_each is not None else None
    if maker is not None and maker.kind not in ("python", "operator"):
        message = f"`{maker.name}` is a {maker.kind} step, whose result is a report: a `python` step can return a list"
        yield source.diagnostic(("steps", step.name, "for_each", "output_of"), "value", message)


def _one_place(pipeline: Pipeline, step: Step, source: Source) -> Iterator[Diagnostic]:
    """Each item would overwrite what another has written."""
    whole = isinstance(step, LoadStep) and step.mode is Mode.REPLACE_WINDOW
    if not (whole or isinstance(step, TransformStep)):
        return
    for binding, dataset in step.writes.items():
        if not _by_item(pipeline, dataset):
            message = "each item would replace what the others have written: let this depend on `item`"
            yield source.diagnostic(write_place(source, step.name, binding), "item-place", message)


def _other_items(pipeline: Pipeline, step: Step, source: Source) -> Iterator[Diagnostic]:
    """An item that reads what no item has written."""
    mine = step.for_each.items if step.for_each is not None else None
    for binding, read in step.reads.items():
        for writer in writers(pipeline).get(read.dataset, ()) if mine and _by_item(pipeline, read.dataset) else ():
            each = pipeline.steps[writer].for_each
            lost = [item for item in mine or () if each is not None and each.items and item not in each.items]
            if lost:
                message = f"`{writer}` writes nothing for the item {shown(lost[0])}"
                yield source.diagnostic(read_place(source, step.name, binding), "item-place", message)


def _by_item(pipeline: Pipeline, dataset: str) -> bool:
    return dataset in pipeline.datasets and template.needs_item(pipeline.datasets[dataset].uri)

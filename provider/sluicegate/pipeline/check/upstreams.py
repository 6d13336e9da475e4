"""What must not be between pipelines: datasets that are not there, windows that cannot match, cycles."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from sluicegate.graph.datasets import binding_of, split, writers
from sluicegate.graph.edges import edges, narrowed_by, params_in
from sluicegate.graph.order import cycles
from sluicegate.graph.template import before_item, needs_item, same_place, uses
from sluicegate.graph.waits import upstream_reads
from sluicegate.graph.window import endless, unmatched
from sluicegate.pipeline.check.referenced import near_reference
from sluicegate.pipeline.diagnostics import Diagnostic, Where, bug, did_you_mean
from sluicegate.pipeline.keys.model import Pipeline, Read, Schedule
from sluicegate.pipeline.read.draft import Draft, Variant
from sluicegate.pipeline.read.yaml_paths import read_place, write_place
from sluicegate.pipeline.text.source import Source

__all__ = ["Neighbours", "check_cycles", "check_reads", "check_shared_places"]


class Neighbours(Protocol):
    """The other pipelines, as far as they could be read."""

    root: Path

    def making(self, name: str) -> Sequence[Draft]:
        """The files that make a pipeline of that name: one, unless it is missing or there twice."""

    def matrices(self, name: str) -> Sequence[Draft]:
        """The files with a `matrix:` that may have been meant to make it."""

    def names(self) -> Collection[str]:
        """Of all pipelines that there may be."""


def check_reads(variant: Variant, neighbours: Neighbours) -> Iterator[Diagnostic]:
    """The errors in what one pipeline reads from others."""
    schedule = None if variant.is_wrong_at("schedule") else variant.pipeline.schedule
    for where, read in variant.elsewhere:
        yield from _check_read(schedule, variant, read, where, neighbours)


def _check_read(
    schedule: Schedule | None, reader: Variant, read: Read, where: Where, neighbours: Neighbours
) -> Iterator[Diagnostic]:
    source = reader.source
    name, dataset = split(read.dataset)
    making = neighbours.making(name)
    if len(making) != 1:
        yield _no_pipeline(source, where, read, neighbours)
        return
    (draft,) = making
    variant = draft.variant(name)
    if variant is None or variant.is_wrong_at("schedule"):
        yield _broken(source, where, name, draft, neighbours)
    elif dataset not in variant.pipeline.datasets:
        if variant.is_wrong_at("datasets"):
            yield _broken(source, where, name, draft, neighbours)
        else:
            named = [key for key, value in variant.pipeline.datasets.items() if value.name]
            meant = did_you_mean(dataset, named)
            message = f"`{name}` has no dataset `{dataset}`"
            whole = f"{name}.{meant}" if meant else None
            yield source.diagnostic(where, "missing-dataset", message, suggestion=whole)
    elif dataset not in writers(variant.pipeline) and (variant.pipeline.unfinished or variant.is_wrong_at("steps")):
        yield _broken(source, where, name, draft, neighbours)
    else:
        yield from _check_place(source, read, where, variant.pipeline)
        yield from near_reference(reader.pipeline, source, where, variant.pipeline, dataset)
        if schedule is not None and not read.latest:
            yield from _check_windows(schedule, source, read, where, variant.pipeline)


def _no_pipeline(source: Source, where: Where, read: Read, neighbours: Neighbours) -> Diagnostic:
    name, dataset = split(read.dataset)
    if making := neighbours.making(name):
        named = ", ".join(str(draft.file.relative_to(neighbours.root)) for draft in making)
        return source.diagnostic(where, "ambiguous", f"`{name}` may be any of {named}")
    for draft in neighbours.matrices(name):
        if not draft.variants and name.startswith(f"{draft.file.stem}_"):
            return _broken(source, where, name, draft, neighbours)
        if draft.file.stem == name:
            listed = ", ".join(f"`{each}`" for each in draft.names[:3]) + (", ..." if len(draft.names) > 3 else "")
            message = f"the file of `{name}` makes several pipelines: {listed}"
            return source.diagnostic(where, "missing-pipeline", message, suggestion=f"{draft.names[0]}.{dataset}")
    meant = did_you_mean(name, (each for each in neighbours.names() if each != name))
    whole = f"{meant}.{dataset}" if meant else None
    return source.diagnostic(where, "missing-pipeline", f"there is no pipeline `{name}`", suggestion=whole)


def _broken(source: Source, where: Where, name: str, draft: Draft, neighbours: Neighbours) -> Diagnostic:
    """The upstream cannot be understood as far as this reader needs it; the error itself is reported there."""
    said = draft.variant(name) or draft
    first = next(diagnostic for diagnostic in said.diagnostics if diagnostic.is_error)
    message = f"`{name}` has errors of its own: see {_shown(first, neighbours.root)}"
    return source.diagnostic(where, "upstream-broken", message)


def _check_place(source: Source, read: Read, where: Where, other: Pipeline) -> Iterator[Diagnostic]:
    """Whether the reader can know where the dataset is, and that it is whole."""
    _, name = split(read.dataset)
    uri = other.datasets[name].uri
    if params := sorted(params_in(uri)):
        message = f"where `{read.dataset}` is depends on its param `{params[0]}`: it cannot be read from outside"
        yield source.diagnostic(where, "param-place", message)
        return
    if needs_item(uri):
        folder = f": read the folder {before!r}" if (before := before_item(uri)).endswith("/") else ""
        message = f"`{read.dataset}` has a place for each `item` of its step{folder}"
        yield source.diagnostic(where, "item-place", message)
        return
    if read.latest and uses(uri) & {"ds", "window"}:
        message = f"the place of `{read.dataset}` changes with each window: there is no latest one"
        yield source.diagnostic(where, "latest", message)
    for writer in writers(other).get(name, ()):
        for param in sorted(narrowed_by(other)[writer]):
            message = (
                f"a run of `{other.name}` with its param `{param}` writes only a part of `{read.dataset}`, "
                "which would look whole from here: it cannot be read from outside"
            )
            yield source.diagnostic(where, "param-narrows", message)


def _check_windows(ours: Schedule, source: Source, read: Read, where: Where, other: Pipeline) -> Iterator[Diagnostic]:
    remedy = f"read it as {{dataset: {read.dataset}, latest: true}} if having been written once is enough"
    theirs = other.schedule
    if theirs.cron is None:
        kind = "has a timetable" if theirs.timetable is not None else "has no cron"
        message = f"`{other.name}` {kind}, so none of its windows can be waited for: {remedy}"
        yield source.diagnostic(where, "window", message)
    elif ours.cron is None:
        message = f"without a cron a run has no window in which those of `{other.name}` could end: {remedy}"
        yield source.diagnostic(where, "window", message)
    elif (window := unmatched(ours, theirs)) is not None:
        if unmatched(endless(ours), endless(theirs)) is None:
            remedy = "start later, end sooner, or let it run for longer"
        message = (
            f"the run from {window.start:%Y-%m-%dT%H:%MZ} to {window.end:%Y-%m-%dT%H:%MZ} finds no window of "
            f"`{other.name}` ({_told(theirs)}) that ends in it: {remedy}"
        )
        yield source.diagnostic(where, "window", message)


def _told(schedule: Schedule) -> str:
    words = f"{schedule.cron} {schedule.timezone}"
    if schedule.start is not None:
        words += f" from {schedule.start:%Y-%m-%d}"
    return words if schedule.end is None else f"{words} to {schedule.end:%Y-%m-%d}"


_Link = tuple[tuple[str, str], tuple[str, str]]
"""Two steps, each with its pipeline; the second comes after the first."""


def check_cycles(pipelines: Mapping[str, Pipeline], sources: Mapping[str, Source]) -> Iterator[Diagnostic]:
    """Steps of several pipelines that wait for each other; reported where each of them reads, with the other places."""
    links: list[_Link] = []
    bindings: dict[_Link, str] = {}
    for name, pipeline in pipelines.items():
        try:
            own = [((name, before), (name, after)) for before, after in edges(pipeline)]
            waited = {
                ((wait.pipeline, wait.upstream_step), (name, wait.step)): wait.binding
                for wait in upstream_reads(pipeline, pipelines)
            }
        except Exception as error:
            yield bug(error, "checking", pipeline.file)
            continue
        links += [*own, *waited]
        bindings |= waited
    for path in cycles(links):
        shown = " -> ".join(".".join(node) for node in path)
        reading = [link for link in pairwise(path) if link in bindings]
        places = [_reading_place(link, bindings[link], sources) for link in reading]
        for place in places:
            others = " and ".join(_shown(other, sources[reading[0][1][0]].root) for other in places if other != place)
            message = f"these pipelines wait for each other: {shown}" + (f"; see also {others}" if others else "")
            yield replace(place, message=message)


def _reading_place(link: _Link, binding: str, sources: Mapping[str, Source]) -> Diagnostic:
    name, step = link[1]
    return sources[name].diagnostic(read_place(sources[name], step, binding), "cycle", "")


def _shown(place: Diagnostic, root: Path) -> str:
    file = place.file.relative_to(root) if place.file.is_relative_to(root) else place.file
    return f"{file}:{place.line}:{place.column}"


def check_shared_places(pipelines: Mapping[str, Pipeline], sources: Mapping[str, Source]) -> Iterator[Diagnostic]:
    """Warnings for places that several pipelines write without saying that they are shared."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    for name, pipeline in pipelines.items():
        try:
            written = [(key, steps[0]) for key, steps in writers(pipeline).items() if not pipeline.datasets[key].shared]
        except Exception as error:
            yield bug(error, "checking", pipeline.file)
            continue
        for key, step in written:
            found.setdefault(same_place(pipeline.datasets[key].uri), []).append((name, key, step))
    for writing in found.values():
        names = list(dict.fromkeys(name for name, _, _ in writing))
        if len(names) < 2:
            continue
        told_of: set[tuple[Path, Where]] = set()  # a file says once what all its combinations do
        for name, key, step in writing:
            binding = binding_of(pipelines[name], pipelines[name].steps[step], key)
            where = write_place(sources[name], step, binding)
            if (sources[name].file, where) in told_of:
                continue
            told_of.add((sources[name].file, where))
            others = [f"`{other}`" for other in names if other != name]
            listed = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
            message = f"{listed} writes here too: say `shared: true` on the dataset if that is meant"
            yield sources[name].diagnostic(where, "same-place", message, severity="warning")

"""A file of dag-factory 1.1 as pipeline files: one for each DAG, with notes on what is different or left out."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from sluicegate.migrate.dag import pipeline_of
from sluicegate.migrate.item import Item, merged, read_items
from sluicegate.migrate.names import names_of
from sluicegate.migrate.note import Note, Notes
from sluicegate.migrate.operators import Lookup
from sluicegate.migrate.values import Lost
from sluicegate.migrate.writing import write
from sluicegate.pipeline.diagnostics import Diagnostic, PipelineErrors, Where

__all__ = ["Converted", "Options", "convert"]

_NO_DAGS = ("default", "task_groups")
"""Top-level keys of a file that are not DAGs."""
_DEFAULTS = ("defaults.yml", "defaults.yaml")


@dataclass(frozen=True)
class Options:
    """`today` is what relative days count from; `taken` are names of pipelines that are given away already."""

    lookup: Lookup
    today: date
    taken: Collection[str] = ()


@dataclass(frozen=True)
class Converted:
    """A pipeline file to be: its stem, its text, and what has to be known about it."""

    name: str
    text: str
    notes: tuple[Note, ...]


def convert(file: Path, options: Options) -> tuple[list[Converted], list[Diagnostic]]:
    """The pipelines of `file`, and what is wrong with those of its DAGs that dag-factory would refuse too.

    :raises PipelineErrors: when it is not a dag-factory file at all
    """
    file = file.absolute()
    document = read_items(file)
    defaults = _defaults(document, file)
    dags = {key: item for key, item in document.items.items() if key not in _NO_DAGS}
    if not dags:
        raise document.refused("there is no DAG in this file")
    names = names_of(dags, options.taken)
    found: list[Converted] = []
    diagnostics: list[Diagnostic] = []
    for identifier, item in dags.items():
        try:
            found.append(_one(identifier, names[identifier], item, defaults, options))
        except PipelineErrors as errors:
            diagnostics += errors.diagnostics
        except Lost as lost:
            diagnostics += lost.item.refused(str(lost)).diagnostics
    return found, diagnostics


def _one(identifier: str, name: str, item: Item, defaults: Item, options: Options) -> Converted:
    if not isinstance(item.value, dict):
        raise item.refused(f"the DAG `{identifier}` is not a mapping")
    notes = Notes()
    if name != identifier:
        notes.add(item, ("sluicegate",), f"the DAG `{identifier}` is called `{name}`, as its file is")
    dag = item.holding(merged(item.items, defaults.items))
    pipeline = pipeline_of(dag, identifier if name != identifier else None, notes, options.lookup, options.today)
    comments: dict[Where, list[str]] = {}
    for note in notes.all:
        place = _existing(note.where, pipeline)
        comments.setdefault(place, []).append(f"dag-factory: {note.message}")
    head = [f"Converted from `{identifier}` in {item.file.name}, by `sluicegate import dag-factory`."]
    return Converted(name, write(pipeline, comments, head), tuple(notes.all))


def _existing(where: Where, pipeline: Any) -> Where:
    """As much of a place as there is."""
    value = pipeline
    for depth, part in enumerate(where):
        inside = dict(enumerate(value)) if isinstance(value, list) else value
        if not isinstance(inside, dict) or part not in inside:
            return where[:depth] or ("sluicegate",)
        value = inside[part]
    return where or ("sluicegate",)


def _defaults(document: Item, file: Path) -> Item:
    """What holds for all DAGs of a file: its `default`, and the `defaults.yml` of the folders up to the dags root."""
    own = document.items.get("default", document.holding({}))
    found = dict(own.items)
    for path in _default_files(file):
        outer = read_items(path)
        if "default_args" in outer.items:
            under = outer.items["default_args"]
            inner = found.get("default_args", under.holding({}))
            # What a deeper file says wins, key by key.
            found["default_args"] = inner.holding({**under.items, **inner.items})
        found |= {key: item for key, item in outer.items.items() if key not in found}
    return own.holding(found)


def _default_files(file: Path) -> Iterator[Path]:
    """The nearest first; up to a folder called `dags`, only the file's own folder where there is none."""
    folders = [file.parent, *file.parent.parents]
    root = next((index for index, folder in enumerate(folders) if folder.name == "dags"), 0)
    for folder in folders[: root + 1]:
        if path := next((folder / name for name in _DEFAULTS if (folder / name).is_file()), None):
            yield path

"""What was converted to something else, or to nothing: a note with its place in the old file and in the new one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sluicegate.migrate.item import Item, Items
from sluicegate.pipeline.diagnostics import Where

__all__ = ["Note", "Notes"]


@dataclass(frozen=True)
class Note:
    """`where` is the place in the pipeline that was made. `lost`: a task could not be converted at all."""

    message: str
    file: Path
    line: int
    where: Where
    lost: bool = False

    @property
    def kind(self) -> str:
        return "not converted" if self.lost else "note"


class Notes:
    """The notes of one pipeline, in the order in which they were made; each once."""

    def __init__(self) -> None:
        self.all: dict[Note, None] = {}

    def add(self, item: Item, where: Where, message: str, *, lost: bool = False, once: bool = False) -> None:
        """:param once: the first that says this is enough"""
        if not (once and any(note.message == message for note in self.all)):
            self.all[Note(message, item.file, item.line, where, lost)] = None

    def first(self, conf: Items, keys: Sequence[str], where: Where) -> Item | None:
        """The first of `keys`, which all say the same thing, that says something; the others are noted."""
        given = [key for key in keys if key in conf and conf[key].value is not None]
        for key in given[1:]:
            self.add(conf[key], where, f"`{key}` left out: `{given[0]}` says it")
        return conf[given[0]] if given else None

"""`inlets` and `outlets` as datasets that steps read and write."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from sluicegate.migrate.item import Item, Items
from sluicegate.migrate.names import named
from sluicegate.migrate.values import Values
from sluicegate.pipeline.diagnostics import Where

__all__ = ["Lineage"]

_PLACE = re.compile(r"(s3|gs|file|https)://.*[^/\s].*")
_TABLE = re.compile(r"table://[^/]+/[^/]+")


@dataclass
class Lineage:
    """The datasets of one pipeline, which grow with its steps; `before` are all tasks that a task comes after."""

    values: Values
    before: Mapping[str, frozenset[str]]
    datasets: dict[str, str] = field(default_factory=dict)
    """URI by name."""
    writers: dict[str, str] = field(default_factory=dict)
    """Task by URI."""
    task: str = ""

    def expect(self, tasks: Mapping[str, Item]) -> None:
        """Note who writes what, before any step reads."""
        for name, task in tasks.items():
            for uri, _, _ in self._places(task.items.get("outlets")):
                self.writers.setdefault(uri, name)

    def of(self, task: Item, conf: Items, where: Where) -> dict[str, Any]:
        """`reads` and `writes` of a step."""
        found: dict[str, Any] = {}
        for key, side in (("inlets", "reads"), ("outlets", "writes")):
            item = conf.get(key)
            if item is None or item.value is None:
                continue
            if isinstance(item.value, dict) and "__type__" not in item.value:
                self.values.notes.add(item, where, f"`{key}` out of a file left out: name the datasets here")
                continue
            names = [
                name for uri, asset, place in self._places(item) if (name := self._name(key, uri, asset, place, where))
            ]
            if names:
                found[side] = names[0] if len(names) == 1 else names
                if key == "outlets":
                    message = "`outlets`: no DAG is started by these; a pipeline that reads them waits for this step"
                    self.values.notes.add(item, (*where, side), message)
        return found

    def _places(self, item: Item | None) -> Iterator[tuple[str, str, Item]]:
        """URI and name of each asset."""
        if item is None:
            return
        for one in item.value if isinstance(item.value, list) else [item]:
            if isinstance(one.value, str):
                yield one.value, "", one
            elif "uri" in one.items or "name" in one.items:
                name = str(one.items["name"].value) if "name" in one.items else ""
                yield str(one.items["uri"].value) if "uri" in one.items else "", name, one

    def _name(self, key: str, uri: str, asset: str, item: Item, where: Where) -> str | None:
        """The dataset's name; None, with a note, for what is none here."""
        if not (_PLACE.fullmatch(uri) or _TABLE.fullmatch(uri)):
            self.values.notes.add(
                item, where, f"`{key}`: {uri or asset!r} left out: a dataset is s3, gs, file, https or table"
            )
            return None
        writer = self.writers.get(uri)
        if key == "outlets" and writer != self.task:
            self.values.notes.add(
                item, where, f"`{key}`: {uri} left out: `{writer}` writes it, and a dataset has one writer"
            )
            return None
        if key == "inlets" and writer is not None and writer not in self.before[self.task]:
            message = f"`{key}`: {uri} left out: to read it would mean to come after `{writer}`, which this did not"
            self.values.notes.add(item, where, message)
            return None
        text = str(self.values.plain(item.holding(uri), ("datasets",)))
        for name, known in self.datasets.items():
            if known == text:
                return name
        tail = PurePosixPath(uri.partition("://")[2]).name.partition(".")[0]
        name = named(asset or tail or "data", self.datasets)
        self.datasets[name] = text
        return name

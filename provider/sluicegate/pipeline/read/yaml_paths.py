"""Where a file says what a step reads and writes, in whichever form it says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sluicegate.pipeline.diagnostics import Where
from sluicegate.pipeline.keys.model import REFERENCED
from sluicegate.pipeline.text.source import Source

__all__ = ["as_written", "read_place", "write_place"]


def read_place(source: Source, step: str, binding: str) -> Where:
    """Where a file says what `binding` of `step` reads, in whichever form it says so."""
    where = _place(source, step, "reads", "load", binding)
    value: Any = source.value
    for part in where:
        value = value[part]
    return (*where, "dataset") if isinstance(value, dict) and "dataset" in value else where


def write_place(source: Source, step: str, binding: str) -> Where:
    """Where a file says what `binding` of `step` writes."""
    return _place(source, step, "writes", "into", binding)


def _place(source: Source, step: str, side: str, own: str, binding: str) -> Where:
    raw = source.value["steps"][step]
    where: Where = ("steps", step, side)
    if binding == own and own in raw:
        return ("steps", step, own)
    if binding.startswith(REFERENCED):
        dataset = binding.removeprefix(REFERENCED)
        named = (
            name
            for name, column in raw["columns"].items()
            if isinstance(column, dict) and str(column.get("references")).rpartition(".")[0] == dataset
        )
        return ("steps", step, "columns", next(named), "references")
    value = raw.get(side)
    if isinstance(value, dict) and binding in value:
        return (*where, binding)
    if isinstance(value, list):
        names = [item.get("dataset") if isinstance(item, dict) else item for item in value]
        bound = [str(name).rpartition(".")[2] for name in names]
        # Not there where the name comes out of a matrix that `source` is without.
        return (*where, bound.index(binding)) if binding in bound else where
    return where


def as_written(where: Where, value: object) -> Where:
    """The place of `where`, in which everything is in its long form, in a file that says `value`: without the index of
    what is not in a list, and the key of what is in its short form.
    """
    way: list[str | int] = []
    node: Any = value
    for part in where:
        if isinstance(part, int):
            if not isinstance(node, list):
                continue
            node = node[part]
        elif isinstance(node, Mapping):
            node = node.get(part)
        else:
            break
        way.append(part)
    return tuple(way)

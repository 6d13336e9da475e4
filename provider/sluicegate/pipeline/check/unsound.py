"""One thing that is wrong with a part of the file that is a value by itself: its place below that part, and why."""

from __future__ import annotations

from typing import NamedTuple

from sluicegate.pipeline.diagnostics import Where

__all__ = ["Unsound"]


class Unsound(NamedTuple):
    """`key` points at the key there rather than at its value."""

    where: Where
    message: str
    key: bool = False
    code: str = "cluster"

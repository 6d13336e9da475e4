"""Ids of dag-factory as names of ours, each one once."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from sluicegate.pipeline.read.validate import invalid_name

__all__ = ["named", "names_of"]


def named(identifier: str, taken: Collection[str] = ()) -> str:
    """`identifier` as a name that is not `taken`; itself when it is one."""
    name = identifier
    if invalid_name(identifier):
        name = re.sub(r"[^a-z0-9_]+", "_", identifier.lower()).strip("_")
        name = name if name[:1].isalpha() else f"x_{name}".rstrip("_")
    number = 2
    free = name
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free


def names_of(identifiers: Iterable[str], taken: Collection[str] = ()) -> dict[str, str]:
    """The names by identifier. Those that are names already keep theirs, whatever comes before them."""
    every = list(identifiers)
    found = {each: each for each in every if not invalid_name(each) and each not in taken}
    for each in every:
        if each not in found:
            found[each] = named(each, {*taken, *found.values()})
    return {each: found[each] for each in every}

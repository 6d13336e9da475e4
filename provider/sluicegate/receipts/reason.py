"""A reason for which a number may have changed, and how likely it is the one. Pure."""

from __future__ import annotations

import json
from collections.abc import Set
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Kind", "Reason", "shown"]

_LONGEST = 120


class Kind(StrEnum):
    """What differs, the most telling kinds first."""

    FAULT = "fault"
    SWITCH = "switch"
    REPEATED = "repeated"
    PARAM = "param"
    WINDOW = "window"
    ITEMS = "items"
    CONTENT = "content"
    """Another version of what is at the same place."""
    INPUT = "input"
    """What is read is somewhere else."""
    KEY = "configuration"
    LIMIT = "limit"
    CODE = "code"
    ENV = "environment"
    DRIFT = "columns"
    DEAD = "dead letters"
    COMMIT = "commit"
    PACKAGE = "package"
    IDLE_KEY = "configuration without influence"


_BASE = {kind: 100 - 5 * number for number, kind in enumerate(Kind)}
_OF_READ = {Kind.CONTENT, Kind.INPUT, Kind.ITEMS, Kind.WINDOW}
"""What explains that another number of records was read."""
_OF_FATE = {Kind.KEY, Kind.LIMIT, Kind.CODE, Kind.DRIFT, Kind.DEAD}
"""What explains that something else became of the records."""


@dataclass(frozen=True)
class Reason:
    """One difference in words. `step` is the one whose receipts differ."""

    kind: Kind
    words: str
    step: str | None = None

    def weight(self, changed: Set[str], anything: bool) -> int:
        """How likely this explains it.

        :param changed: the counts of the step that differ
        :param anything: whether any count of any step differs
        """
        weight = _BASE[self.kind]
        if self.kind in _OF_READ and "read" in changed:
            weight += 25
        if self.kind in _OF_FATE and changed - {"read"}:
            weight += 30 if "read" not in changed else 10
        if self.step is not None and anything and not changed and self.kind is not Kind.FAULT:
            weight -= 40
        return weight


def shown(value: object) -> str:
    """A value in a sentence."""
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = repr(value) if isinstance(value, str) and not value.startswith(("sha256:", "***")) else text
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"

"""The protocol of a ledger, whatever keeps it: the same database as the data, or another one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sluicegate.ledger.entries import DeadLetter, Load, Origin

__all__ = ["Ledger", "OpenLetter"]


@dataclass(frozen=True)
class OpenLetter:
    """A dead letter that waits for its record: its id, and the record's key values as texts."""

    id: str
    key: Mapping[str, str]


class Ledger(Protocol):
    """What was loaded, and what was set aside. Never commits by itself: the target's commit strategy does."""

    def find(self, target: str, source: str, version: str, digest: str, *, ever: bool = False) -> Load | None:
        """The load that makes another one of the same version and configuration needless, or None.

        It is the last one of this source. An earlier one does not count: when a file is put back to what it was,
        what came between has to be undone. Except for `ever`: rows that are only appended are not brought in again.
        """

    def open_letters(self, target: str, origin: Origin) -> list[OpenLetter]:
        """The target's open dead letters that a load of this window may resolve.

        Not those of later windows, whose records were newer, and not those that this load set aside.
        """

    def record(self, load: Load) -> None:
        """Write `load`. Counts that do not balance are refused."""

    def set_aside(self, target: str, digest: str, origin: Origin, letters: Iterable[DeadLetter]) -> None:
        """Keep `letters`. One that is known already keeps what it says: only `attempts` and `last_seen` move."""

    def resolve(self, ids: Sequence[str], run: str) -> int:
        """Mark open dead letters as resolved by `run`; returns how many."""

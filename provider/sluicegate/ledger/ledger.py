"""The protocol of a ledger, whatever keeps it: the same database as the data, or another one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from sluicegate.ledger.entries import DeadLetter, Load, Origin
from sluicegate.ledger.letters import Letters, Place

__all__ = ["Ledger", "OpenLetter"]


@dataclass(frozen=True)
class OpenLetter:
    """A dead letter that waits for its record: its id, the record's key values as texts, and its version if known.

    `is_new`: it was set aside in this transaction; `source` and `line` say where.
    """

    id: str
    key: Mapping[str, str]
    version: str | None = None
    place: Place | None = None
    is_new: bool = False
    source: str = ""
    line: int = 0


class Ledger(Protocol):
    """What was loaded, and what was set aside. Never commits by itself: the target's commit strategy does."""

    @property
    def letters(self) -> Letters:
        """What becomes of what was set aside."""

    def find(self, target: str, source: str, version: str, digest: str, *, ever: bool = False) -> Load | None:
        """The load that makes another one of the same version and configuration needless, or None.

        It is the last one of this source. An earlier one does not count: when a file is put back to what it was,
        what came between has to be undone. With `ever` any load of the version is one, whatever its configuration was:
        rows that are only appended are not brought in again.
        """

    def has_open(self, target: str) -> bool:
        """Whether the target has open dead letters."""

    def open_letters(self, target: str, origin: Origin) -> Iterator[Sequence[OpenLetter]]:
        """The target's open dead letters with a known key that a load of this window may resolve, page by page.

        Not those of later windows, whose records were newer.
        """

    def open_letters_of(self, target: str, keys: Sequence[Mapping[str, str]]) -> Sequence[OpenLetter]:
        """The target's open dead letters with one of these keys."""

    def record(self, load: Load) -> None:
        """Write `load`. Counts that do not balance are refused."""

    def set_aside(
        self, target: str, digest: str, origin: Origin, letters: Iterable[DeadLetter], *, anew: bool = False
    ) -> None:
        """Keep `letters`. One that is known already keeps what it says of its first reading; `attempts`, `last_seen`
        and its latest failures move, and it is as late as this load. One that a load had resolved is open again.

        :param anew: whether what was replayed is open again too, because the load has taken it out of the target.
        """

    def resolve(self, ids: Sequence[str], run: str) -> int:
        """Mark open dead letters as resolved by `run`; returns how many."""

    def resolve_read(self, target: str, parts: Iterable[tuple[str, str]], run: str) -> int:
        """Mark as resolved what was set aside of these parts (source and version) before, and not in this transaction:
        these records are good now. So is a source that was set aside as a whole, in whatever version. Returns how many.
        """

    def resolve_window(self, target: str, origin: Origin) -> int:
        """Mark as resolved what earlier loads of this step have set aside of its window, and this transaction has not:
        all of the window's rows are those of a later source. Returns how many.
        """

    def forget(self, target: str, keep: timedelta, most: int) -> int:
        """Delete dead letters of `target` that were closed longer ago than `keep`, at most so many; how many."""

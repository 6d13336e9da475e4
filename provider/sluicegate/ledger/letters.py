"""Dead letters as the ledger keeps them: what is known of one, which are meant, and the protocol of their life."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol

from sluicegate.graph.window import Window
from sluicegate.ledger.entries import DeadLetter

__all__ = ["Closed", "Failures", "Letter", "LetterStatus", "Letters", "Place", "Selection"]

Failures = tuple[Mapping[str, Any], ...]
_FIRST = datetime.min.replace(tzinfo=UTC)


class LetterStatus(StrEnum):
    """What has become of a dead letter."""

    OPEN = "open"
    REPLAYED = "replayed"
    RESOLVED = "resolved"
    DISCARDED = "discarded"


@dataclass(frozen=True, order=True)
class Place:
    """Where a letter is in the order of records: by its window, then by the order of loading."""

    window: datetime
    position: int

    @classmethod
    def of(cls, window_start: datetime | None, position: int) -> Place:
        return cls(window_start or _FIRST, position)


@dataclass(frozen=True)
class Letter:
    """One dead letter. `failures` are those of its first reading, `last_failures` those of the latest try, if there was
    one; `absent` are columns that its load brought and its record did not have. `edited` is what was last tried in
    place of `record`. For the rest see `DeadLetter`.
    """

    id: str
    target: str
    source: str
    source_version: str
    line: int
    record: str
    failures: Failures
    position: int
    status: LetterStatus = LetterStatus.OPEN
    key: Mapping[str, str] | None = None
    version: str | None = None
    complete: bool = True
    header: tuple[str, ...] | None = None
    absent: tuple[str, ...] = ()
    last_failures: Failures | None = None
    edited: str | None = None
    pipeline: str | None = None
    step: str | None = None
    run_id: str | None = None
    window: Window | None = None
    fault: str | None = None
    attempts: int = 1
    first_seen: datetime = _FIRST
    last_seen: datetime = _FIRST
    closed_at: datetime | None = None
    resolved_by: str | None = None
    reason: str | None = None

    @property
    def place(self) -> Place:
        return Place.of(self.window.start if self.window else None, self.position)

    @property
    def latest(self) -> Failures:
        """Why it is set aside, as far as is known now."""
        return self.failures if self.last_failures is None else self.last_failures

    @property
    def rules(self) -> tuple[str, ...]:
        return tuple(str(failure["rule"]) for failure in self.latest)


@dataclass(frozen=True)
class Selection:
    """Which dead letters are meant; what is not said narrows nothing. An id may be its beginning, `source` may have
    `*`, and a `rule` without a column (`type`) means it in any. Of windows, those that begin in `[since, until)`.

    `loaded` leaves out what a load that failed as a whole has set aside, and whole files.
    """

    target: str | None = None
    pipeline: str | None = None
    step: str | None = None
    rule: str | None = None
    column: str | None = None
    source: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    ids: tuple[str, ...] = ()
    statuses: tuple[LetterStatus, ...] = (LetterStatus.OPEN,)
    loaded: bool = False


@dataclass(frozen=True)
class Closed:
    """How a letter ends. `who` did it, a person or a run; `edited` is what was brought in in place of the record."""

    status: LetterStatus
    who: str
    reason: str | None = None
    edited: Mapping[str, str] = field(default_factory=dict)


class Letters(Protocol):
    """The life of dead letters in a ledger. Never commits by itself."""

    def page(self, selection: Selection, after: Place | None = None, most: int = 1_000) -> Sequence[Letter]:
        """The letters that are meant, in their order, behind `after`; fewer than `most` where they are large."""

    def count(self, selection: Selection) -> int:
        """How many are meant."""

    def again(self, ids: Sequence[str]) -> Sequence[Letter]:
        """Those of these letters that are open, in their order; kept from others until the transaction ends."""

    def close(self, ids: Sequence[str], how: Closed) -> int:
        """Close those of these letters that are open; returns how many."""

    def failed_again(self, letters: Iterable[DeadLetter], edited: Mapping[str, str]) -> None:
        """Keep what a replay found out of letters that stay: why, and what was tried in place of their records."""

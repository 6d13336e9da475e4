"""What the ledger holds: loads and dead letters, as values. No database here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from sluicegate.graph.window import Window

__all__ = ["Counts", "DeadLetter", "Load", "Origin", "dead_letter_id"]


@dataclass(frozen=True)
class Counts:
    """What became of the records that were read. `rejected`: read, but not brought in because the load failed;
    `deleted`: records that deleted the row of their key.
    """

    read: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    stale: int = 0
    deduplicated: int = 0
    deleted: int = 0
    dead: int = 0
    rejected: int = 0

    @property
    def balanced(self) -> bool:
        """Whether each record that was read is counted exactly once."""
        return 2 * self.read == sum(self.as_dict().values())

    @property
    def in_table(self) -> int:
        """Records of which the table had a row after the load."""
        return self.inserted + self.updated + self.unchanged + self.stale

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


@dataclass(frozen=True)
class Origin:
    """Which run it was that loaded."""

    pipeline: str | None = None
    step: str | None = None
    run_id: str | None = None
    try_number: int | None = None
    window: Window | None = None


@dataclass(frozen=True)
class Load:
    """One row of the ledger. `source` is the URI, or several joined by spaces.

    `removed` are rows that the target lost with the window that was replaced; `drift` is how the source's columns
    differed from the target's, by what was done with them. `created` says that the load made its table: what was
    loaded into one of that name before is gone with it.
    """

    target: str
    source: str
    source_version: str
    config_digest: str
    status: str
    counts: Counts
    seconds: float
    origin: Origin = Origin()
    fault: str | None = None
    removed: int = 0
    drift: Mapping[str, object] = field(default_factory=dict)
    created: bool = False


@dataclass(frozen=True)
class DeadLetter:
    """One record that was set aside. `source` is the part that contains it, `line` its first line there, from 1.

    `record` is the raw line where it is malformed, else JSON of its raw values; `key` its key values as texts,
    if they could be read; `failures` one mapping of `rule`, `column` and `value` for each rule it breaks, with `why`
    where a value is not of its type. `fault` is that of a load which failed as a whole. `version` is the value of
    `newest_by` as text, if it could be read. A `complete` one can be read again from `record` alone, else only from the
    source. `header` names the values of a malformed line; `absent` are columns that the load brought and this record
    does not have. `id` is that of a letter which is known already.
    """

    source: str
    source_version: str
    line: int
    record: str
    failures: tuple[Mapping[str, object], ...]
    key: Mapping[str, str] | None = None
    fault: str | None = None
    version: str | None = None
    complete: bool = True
    header: tuple[str, ...] | None = None
    absent: tuple[str, ...] = ()
    id: str | None = None


def dead_letter_id(target: str, letter: DeadLetter) -> str:
    """Digest of target, source, version, line and record: no run and no try, so that a retry finds the same."""
    if letter.id is not None:
        return letter.id
    digest = hashlib.sha256()
    for text in (target, letter.source, letter.source_version, str(letter.line), letter.record):
        raw = text.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()

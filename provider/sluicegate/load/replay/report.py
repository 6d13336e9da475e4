"""What a replay did, for a person and for machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sluicegate.ledger.entries import Counts
from sluicegate.load.report import LoadReport, reasons_text

__all__ = ["ReplayReport"]


@dataclass(frozen=True)
class ReplayReport:
    """`counts` are those of all loads that it was made of; `left` are letters that were not tried, by reason.

    `resolved` are other open letters, whose place a replayed record took.
    """

    counts: Counts = field(default_factory=Counts)
    reasons: Mapping[str, int] = field(default_factory=dict)
    left: Mapping[str, int] = field(default_factory=dict)
    resolved: int = 0
    loads: int = 0
    dry_run: bool = False

    @property
    def replayed(self) -> int:
        """Letters whose record went in, or gave way to a newer one."""
        return self.counts.read - self.counts.dead

    @property
    def still_bad(self) -> int:
        return self.counts.dead

    def plus(self, load: LoadReport) -> ReplayReport:
        """With one more load."""
        return ReplayReport(
            Counts(**_sum(self.counts.as_dict(), load.counts.as_dict())), _sum(self.reasons, load.reasons), self.left,
            self.resolved + load.resolved, self.loads + 1, self.dry_run,
        )  # fmt: skip

    def leaving(self, left: Mapping[str, int]) -> ReplayReport:
        """With letters that were not tried."""
        return ReplayReport(
            self.counts, self.reasons, _sum(self.left, left), self.resolved, self.loads, self.dry_run
        )  # fmt: skip

    def after(self, earlier: ReplayReport) -> ReplayReport:
        """Both together."""
        counts = Counts(**_sum(earlier.counts.as_dict(), self.counts.as_dict()))
        return ReplayReport(
            counts, _sum(earlier.reasons, self.reasons), _sum(earlier.left, self.left),
            earlier.resolved + self.resolved, earlier.loads + self.loads, self.dry_run,
        )  # fmt: skip

    def as_dict(self) -> dict[str, object]:
        """JSON values."""
        return {
            "replayed": self.replayed,
            "still_bad": self.still_bad,
            "left": dict(self.left),
            "resolved": self.resolved,
            "reasons": dict(self.reasons),
            "counts": self.counts.as_dict(),
            "dry_run": self.dry_run,
        }

    def facts(self) -> dict[str, object]:
        """What a receipt and the metrics say of it."""
        found: dict[str, object] = {
            "status": "dry_run" if self.dry_run else "replayed",
            "counts": self.counts.as_dict(),
        }
        return found | {"dead_letters": dict(self.reasons), "resolved": self.resolved, "left": dict(self.left)}

    def line(self) -> str:
        """`replayed 2 of 3 dead letters: 1 inserted, 1 updated, 1 still bad (required:n 1)`."""
        tried = self.counts.read
        if not tried and not self.left:
            return "no open dead letter matches"
        brought = self.counts.as_dict()
        parts = [f"{brought[name]:,} {name}" for name in ("inserted", "updated", "unchanged", "stale") if brought[name]]
        if self.counts.deduplicated:
            parts.append(f"{self.counts.deduplicated:,} replaced by a later one of them")
        if self.still_bad:
            parts.append(f"{self.still_bad:,} still bad ({reasons_text(self.reasons)})")
        if self.resolved:
            parts.append(f"{self.resolved:,} other dead letters resolved")
        parts += [f"{count:,} left as they are: {why}" for why, count in self.left.items()]
        word = "dry run, nothing kept: would replay" if self.dry_run else "replayed"
        return f"{word} {self.replayed:,} of {tried + sum(self.left.values()):,} dead letters: {', '.join(parts)}"


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {
        name: one.get(name, 0) + other.get(name, 0) for name in [*one, *(name for name in other if name not in one)]
    }

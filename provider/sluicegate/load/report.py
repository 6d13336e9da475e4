"""What a load did, for a person (one line) and for machines (a JSON value)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

from sluicegate.ledger.entries import Counts
from sluicegate.targets.target import Changes

__all__ = ["LoadReport", "Status", "reasons_text"]

Status = Literal["loaded", "skipped", "failed", "dry_run"]


@dataclass(frozen=True)
class LoadReport:
    """`reasons` are dead letters by rule; a record that breaks two rules counts under both.

    With the status `skipped`, the counts are those of the load that did it (`loaded_by`).
    """

    status: Status
    target: str
    source: str
    source_version: str
    counts: Counts
    reasons: Mapping[str, int] = field(default_factory=dict)
    resolved: int = 0
    """Open dead letters whose record, or a later one with its key, came in now."""
    seconds: float = 0.0
    loaded_by: str | None = None
    warnings: Mapping[str, int | str] = field(default_factory=dict)
    """Rules of severity `warning` or `info` that do not hold: how many records break them, or what was seen."""

    removed: int = 0
    """Rows that the target lost with the window that was replaced."""
    drift: Mapping[str, object] = field(default_factory=dict)
    """How the source's columns differed from the target's: `added`, `ignored`, `absent`."""
    changes: Changes | None = None
    """What a dry run would change."""

    def as_dict(self) -> dict[str, object]:
        """JSON values: what goes to XCom and into reports of runs."""
        return {
            "status": self.status,
            "target": self.target,
            "source": self.source,
            "source_version": self.source_version,
            **self.counts.as_dict(),
            "reasons": dict(self.reasons),
            "warnings": dict(self.warnings),
            "resolved": self.resolved,
            "seconds": round(self.seconds, 3),
            "loaded_by": self.loaded_by,
            "removed": self.removed,
            "drift": dict(self.drift),
            **({} if self.changes is None else {"changes": asdict(self.changes)}),
        }

    def line(self) -> str:
        """`loaded 901 of 929 into public.flights: 901 inserted, 28 dead (required:tailnum 28)`."""
        counts = self.counts
        if self.status == "skipped":
            by = f" by {self.loaded_by}" if self.loaded_by else ""
            return f"skipped: this version of {self.source} is in {self.target} already, loaded{by}"
        parts = [
            f"{number:,} {name}"
            for name, number in replace(counts, read=0).as_dict().items()
            if number and name not in {"dead", "rejected"}
        ]
        if counts.dead:
            reasons = reasons_text(self.reasons)
            parts.append(f"{counts.dead:,} dead" + (f" ({reasons})" if reasons else ""))
        if self.removed:
            parts.append(f"{self.removed:,} rows of the window removed before")
        if counts.rejected:
            parts.append(f"{counts.rejected:,} rejected")
        if self.warnings:
            parts.append(f"warnings: {warnings_text(self.warnings)}")
        if self.resolved:
            parts.append(f"{self.resolved:,} dead letters resolved")
        word = {"loaded": "loaded", "failed": "failed: loaded", "dry_run": "dry run, nothing kept: would load"}[
            self.status
        ]
        brought = counts.read - counts.dead - counts.rejected
        return f"{word} {brought:,} of {counts.read:,} into {self.target}: {', '.join(parts) or 'the source is empty'}"


def reasons_text(reasons: Mapping[str, int], most: int = 5) -> str:
    """The most frequent reasons: `required:tailnum 28, type:day 2`."""
    ranked = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    text = ", ".join(f"{rule} {count:,}" for rule, count in ranked[:most])
    return f"{text} and {len(ranked) - most} more rules" if len(ranked) > most else text


def warnings_text(warnings: Mapping[str, int | str]) -> str:
    """`between:age 3, expect_column_mean_to_be_between:age saw 2.5`."""
    return ", ".join(
        f"{rule} {seen:,}" if isinstance(seen, int) else f"{rule} saw {seen}" for rule, seen in warnings.items()
    )

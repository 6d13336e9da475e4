"""What a load says of itself: its row of the ledger, and its report."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sluicegate.faults import fault
from sluicegate.ledger.entries import Counts, Load
from sluicegate.load.judge import Warned
from sluicegate.load.report import LoadReport
from sluicegate.load.request import LoadRequest
from sluicegate.storage.part import Part, input_of, version
from sluicegate.targets.target import Changes, Table

__all__ = ["Account"]

log = logging.getLogger("sluicegate.load")


class Account:
    """The account of one load, whose clock starts now."""

    def __init__(self, request: LoadRequest, digest: str) -> None:
        self._request, self._digest = request, digest
        self._started = time.monotonic()
        self._warnings: Mapping[str, int | str] = {}
        self._phases: dict[str, float] = {}
        self._report: LoadReport | None = None
        self.parts: Sequence[Part] = ()
        """What is loaded, as soon as it is listed."""
        self.drift: Mapping[str, object] = {}
        """How the source's columns differed from the target's."""
        self.removed = 0
        """Rows that the target lost with the window that was replaced."""
        self.changes: Changes | None = None
        """What a dry run would change."""

    def warn(self, warnings: Sequence[Warned]) -> None:
        """Log what only warns, and keep it for the report."""
        self._warnings = {warned.rule.name: warned.seen for warned in warnings}
        for warned in warnings:
            level = logging.INFO if warned.rule.severity == "info" else logging.WARNING
            seen = f"{warned.records:,} records" if warned.records is not None else f"saw {warned.observed}"
            log.log(level, "%s does not hold: %s", warned.rule.name, seen)

    def entry(
        self,
        table: Table,
        parts: Sequence[Part],
        status: str,
        counts: Counts,
        code: str | None = None,
        *,
        created: bool = False,
    ) -> Load:
        """The row of the ledger.

        :raises FaultError: UNKNOWN when a record is counted twice or not at all.
        """
        if not counts.balanced:
            raise fault("UNKNOWN", f"the counts of this load do not add up, so it is not kept: {counts}")
        return Load(
            table.name, self._request.source, version(parts), self._digest, status, counts, self._seconds(),
            self._request.origin, code, 0 if status == "failed" else self.removed, self.drift,
            created,
        )  # fmt: skip

    def _seconds(self) -> float:
        return time.monotonic() - self._started

    def report(
        self,
        status: str,
        table: Table,
        parts: Sequence[Part],
        counts: Counts,
        reasons: Mapping[str, int],
        resolved: int = 0,
    ) -> LoadReport:
        self._report = LoadReport(
            status,  # type: ignore[arg-type]
            table.name, self._request.source, version(parts), counts, reasons, resolved, self._seconds(),
            warnings=self._warnings, removed=0 if status == "failed" else self.removed, drift=self.drift,
            changes=self.changes,
        )  # fmt: skip
        return self._report

    def skipped(self, table: Table, done: Load) -> LoadReport:
        """The report of a load that found its work done."""
        origin = done.origin
        by = f"{origin.pipeline}.{origin.step} in run {origin.run_id}" if origin.run_id else None
        self._report = LoadReport(
            "skipped", table.name, done.source, done.source_version, done.counts, seconds=self._seconds(), loaded_by=by
        )
        return self._report

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Around a part of the work whose seconds are counted; what is in another phase counts for that one too."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._phases[name] = self._phases.get(name, 0.0) + time.monotonic() - began

    def facts(self, name: str) -> dict[str, Any]:
        """What is known of the load by now, for its receipt and the metrics.

        :param name: what its source is called in every run
        """
        report = self._report
        rows = None if report is None else report.counts.read
        found: dict[str, Any] = {
            "inputs": [input_of(name, self._request.sources, self.parts, rows)] if self.parts else [],
            "seconds": {phase: round(seconds, 4) for phase, seconds in self._phases.items()},
            "digest": self._digest,
        }
        if report is None:
            return found
        found |= {"status": report.status, "target": report.target, "counts": report.counts.as_dict()}
        found |= {"dead_letters": dict(report.reasons), "resolved": report.resolved, "removed": report.removed}
        more = {"warnings": dict(report.warnings), "drift": dict(report.drift), "loaded_by": report.loaded_by}
        return found | {key: value for key, value in more.items() if value}

"""What a load says of itself: its row of the ledger, and its report."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence

from sluicegate.faults import fault
from sluicegate.ledger.entries import Counts, Load
from sluicegate.load.judge import Warned
from sluicegate.load.report import LoadReport
from sluicegate.load.request import LoadRequest
from sluicegate.storage.part import Part, version
from sluicegate.targets.target import Changes, Table

__all__ = ["Account"]

log = logging.getLogger("sluicegate.load")


class Account:
    """The account of one load, whose clock starts now."""

    def __init__(self, request: LoadRequest, digest: str) -> None:
        self._request, self._digest = request, digest
        self._started = time.monotonic()
        self._warnings: Mapping[str, int | str] = {}
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

    def entry(self, table: Table, parts: Sequence[Part], status: str, counts: Counts, code: str | None) -> Load:
        """The row of the ledger.

        :raises FaultError: UNKNOWN when a record is counted twice or not at all.
        """
        if not counts.balanced:
            raise fault("UNKNOWN", f"the counts of this load do not add up, so it is not kept: {counts}")
        return Load(
            table.name, self._request.source, version(parts), self._digest, status, counts, self._seconds(),
            self._request.origin, code, 0 if status == "failed" else self.removed, self.drift,
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
        return LoadReport(
            status,  # type: ignore[arg-type]
            table.name, self._request.source, version(parts), counts, reasons, resolved, self._seconds(),
            warnings=self._warnings, removed=0 if status == "failed" else self.removed, drift=self.drift,
            changes=self.changes,
        )  # fmt: skip

    def skipped(self, table: Table, done: Load) -> LoadReport:
        """The report of a load that found its work done."""
        origin = done.origin
        by = f"{origin.pipeline}.{origin.step} in run {origin.run_id}" if origin.run_id else None
        return LoadReport(
            "skipped", table.name, done.source, done.source_version, done.counts, seconds=self._seconds(), loaded_by=by
        )

"""The ledger: which source version was loaded where, and which records were set aside."""

from __future__ import annotations

from sluicegate.ledger.entries import Counts, DeadLetter, Load, Origin, dead_letter_id

__all__ = ["Counts", "DeadLetter", "Load", "Origin", "dead_letter_id"]

"""The ledger: which source version was loaded where, and which records were set aside."""

from __future__ import annotations

from sluicegate.ledger.entries import Counts, DeadLetter, Load, Origin, dead_letter_id
from sluicegate.ledger.ledger import Ledger, OpenLetter
from sluicegate.ledger.letters import Letter, LetterStatus, Selection

__all__ = [
    "Counts",
    "DeadLetter",
    "Ledger",
    "Letter",
    "LetterStatus",
    "Load",
    "OpenLetter",
    "Origin",
    "Selection",
    "dead_letter_id",
]

"""Loads that every target is given, and what its ledger is asked for afterwards."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

KINDS: list[dict[str, Any]] = [
    {"mode": "merge", "key": "id"},
    {"mode": "merge", "key": "id", "newest_by": "at"},
    {"mode": "merge", "key": "id", "newest_by": "n"},
    {"mode": "merge", "key": "id", "newest_by": "at", "delete_when": {"op": "D"}},
    {"mode": "merge", "key": "id", "delete_when": {"op": "D"}},
    {"mode": "merge", "key": ["id", "day"], "scope": {"op": "I"}},
    {"mode": "insert_only", "key": "id"},
    {"mode": "append"},
    {"mode": "append", "key": "id"},
    {"mode": "replace_window", "window_by": "day"},
    {"mode": "replace_window", "window_by": "day", "key": "id"},
    {"mode": "replace_window", "window_by": "day", "scope": {"op": ["D"]}},
]
LETTERS = "SELECT line, record, status, attempts FROM sluicegate.dead_letters WHERE target = %s ORDER BY position"
LOADS = """
SELECT status, read, inserted, updated, unchanged, stale, deduplicated, deleted, dead, rejected, removed
FROM sluicegate.loads WHERE target = %s ORDER BY id
"""

COLUMNS = {"id": "integer", "day": "date", "v": "text", "at": "integer", "op": "text"}
BEFORE = [[n, "2026-01-01" if n % 2 else "2026-01-02", "old", n % 3, "I"] for n in range(20)]
AFTER = [[n, "2026-01-01", "new", 1, "D" if n % 5 == 0 else "I"] for n in range(10, 30)]
AFTER += [["bad", "2026-01-01", "x", 1, "I"], [12, "2026-01-01", "twice", 2, "I"], [13, "2026-01-01", "y", "z", "I"]]
DAY = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
MODES: dict[str, dict[str, Any]] = {
    "merge": {"mode": "merge", "key": "id", "newest_by": "at", "delete_when": {"op": "D"}},
    "insert_only": {"mode": "insert_only", "key": "id"},
    "replace_window": {"mode": "replace_window", "window_by": "day"},
    "append": {"mode": "append"},
}

"""What targets without transactions are about to become: noted with the load that is committed, until it is done."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

__all__ = ["Intent", "PostgresIntents"]

_LOAD = "SELECT id FROM sluicegate.loads WHERE target = %s ORDER BY id DESC LIMIT 1"
_THERE = "SELECT to_regclass('sluicegate.intents') IS NOT NULL"
_NOTE = "INSERT INTO sluicegate.intents (target, load, switch) VALUES (%s, %s, %s) RETURNING id"
_PENDING = "SELECT id, load, switch::text FROM sluicegate.intents WHERE target = %s ORDER BY id"
# The same records are read again by the next attempt: until then they count as not brought in.
_REVOKE = """
UPDATE sluicegate.loads SET status = 'failed', fault = %s, rejected = read - dead, inserted = 0, updated = 0,
    unchanged = 0, stale = 0, deduplicated = 0, deleted = 0, removed = 0
WHERE id = %s
"""
# `xmin` is the transaction that wrote a row last: letters that have changed since are left alone.
_OPEN_AGAIN = """
UPDATE sluicegate.dead_letters AS d SET status = 'open', resolved_by = NULL, closed_at = NULL, reason = NULL
FROM sluicegate.loads AS l
WHERE l.id = %s AND d.target = l.target AND d.status <> 'open' AND d.xmin = l.xmin
"""


@dataclass(frozen=True)
class Intent:
    """One switch of a target, as it was noted, and the ledger's row of its load."""

    id: int
    load: int
    switch: Mapping[str, Any]


class PostgresIntents:
    """Speaks on `connection`, inside whatever transaction is open there. To be used under the target's lock."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._connection = connection

    def note(self, target: str, switch: Mapping[str, Any]) -> Intent:
        """Keep what the load that was recorded last for `target` makes of it."""
        row = self._connection.execute(_LOAD, [target]).fetchone()
        assert row is not None, "an intent belongs to a load that was recorded"
        noted = self._connection.execute(_NOTE, [target, row[0], json.dumps(switch)]).fetchone()
        assert noted is not None
        return Intent(int(noted[0]), int(row[0]), switch)

    def pending(self, target: str) -> Sequence[Intent]:
        """What is not done, the oldest first."""
        there = self._connection.execute(_THERE).fetchone()
        if there is None or not there[0]:
            return ()
        found = self._connection.execute(_PENDING, [target])
        return [Intent(int(number), int(load), json.loads(switch)) for number, load, switch in found]

    def still(self, intent: Intent) -> bool:
        """Whether it is still to be done; False too where the connection, and so the lock, is lost."""
        try:
            found = self._connection.execute("SELECT 1 FROM sluicegate.intents WHERE id = %s", [intent.id])
            return found.fetchone() is not None
        except psycopg.OperationalError:
            return False

    def done(self, intent: Intent) -> None:
        self._connection.execute("DELETE FROM sluicegate.intents WHERE id = %s", [intent.id])

    def revoke(self, intent: Intent, fault: str) -> None:
        """Give up an intent that cannot be carried out: its load has failed, and letters that it closed are open."""
        self._connection.execute(_OPEN_AGAIN, [intent.load])
        self._connection.execute(_REVOKE, [fault, intent.load])
        self.done(intent)

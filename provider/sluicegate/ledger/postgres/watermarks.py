"""Watermarks in Postgres: one row for each window of a step."""

from __future__ import annotations

import hashlib
from typing import Any

import psycopg

from sluicegate.graph.window import Window
from sluicegate.ledger.postgres.migrations import migrate
from sluicegate.ledger.watermarks import Decide, Known, Mark, Range, Reader

__all__ = ["PostgresWatermarks"]

_EXISTS = "SELECT to_regclass('sluicegate.watermarks') IS NOT NULL"
_OF = (
    "SELECT kind, low, high FROM sluicegate.watermarks "
    "WHERE pipeline = %(pipeline)s AND step = %(step)s AND scope = %(scope)s"
)
_OWN = f"{_OF} AND (window_start, window_end) = (%(start)s, %(end)s)"
_BEFORE = (
    f"{_OF} AND (window_start, window_end) < (%(start)s, %(end)s) ORDER BY window_start DESC, window_end DESC LIMIT 1"
)
_AFTER = f"{_OF} AND (window_start, window_end) > (%(start)s, %(end)s) ORDER BY window_start, window_end LIMIT 1"
_KEEP = """
INSERT INTO sluicegate.watermarks (pipeline, step, scope, window_start, window_end, kind, low, high, run_id)
VALUES (%(pipeline)s, %(step)s, %(scope)s, %(start)s, %(end)s, %(kind)s, %(low)s, %(high)s, %(run_id)s)
ON CONFLICT (pipeline, step, scope, window_start, window_end) DO UPDATE
SET kind = excluded.kind, low = excluded.low, high = excluded.high, run_id = excluded.run_id,
    noted_at = clock_timestamp()
"""


class PostgresWatermarks:
    """See `Watermarks`. Each decision is a transaction of its own on a connection of its own."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo

    def agree(self, reader: Reader, window: Window, run_id: str | None, decide: Decide) -> Range:
        with psycopg.connect(self._conninfo) as connection:
            migrate(connection)
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_lock(reader)])
            found = decide(_known(connection, reader, window))
            mark = found.high or found.low
            facts: dict[str, Any] = {
                **_facts(reader, window),
                "kind": mark and mark.kind,
                "low": found.low and found.low.text,
                "high": found.high and found.high.text,
                "run_id": run_id,
            }
            connection.execute(_KEEP, facts)
        return found

    def known(self, reader: Reader, window: Window) -> Known:
        with psycopg.connect(self._conninfo) as connection:
            there = connection.execute(_EXISTS).fetchone()
            if there is None or not there[0]:
                return Known(None, None, None)
            return _known(connection, reader, window)


def _known(connection: psycopg.Connection[tuple[Any, ...]], reader: Reader, window: Window) -> Known:
    facts = _facts(reader, window)
    return Known(*(_range(connection.execute(query, facts).fetchone()) for query in (_OWN, _BEFORE, _AFTER)))


def _range(row: tuple[Any, ...] | None) -> Range | None:
    if row is None:
        return None
    kind, *ends = row
    return Range(*(None if text is None else Mark(str(kind), str(text)) for text in ends))


def _facts(reader: Reader, window: Window) -> dict[str, Any]:
    words = {"pipeline": reader.pipeline, "step": reader.step, "scope": reader.scope}
    return {**words, "start": window.start, "end": window.end}


def _lock(reader: Reader) -> int:
    words = "\0".join(("sluicegate.watermarks", reader.pipeline, reader.step, reader.scope))
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], signed=True)

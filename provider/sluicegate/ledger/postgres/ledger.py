"""The ledger in Postgres. All of its SQL except the tables themselves, which `migrations` makes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from sluicegate.ledger.entries import Counts, DeadLetter, Load, Origin, dead_letter_id
from sluicegate.ledger.ledger import OpenLetter

__all__ = ["PostgresLedger"]

Connection = psycopg.Connection[tuple[Any, ...]]

_COUNTS = ("read", "inserted", "updated", "unchanged", "stale", "deduplicated", "dead", "rejected")
_EXISTS = "SELECT to_regclass('sluicegate.loads') IS NOT NULL"
_FIND = """
SELECT status, source_version, config_digest, read, inserted, updated, unchanged, stale, deduplicated, dead, rejected,
       seconds, pipeline, step, run_id, try_number
FROM sluicegate.loads
WHERE status = 'loaded' AND target = %(target)s AND md5(source) = md5(%(source)s) AND source = %(source)s
  AND (NOT %(any)s OR (source_version = %(version)s AND config_digest = %(digest)s))
ORDER BY id DESC LIMIT 1
"""
_RECORD = """
INSERT INTO sluicegate.loads (target, source, source_version, config_digest, status, fault, pipeline, step,
    window_start, window_end, run_id, try_number, read, inserted, updated, unchanged, stale, deduplicated, dead,
    rejected, seconds)
VALUES (%(target)s, %(source)s, %(source_version)s, %(config_digest)s, %(status)s, %(fault)s, %(pipeline)s, %(step)s,
    %(window_start)s, %(window_end)s, %(run_id)s, %(try_number)s, %(read)s, %(inserted)s, %(updated)s, %(unchanged)s,
    %(stale)s, %(deduplicated)s, %(dead)s, %(rejected)s, %(seconds)s)
"""
_LETTERS = """
CREATE TEMP TABLE sluicegate_letters (
    id text, source text, source_version text, line bigint, record text, key jsonb, failures jsonb, fault text
) ON COMMIT DROP
"""
_SET_ASIDE = """
INSERT INTO sluicegate.dead_letters AS d (id, target, pipeline, step, run_id, window_start, window_end, source,
    source_version, line, record, key, failures, fault, config_digest)
SELECT id, %(target)s, %(pipeline)s, %(step)s, %(run_id)s, %(window_start)s, %(window_end)s, source, source_version,
    line, record, key, failures, fault, %(digest)s
FROM sluicegate_letters ORDER BY id
ON CONFLICT (id) DO UPDATE SET attempts = d.attempts + 1, last_seen = excluded.last_seen
"""
_OPEN = """
SELECT id, key::text FROM sluicegate.dead_letters
WHERE target = %(target)s AND status = 'open' AND key IS NOT NULL
  AND xmin <> pg_current_xact_id()::xid
  AND (window_start IS NULL OR %(window_start)s::timestamptz IS NULL OR window_start <= %(window_start)s)
"""
_RESOLVE = """
UPDATE sluicegate.dead_letters SET status = 'resolved', resolved_by = %(run)s
WHERE status = 'open' AND id = ANY(%(ids)s)
"""


class PostgresLedger:
    """See `Ledger`. Speaks on `connection`, inside whatever transaction is open there."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, target: str, source: str, version: str, digest: str, *, ever: bool = False) -> Load | None:
        there = self._connection.execute(_EXISTS).fetchone()
        if there is None or not there[0]:
            return None
        facts = {"target": target, "source": source, "version": version, "digest": digest, "any": ever}
        row = self._connection.execute(_FIND, facts).fetchone()
        if row is None or (row[1], row[2]) != (version, digest):
            return None
        counts = Counts(*(int(value) for value in row[3:11]))
        origin = Origin(row[12], row[13], row[14], row[15])
        return Load(target, source, version, digest, str(row[0]), counts, float(row[11]), origin)

    def record(self, load: Load) -> None:
        facts = {
            "target": load.target,
            "source": load.source,
            "source_version": load.source_version,
            "config_digest": load.config_digest,
            "status": load.status,
            "fault": load.fault,
            "try_number": load.origin.try_number,
            "seconds": load.seconds,
            **_run(load.origin),
            **{name: getattr(load.counts, name) for name in _COUNTS},
        }
        self._connection.execute(_RECORD, facts)

    def set_aside(self, target: str, digest: str, origin: Origin, letters: Iterable[DeadLetter]) -> None:
        rows = _rows(target, letters)
        first = next(rows, None)
        if first is None:
            return
        self._connection.execute(_LETTERS)
        names = ("id", "source", "source_version", "line", "record", "key", "failures", "fault")
        copy = sql.SQL("COPY sluicegate_letters ({}) FROM STDIN").format(sql.SQL(", ").join(map(sql.Identifier, names)))
        with self._connection.cursor() as cursor, cursor.copy(copy) as sink:
            sink.write_row(first)
            for row in rows:
                sink.write_row(row)
        self._connection.execute(_SET_ASIDE, {"target": target, "digest": digest, **_run(origin)})

    def open_letters(self, target: str, origin: Origin) -> list[OpenLetter]:
        rows = self._connection.execute(_OPEN, {"target": target, **_run(origin)})
        return [OpenLetter(str(identity), json.loads(key)) for identity, key in rows]

    def resolve(self, ids: Sequence[str], run: str) -> int:
        if not ids:
            return 0
        return self._connection.execute(_RESOLVE, {"ids": list(ids), "run": run}).rowcount


def _run(origin: Origin) -> dict[str, object]:
    window = origin.window
    return {
        "pipeline": origin.pipeline,
        "step": origin.step,
        "run_id": origin.run_id,
        "window_start": window.start if window else None,
        "window_end": window.end if window else None,
    }


def _rows(target: str, letters: Iterable[DeadLetter]) -> Iterator[tuple[object, ...]]:
    for letter in letters:
        key = None if letter.key is None else json.dumps(_storable(letter.key), ensure_ascii=False)
        failures = json.dumps(_storable(letter.failures), ensure_ascii=False)
        yield (
            dead_letter_id(target, letter), letter.source, letter.source_version, letter.line,
            _storable(letter.record), key, failures, letter.fault,
        )  # fmt: skip


def _storable(value: object) -> object:
    """`value` with U+0000 and halves of surrogate pairs, which Postgres does not store, spelt out."""
    if isinstance(value, str):
        return value.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {_storable(name): _storable(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_storable(each) for each in value]
    return value

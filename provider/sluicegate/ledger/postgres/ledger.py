"""The ledger in Postgres. All of its SQL except the tables themselves, which `migrations` makes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import timedelta
from typing import Any

import psycopg
from psycopg import sql

from sluicegate.ledger.entries import Counts, DeadLetter, Load, Origin, dead_letter_id
from sluicegate.ledger.ledger import OpenLetter
from sluicegate.ledger.letters import Place
from sluicegate.ledger.postgres.letters import PostgresLetters
from sluicegate.ledger.postgres.migrations import is_complete
from sluicegate.ledger.postgres.storable import encoding_of, storable

__all__ = ["BY_LOAD", "PostgresLedger"]

Connection = psycopg.Connection[tuple[Any, ...]]

_COUNTS = tuple(one.name for one in fields(Counts))
_FIND = """
SELECT status, source_version, config_digest, read, inserted, updated, unchanged, stale, deduplicated, deleted, dead,
       rejected, seconds, pipeline, step, run_id, try_number, removed, drift::text
FROM sluicegate.loads
WHERE status = 'loaded' AND target = %(target)s AND md5(source) = md5(%(source)s) AND source = %(source)s
  AND (NOT %(any)s OR source_version = %(version)s)
  AND id >= coalesce((SELECT max(c.id) FROM sluicegate.loads AS c
                      WHERE c.created AND c.status = 'loaded' AND c.target = %(target)s), 0)
ORDER BY id DESC LIMIT 1
"""
_RECORD = """
INSERT INTO sluicegate.loads (target, source, source_version, config_digest, status, fault, pipeline, step,
    window_start, window_end, run_id, try_number, read, inserted, updated, unchanged, stale, deduplicated, deleted,
    dead, rejected, seconds, removed, drift, created)
VALUES (%(target)s, %(source)s, %(source_version)s, %(config_digest)s, %(status)s, %(fault)s, %(pipeline)s, %(step)s,
    %(window_start)s, %(window_end)s, %(run_id)s, %(try_number)s, %(read)s, %(inserted)s, %(updated)s, %(unchanged)s,
    %(stale)s, %(deduplicated)s, %(deleted)s, %(dead)s, %(rejected)s, %(seconds)s, %(removed)s, %(drift)s,
    %(created)s)
"""
_LETTERS = """
CREATE TEMP TABLE sluicegate_letters (
    id text, source text, source_version text, line bigint, record text, key jsonb, failures jsonb, fault text,
    version text, complete boolean, header jsonb, absent jsonb, place bigint GENERATED ALWAYS AS IDENTITY
) ON COMMIT DROP
"""
_SET_ASIDE = """
INSERT INTO sluicegate.dead_letters AS d (id, target, pipeline, step, run_id, window_start, window_end, source,
    source_version, line, record, key, failures, fault, config_digest, version, complete, header,
    absent)
SELECT id, %(target)s, %(pipeline)s, %(step)s, %(run_id)s, %(window_start)s, %(window_end)s, source, source_version,
    line, record, key, failures, fault, %(digest)s, version, complete, header, absent
FROM sluicegate_letters ORDER BY place
ON CONFLICT (id) DO UPDATE SET attempts = d.attempts + 1, last_seen = excluded.last_seen,
    position = excluded.position, last_failures = excluded.failures, fault = excluded.fault,
    version = excluded.version, complete = excluded.complete, header = excluded.header,
    absent = excluded.absent
"""
_OPEN_AGAIN = """
UPDATE sluicegate.dead_letters AS d SET status = 'open', resolved_by = NULL, closed_at = NULL, reason = NULL
FROM sluicegate_letters AS l
WHERE d.id = l.id AND (d.reason = %(by_load)s OR (%(anew)s AND d.status = 'replayed'))
"""
_HAS_OPEN = "SELECT EXISTS (SELECT FROM sluicegate.dead_letters WHERE target = %s AND status = 'open')"
_OPEN = """
SELECT id, key::text, version, xmin = pg_current_xact_id()::xid, source, line, window_start, position
FROM sluicegate.dead_letters
WHERE target = %(target)s AND status = 'open' AND key IS NOT NULL AND position > %(after)s
  AND (window_start IS NULL OR %(window_start)s::timestamptz IS NULL OR window_start <= %(window_start)s)
ORDER BY position LIMIT %(page)s
"""
_OPEN_OF = """
SELECT d.id, d.key::text, d.version, d.xmin = pg_current_xact_id()::xid, d.source, d.line, d.window_start, d.position
FROM unnest(%(keys)s::jsonb[]) AS k (key)
JOIN sluicegate.dead_letters AS d ON d.target = %(target)s AND d.status = 'open' AND md5(d.key::text) = md5(k.key::text)
  AND d.key = k.key
ORDER BY d.position
"""
_RESOLVE = """
UPDATE sluicegate.dead_letters
SET status = 'resolved', resolved_by = %(run)s, closed_at = clock_timestamp(), reason = %(by_load)s
WHERE status = 'open' AND id = ANY(%(ids)s)
"""
_RESOLVE_READ = """
UPDATE sluicegate.dead_letters AS d
SET status = 'resolved', resolved_by = %(run)s, closed_at = clock_timestamp(), reason = %(by_load)s
FROM unnest(%(sources)s::text[], %(versions)s::text[]) AS p (source, version)
WHERE d.status = 'open' AND d.target = %(target)s AND md5(d.source) = md5(p.source) AND d.source = p.source
  AND (d.source_version = p.version OR d.line = 0) AND d.xmin <> pg_current_xact_id()::xid
"""
_RESOLVE_WINDOW = """
UPDATE sluicegate.dead_letters
SET status = 'resolved', resolved_by = %(run_id)s, closed_at = clock_timestamp(), reason = %(by_load)s
WHERE status = 'open' AND target = %(target)s AND pipeline = %(pipeline)s AND step = %(step)s
  AND window_start = %(window_start)s AND window_end = %(window_end)s AND xmin <> pg_current_xact_id()::xid
"""
_FORGET = """
DELETE FROM sluicegate.dead_letters WHERE id = ANY(ARRAY(
    SELECT id FROM sluicegate.dead_letters
    WHERE target = %(target)s AND status <> 'open' AND closed_at < clock_timestamp() - %(keep)s::interval
    ORDER BY closed_at LIMIT %(most)s))
"""
BY_LOAD = "its record came in by a load"
"""The reason of a letter that a load resolved, and no person."""
_PAGE = 10_000


class PostgresLedger:
    """See `Ledger`. Speaks on `connection`, inside whatever transaction is open there.

    :param is_current: whether its tables are known to be those of this release; None: to be looked up.
    """

    def __init__(self, connection: Connection, *, is_current: bool | None = None) -> None:
        self._connection, self._is_current = connection, is_current
        self._encoding = encoding_of(connection)
        self.letters = PostgresLetters(connection)

    def find(self, target: str, source: str, version: str, digest: str, *, ever: bool = False) -> Load | None:
        # One of an earlier release lacks columns. It is looked into once it is up to date, under the lock.
        if self._is_current is None:
            self._is_current = is_complete(self._connection)
        if not self._is_current:
            return None
        facts = {"target": target, "source": source, "version": version, "digest": digest, "any": ever}
        row = self._connection.execute(_FIND, facts).fetchone()
        if row is None or row[1] != version or not (ever or row[2] == digest):
            return None
        counts = Counts(*(int(value) for value in row[3:12]))
        origin = Origin(row[13], row[14], row[15], row[16])
        drift = json.loads(row[18]) if row[18] else {}
        return Load(
            target, source, version, digest, str(row[0]), counts, float(row[12]), origin, removed=int(row[17]),
            drift=drift,
        )  # fmt: skip

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
            "removed": load.removed,
            "created": load.created,
            "drift": json.dumps(storable(load.drift, self._encoding), ensure_ascii=False) if load.drift else None,
            **_run(load.origin),
            **{name: getattr(load.counts, name) for name in _COUNTS},
        }
        self._connection.execute(_RECORD, facts, prepare=True)

    def set_aside(
        self, target: str, digest: str, origin: Origin, letters: Iterable[DeadLetter], *, anew: bool = False
    ) -> None:
        rows = _rows(target, letters, self._encoding)
        first = next(rows, None)
        if first is None:
            return
        self._connection.execute(_LETTERS)
        names = (
            "id", "source", "source_version", "line", "record", "key", "failures", "fault", "version", "complete",
            "header", "absent",
        )  # fmt: skip
        copy = sql.SQL("COPY sluicegate_letters ({}) FROM STDIN").format(sql.SQL(", ").join(map(sql.Identifier, names)))
        with self._connection.cursor() as cursor, cursor.copy(copy) as sink:
            sink.write_row(first)
            for row in rows:
                sink.write_row(row)
        self._connection.execute(_OPEN_AGAIN, {"by_load": BY_LOAD, "anew": anew})
        self._connection.execute(_SET_ASIDE, {"target": target, "digest": digest, **_run(origin)})
        self._connection.execute("DROP TABLE sluicegate_letters")

    def has_open(self, target: str) -> bool:
        return self._connection.execute(_HAS_OPEN, [target]).fetchone() == (True,)

    def open_letters(self, target: str, origin: Origin) -> Iterator[Sequence[OpenLetter]]:
        facts = {"target": target, "page": _PAGE, "after": -1, **_run(origin)}
        while rows := self._connection.execute(_OPEN, facts).fetchall():
            yield [_open_letter(row) for row in rows]
            facts["after"] = rows[-1][-1]

    def open_letters_of(self, target: str, keys: Sequence[Mapping[str, str]]) -> Sequence[OpenLetter]:
        asked = [json.dumps(storable(key, self._encoding), ensure_ascii=False) for key in keys]
        return [_open_letter(row) for row in self._connection.execute(_OPEN_OF, {"target": target, "keys": asked})]

    def resolve(self, ids: Sequence[str], run: str) -> int:
        if not ids:
            return 0
        return self._connection.execute(_RESOLVE, {"ids": list(ids), "run": run, "by_load": BY_LOAD}).rowcount

    def resolve_read(self, target: str, parts: Iterable[tuple[str, str]], run: str) -> int:
        read = list(parts)
        facts = {"target": target, "sources": [s for s, _ in read], "versions": [v for _, v in read], "run": run}
        return self._connection.execute(_RESOLVE_READ, {**facts, "by_load": BY_LOAD}).rowcount

    def resolve_window(self, target: str, origin: Origin) -> int:
        return self._connection.execute(
            _RESOLVE_WINDOW, {"target": target, "by_load": BY_LOAD, **_run(origin)}
        ).rowcount

    def forget(self, target: str, keep: timedelta, most: int) -> int:
        return self._connection.execute(_FORGET, {"target": target, "keep": keep, "most": most}).rowcount


def _open_letter(row: Sequence[Any]) -> OpenLetter:
    identity, key, version, is_new, source, line, start, position = row
    return OpenLetter(str(identity), json.loads(key), version, Place.of(start, position), is_new, source, line)


def _run(origin: Origin) -> dict[str, object]:
    window = origin.window
    return {
        "pipeline": origin.pipeline,
        "step": origin.step,
        "run_id": origin.run_id,
        "window_start": window.start if window else None,
        "window_end": window.end if window else None,
    }


def _rows(target: str, letters: Iterable[DeadLetter], encoding: str) -> Iterator[tuple[object, ...]]:
    for letter in letters:
        key = None if letter.key is None else json.dumps(storable(letter.key, encoding), ensure_ascii=False)
        failures = json.dumps(storable(letter.failures, encoding), ensure_ascii=False)
        record = storable(letter.record, encoding)
        header = None if letter.header is None else json.dumps(storable(letter.header, encoding), ensure_ascii=False)
        absent = json.dumps(storable(letter.absent, encoding), ensure_ascii=False) if letter.absent else None
        version = None if letter.version is None else storable(letter.version, encoding)
        yield (
            dead_letter_id(target, letter), letter.source, letter.source_version, letter.line, record, key, failures,
            letter.fault, version, letter.complete and record == letter.record, header, absent,
        )  # fmt: skip

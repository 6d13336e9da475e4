"""The ledger in Postgres: schema `sluicegate` beside the data. Never commits: that is the load's own decision."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

import psycopg
from psycopg import sql

from sluicegate.ledger.entries import Counts, DeadLetter, Load, Origin, dead_letter_id

__all__ = ["Connection", "ensure", "find", "letters_that_are_open", "record", "resolve", "set_aside"]

Connection = psycopg.Connection[tuple[Any, ...]]

_DDL_LOCK = 0x5C1A_6A7E_0000_0001
"""Two sessions that create the schema at once would collide in Postgres' own catalogue."""

_COUNTS = ("read", "inserted", "updated", "unchanged", "stale", "deduplicated", "dead", "rejected")
_EXISTS = "SELECT to_regclass('sluicegate.loads') IS NOT NULL AND to_regclass('sluicegate.dead_letters') IS NOT NULL"
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


def ensure(connection: Connection) -> None:
    """Create schema and tables where they are missing. To be called in a transaction; safe from several sessions."""
    if _is_there(connection):
        return
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_DDL_LOCK])
    if not _is_there(connection):
        ddl = resources.files("sluicegate.ledger").joinpath("postgres.sql").read_text(encoding="utf-8")
        connection.execute(ddl.encode())


def _is_there(connection: Connection) -> bool:
    row = connection.execute(_EXISTS).fetchone()
    return row is not None and bool(row[0])


def find(
    connection: Connection, target: str, source: str, version: str, digest: str, *, ever: bool = False
) -> Load | None:
    """The load that makes another one of the same version and configuration needless, or None.

    It is the last one of this source. An earlier one does not count: when a file is put back to what it was,
    what came between has to be undone. Except for `ever`: rows that are only appended are not brought in again.
    """
    if not _is_there(connection):
        return None
    facts = {"target": target, "source": source, "version": version, "digest": digest, "any": ever}
    row = connection.execute(_FIND, facts).fetchone()
    if row is None or (row[1], row[2]) != (version, digest):
        return None
    counts = Counts(*(int(value) for value in row[3:11]))
    origin = Origin(row[12], row[13], row[14], row[15])
    return Load(target, source, version, digest, str(row[0]), counts, float(row[11]), origin)


def record(connection: Connection, load: Load) -> None:
    """Write `load` into the ledger. The database refuses counts that do not balance."""
    origin = load.origin
    window = origin.window
    connection.execute(
        _RECORD,
        {
            "target": load.target,
            "source": load.source,
            "source_version": load.source_version,
            "config_digest": load.config_digest,
            "status": load.status,
            "fault": load.fault,
            "pipeline": origin.pipeline,
            "step": origin.step,
            "window_start": window.start if window else None,
            "window_end": window.end if window else None,
            "run_id": origin.run_id,
            "try_number": origin.try_number,
            "seconds": load.seconds,
            **{name: getattr(load.counts, name) for name in _COUNTS},
        },
    )


def set_aside(connection: Connection, target: str, digest: str, origin: Origin, letters: Iterable[DeadLetter]) -> None:
    """Keep `letters`. One that is known already keeps what it says: only `attempts` and `last_seen` move."""
    rows = _rows(target, letters)
    first = next(rows, None)
    if first is None:
        return
    connection.execute(_LETTERS)
    names = ("id", "source", "source_version", "line", "record", "key", "failures", "fault")
    copy = sql.SQL("COPY sluicegate_letters ({}) FROM STDIN").format(sql.SQL(", ").join(map(sql.Identifier, names)))
    with connection.cursor() as cursor, cursor.copy(copy) as sink:
        sink.write_row(first)
        for row in rows:
            sink.write_row(row)
    window = origin.window
    connection.execute(
        _SET_ASIDE,
        {
            "target": target,
            "digest": digest,
            "pipeline": origin.pipeline,
            "step": origin.step,
            "run_id": origin.run_id,
            "window_start": window.start if window else None,
            "window_end": window.end if window else None,
        },
    )


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


def letters_that_are_open(connection: Connection, target: str, origin: Origin) -> list[tuple[str, dict[str, str]]]:
    """Id and key of the target's open dead letters that a load of this window may resolve.

    Not those of later windows, whose records were newer, and not those that this transaction set aside.
    """
    start = origin.window.start if origin.window else None
    rows = connection.execute(_OPEN, {"target": target, "window_start": start})
    return [(str(identity), json.loads(key)) for identity, key in rows]


def resolve(connection: Connection, ids: Sequence[str], run: str) -> int:
    """Mark open dead letters as resolved by `run`; returns how many."""
    if not ids:
        return 0
    return connection.execute(_RESOLVE, {"ids": list(ids), "run": run}).rowcount

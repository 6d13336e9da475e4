"""The life of dead letters in Postgres: read page by page, closed, tried again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg

from sluicegate.graph.window import Window
from sluicegate.ledger.entries import DeadLetter
from sluicegate.ledger.letters import Closed, Letter, LetterStatus, Place, Selection
from sluicegate.ledger.postgres.storable import encoding_of, storable

__all__ = ["PostgresLetters"]

Connection = psycopg.Connection[tuple[Any, ...]]

_BYTES = 64 << 20
"""Of records in one page, but for the first."""
_ID = 64
"""Characters of a whole id."""
_NAMES = (
    "id", "target", "source", "source_version", "line", "record", "failures", "position", "status", "key", "version",
    "complete", "header", "absent", "last_failures", "edited", "pipeline", "step", "run_id", "fault", "attempts",
    "first_seen", "last_seen", "closed_at", "resolved_by", "reason",
)  # fmt: skip
_JSON = ("failures", "key", "header", "absent", "last_failures")
_COLUMNS = ", ".join([*(f"d.{name}" for name in _NAMES), "d.window_start", "d.window_end"])
_ORDER = "coalesce(d.window_start, '-infinity'), d.position"
_MEANT = """
    d.status = ANY(%(statuses)s)
    AND (%(target)s::text IS NULL OR d.target = %(target)s)
    AND (%(pipeline)s::text IS NULL OR d.pipeline = %(pipeline)s)
    AND (%(step)s::text IS NULL OR d.step = %(step)s)
    AND (%(source)s::text IS NULL OR d.source LIKE %(source)s)
    AND (%(since)s::timestamptz IS NULL OR d.window_start >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR d.window_start < %(until)s)
    AND (%(ids)s::text[] IS NULL OR d.id = ANY(%(ids)s))
    AND (%(beginnings)s::text[] IS NULL
         OR EXISTS (SELECT FROM unnest(%(beginnings)s::text[]) AS i WHERE starts_with(d.id, i)))
    AND (NOT %(loaded)s OR (d.fault IS NULL AND d.line > 0))
    AND ((%(rule)s::text IS NULL AND %(column)s::text IS NULL) OR EXISTS (
        SELECT FROM jsonb_array_elements(coalesce(d.last_failures, d.failures)) AS f
        WHERE (%(rule)s::text IS NULL OR f->>'rule' = %(rule)s OR starts_with(f->>'rule', %(rule)s || ':'))
          AND (%(column)s::text IS NULL OR %(column)s = ANY(string_to_array(f->>'column', ', ')))))
"""
_PAGE = f"""
SELECT * FROM (
    SELECT p.*, sum(octet_length(p.record)) OVER (ORDER BY p.ordinal) AS bytes FROM (
        SELECT {_COLUMNS}, row_number() OVER (ORDER BY {_ORDER}) AS ordinal
        FROM sluicegate.dead_letters AS d
        WHERE {_MEANT}
          AND (%(after_position)s::bigint IS NULL OR ({_ORDER})
               > (coalesce(%(after_window)s::timestamptz, '-infinity'), %(after_position)s))
        ORDER BY {_ORDER} LIMIT %(most)s
    ) AS p
) AS b WHERE b.bytes <= %(bytes)s OR b.ordinal = 1 ORDER BY b.ordinal
"""  # noqa: S608 - constants of this module
_COUNT = f"SELECT count(*) FROM sluicegate.dead_letters AS d WHERE {_MEANT}"  # noqa: S608
_AGAIN = f"""
SELECT {_COLUMNS} FROM sluicegate.dead_letters AS d WHERE d.id = ANY(%s) AND d.status = 'open'
ORDER BY {_ORDER} FOR UPDATE
"""  # noqa: S608
_CLOSE = """
UPDATE sluicegate.dead_letters AS d
SET status = %(status)s, resolved_by = %(who)s, reason = %(reason)s, closed_at = clock_timestamp(),
    edited = coalesce(e.edited, d.edited), attempts = d.attempts + %(tries)s
FROM (SELECT o.id FROM sluicegate.dead_letters AS o WHERE o.id = ANY(%(ids)s) AND o.status = 'open' ORDER BY o.id
      FOR UPDATE) AS mine
LEFT JOIN unnest(%(edited_ids)s::text[], %(edited)s::text[]) AS e (id, edited) ON e.id = mine.id
WHERE d.id = mine.id
"""
_FAILED_AGAIN = """
UPDATE sluicegate.dead_letters
SET attempts = attempts + 1, last_seen = clock_timestamp(), last_failures = %(failures)s::jsonb,
    edited = coalesce(%(edited)s, edited)
WHERE id = %(id)s AND status = 'open'
"""


class PostgresLetters:
    """See `Letters`. Speaks on `connection`, inside whatever transaction is open there."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._encoding = connection, encoding_of(connection)

    def page(self, selection: Selection, after: Place | None = None, most: int = 1_000) -> Sequence[Letter]:
        facts = _facts(selection) | {"most": most, "bytes": _BYTES, "after_position": None, "after_window": None}
        if after is not None:
            facts["after_position"] = after.position
            facts["after_window"] = None if after.window == Place.of(None, 0).window else after.window
        return [_letter(row) for row in self._connection.execute(_PAGE, facts)]

    def count(self, selection: Selection) -> int:
        row = self._connection.execute(_COUNT, _facts(selection)).fetchone()
        assert row is not None
        return int(row[0])

    def again(self, ids: Sequence[str]) -> Sequence[Letter]:
        return [_letter(row) for row in self._connection.execute(_AGAIN, [list(ids)])]

    def close(self, ids: Sequence[str], how: Closed) -> int:
        facts = {
            "ids": list(ids), "status": how.status, "who": how.who, "reason": how.reason,
            "edited_ids": list(how.edited), "edited": [storable(text, self._encoding) for text in how.edited.values()],
            "tries": int(how.status is LetterStatus.REPLAYED),
        }  # fmt: skip
        return self._connection.execute(_CLOSE, facts).rowcount

    def failed_again(self, letters: Iterable[DeadLetter], edited: Mapping[str, str]) -> None:
        facts = (
            {
                "id": letter.id,
                "failures": json.dumps(storable(letter.failures, self._encoding), ensure_ascii=False),
                "edited": storable(edited.get(letter.id or ""), self._encoding),
            }
            for letter in letters
        )
        with self._connection.cursor() as cursor:
            cursor.executemany(_FAILED_AGAIN, facts)


def _facts(selection: Selection) -> dict[str, object]:
    source = selection.source
    whole = bool(selection.ids) and all(len(identity) == _ID for identity in selection.ids)
    if source is not None:
        source = source.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("*", "%")
    return {
        "statuses": [str(status) for status in selection.statuses],
        "target": selection.target,
        "pipeline": selection.pipeline,
        "step": selection.step,
        "source": source,
        "since": selection.since,
        "until": selection.until,
        # Whole ids are looked up; of beginnings each letter is asked.
        "ids": list(selection.ids) if whole else None,
        "beginnings": None if whole else list(selection.ids) or None,
        "loaded": selection.loaded,
        "rule": selection.rule,
        "column": selection.column,
    }


def _letter(row: Sequence[Any]) -> Letter:
    facts = dict(zip(_NAMES, row, strict=False))
    start, end = row[len(_NAMES) : len(_NAMES) + 2]
    facts["status"] = LetterStatus(facts["status"])
    for name in ("failures", "header", "absent", "last_failures"):
        facts[name] = None if facts[name] is None else tuple(facts[name])
    facts["absent"] = facts["absent"] or ()
    return Letter(**facts, window=None if start is None else Window(start, end or start))

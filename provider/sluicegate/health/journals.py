"""What a journal says of its pipelines: loads, open dead letters, circuits, alerts. It is read, and nothing else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sluicegate.alerts.claims import TAKEN_OVER_AFTER
from sluicegate.faults.redact import redact
from sluicegate.health.facts import AlertFacts, CircuitFacts, FailureFacts, JournalFacts, LetterFacts, LoadFacts
from sluicegate.health.unsent import STILL_OWED
from sluicegate.health.usual import MOST
from sluicegate.runtime.journal import bounded

if TYPE_CHECKING:
    import psycopg

__all__ = ["read_facts", "read_journal"]

_CONNECT_TIMEOUT = 3
_LONGEST = 12.0
"""Seconds for all of it: the server's own limit does not help where the network is cut, and all who ask wait."""
_SETTINGS = "SET default_transaction_read_only = on; SET statement_timeout = '5s'"
_NEWEST_LOADS = 50_000
"""Only so many of the newest loads of all pipelines are looked at: an old ledger is large."""

_LOADS = """
SELECT pipeline, step, read, loaded_at
FROM (SELECT pipeline, step, sum(read)::bigint AS read, max(loaded_at) AS loaded_at, max(id) AS id,
             row_number() OVER (PARTITION BY pipeline, step ORDER BY max(id) DESC) AS age,
             bool_or(count(*) > 1) OVER (PARTITION BY pipeline, step) AS is_in_parts
      FROM sluicegate.loads
      WHERE id > (SELECT coalesce(max(id), 0) FROM sluicegate.loads) - %s AND status = 'loaded'
        AND pipeline IS NOT NULL AND step IS NOT NULL AND source NOT LIKE 'dead-letters:%%'
      GROUP BY pipeline, step, coalesce(run_id, id::text)) AS newest
WHERE age <= %s AND NOT (is_in_parts AND age = 1 AND loaded_at > now() - interval '10 minutes')
ORDER BY pipeline, step, id DESC"""
"""The items of a mapped step are one load: those of the newest run are counted once no further one comes."""
_LETTERS = """
SELECT pipeline, coalesce(step, ''), count(*), min(first_seen) FROM sluicegate.dead_letters
WHERE status = 'open' AND pipeline IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2"""
_FAILURES = """
SELECT DISTINCT ON (pipeline, run_id, step) pipeline, run_id, step, document -> 'fault' ->> 'code',
       coalesce(document -> 'fault' ->> 'detail', '')
FROM sluicegate.receipts
WHERE status = 'failed' AND started_at > now() - interval '7 days'
  AND document -> 'fault' ->> 'code' IS NOT NULL
ORDER BY pipeline, run_id, step, try_number DESC LIMIT 1000"""
_CIRCUITS = """
SELECT name, state, until, concat_ws(': ', last_fault, last_detail) FROM sluicegate.circuits
WHERE state <> 'closed' AND (until IS NULL OR until > clock_timestamp() - interval '1 day') ORDER BY name"""
"""One that has been due for a day is needed by no task: the next one that does finds out how it is."""
_ALERTS = f"""
SELECT pipeline, channel, count(*), min((message ->> 'at')::timestamptz),
       (array_agg(reason ORDER BY claimed_at DESC))[1]
FROM sluicegate.alerts AS a WHERE {STILL_OWED}
GROUP BY 1, 2 ORDER BY 1, 2"""  # noqa: S608 - a constant
"""What the watch sends again, and no more. A claim that is younger may still lead to a message."""


def read_journal(connection_id: str) -> JournalFacts:
    """What the Postgres of that Airflow connection says. Never raises: what keeps it from answering is in `unread`."""
    try:
        with _connect(connection_id) as connection, bounded(connection, _LONGEST):
            connection.execute(_SETTINGS)
            return read_facts(connection, connection_id)
    except Exception as error:
        words = str(error).strip().splitlines()
        return JournalFacts(connection_id, unread=redact(words[0] if words else type(error).__name__)[:300])


def _connect(connection_id: str) -> psycopg.Connection[tuple[Any, ...]]:
    import psycopg
    from psycopg.conninfo import make_conninfo

    from sluicegate.ledger.conninfo import conninfo_of

    words = make_conninfo(
        conninfo_of(connection_id), connect_timeout=_CONNECT_TIMEOUT, application_name="sluicegate health"
    )
    return psycopg.connect(words, autocommit=True, prepare_threshold=None)


def read_facts(connection: psycopg.Connection[tuple[Any, ...]], connection_id: str) -> JournalFacts:
    """The same over a connection that is there. A table that no migration has made yet says nothing."""
    tables = {
        name
        for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'sluicegate'").fetchall()
    }

    def rows(needed: str, statement: str, values: tuple[Any, ...] | None = None) -> list[tuple[Any, ...]]:
        return connection.execute(statement, values).fetchall() if set(needed.split()) <= tables else []

    return JournalFacts(
        connection_id,
        loads=_loads(rows("loads", _LOADS, (_NEWEST_LOADS, MOST + 1))),
        letters=tuple(LetterFacts(*row) for row in rows("dead_letters", _LETTERS)),
        alerts=tuple(
            AlertFacts(pipeline, channel, count, oldest, reason or "")
            for pipeline, channel, count, oldest, reason in rows("alerts receipts", _ALERTS, (TAKEN_OVER_AFTER,))
        ),
        failures=tuple(FailureFacts(*row) for row in rows("receipts", _FAILURES)),
        circuits=tuple(
            CircuitFacts(name, state, until, fault or "") for name, state, until, fault in rows("circuits", _CIRCUITS)
        ),
    )


def _loads(rows: Iterable[tuple[Any, ...]]) -> tuple[LoadFacts, ...]:
    steps: dict[tuple[str, str], list[tuple[int, Any]]] = defaultdict(list)
    for pipeline, step, read, at in rows:
        steps[pipeline, step].append((read, at))
    return tuple(
        LoadFacts(pipeline, step, found[0][0], found[0][1], tuple(read for read, _ in found[1:]))
        for (pipeline, step), found in steps.items()
    )

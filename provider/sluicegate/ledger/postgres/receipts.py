"""Receipts in Postgres. A beginning is one statement, and so is an end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sluicegate.graph.window import Window
from sluicegate.ledger.postgres.storable import storable
from sluicegate.ledger.receipts import Attempt, Receipt, Status

__all__ = ["Chosen", "PostgresReceipts", "open_receipts"]

Connection = psycopg.Connection[tuple[Any, ...]]

_FORGOTTEN = 100
"""So many old receipts one step deletes at most."""
_ROW = (
    "%(pipeline)s, %(run_id)s, %(step)s, %(map_index)s, %(try_number)s, %(status)s, %(started_at)s, %(ended_at)s, "
    "%(window_start)s, %(window_end)s, %(version)s, %(configuration)s, %(document)s::json"
)
_NAMES = (
    "pipeline, run_id, step, map_index, try_number, status, started_at, ended_at, window_start, window_end, version, "
    "configuration, document"
)
_KEY = "pipeline, run_id, step, map_index, try_number"
# What was deferred goes on. Another try of that number is one of an older run with this id, which was deleted.
_UNLESS_RESUMED = ", ".join(
    f"{name} = CASE WHEN receipts.status = 'deferred' THEN receipts.{name} ELSE excluded.{name} END"
    for name in ("started_at", "window_start", "window_end", "configuration", "document")
)
# A row that was seen today is not touched: a thousand steps at once would wait for each other.
_BEGIN = f"""
WITH said AS (
    INSERT INTO sluicegate.configurations (digest, document)
    SELECT %(configuration)s::text, %(said)s::json
    WHERE %(said)s::text IS NOT NULL AND NOT EXISTS (
        SELECT FROM sluicegate.configurations
        WHERE digest = %(configuration)s AND seen_at > clock_timestamp() - interval '1 day')
    ON CONFLICT (digest) DO UPDATE SET seen_at = clock_timestamp()
)
INSERT INTO sluicegate.receipts ({_NAMES}) VALUES ({_ROW})
ON CONFLICT ({_KEY}) DO UPDATE SET status = excluded.status, ended_at = NULL,
    {_UNLESS_RESUMED}
RETURNING document
"""  # noqa: S608 - constants of this module
# By `now()`: no index helps where `clock_timestamp()` is compared with.
_END = f"""
WITH old AS (
    DELETE FROM sluicegate.receipts WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM sluicegate.receipts
        WHERE pipeline = %(pipeline)s AND started_at < now() - %(keep)s::interval
        ORDER BY started_at LIMIT {_FORGOTTEN}))
), unseen AS (
    DELETE FROM sluicegate.configurations WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM sluicegate.configurations AS c
        WHERE c.seen_at < now() - %(keep)s::interval - interval '2 days'
          AND NOT EXISTS (SELECT FROM sluicegate.receipts AS r WHERE r.configuration = c.digest)
        ORDER BY seen_at LIMIT 10))
)
INSERT INTO sluicegate.receipts ({_NAMES}) VALUES ({_ROW})
ON CONFLICT ({_KEY}) DO UPDATE
SET status = excluded.status, ended_at = excluded.ended_at, document = excluded.document,
    configuration = coalesce(excluded.configuration, receipts.configuration),
    started_at = CASE WHEN receipts.ended_at IS NULL THEN receipts.started_at ELSE excluded.started_at END
"""  # noqa: S608
_CHOSEN = """
    (%(pipeline)s::text IS NULL OR pipeline = %(pipeline)s)
    AND (%(run)s::text IS NULL OR strpos(run_id, %(run)s) > 0)
    AND (%(since)s::timestamptz IS NULL OR window_start >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR window_start < %(until)s)
    AND (%(begun_after)s::timestamptz IS NULL OR started_at >= %(begun_after)s)
"""
_LISTED = (
    "json_build_object('facts', json_build_object('counts', document->'facts'->'counts', "
    "'dead_letters', document->'facts'->'dead_letters'), 'fault', document->'fault', "
    "'dry_run', document->'dry_run', 'trigger', document->'trigger', 'timezone', document->'timezone')"
)
_RUNS = f"""
WITH found AS (
    SELECT pipeline, run_id, min(started_at) AS begun FROM sluicegate.receipts WHERE {_CHOSEN}
    GROUP BY pipeline, run_id ORDER BY begun DESC, pipeline, run_id LIMIT %(most)s OFFSET %(skip)s
)
SELECT {", ".join(f"r.{name}" for name in _NAMES.split(", ")[:-1])}, {_LISTED}
FROM found AS f JOIN sluicegate.receipts AS r USING (pipeline, run_id)
ORDER BY f.begun DESC, r.pipeline, r.run_id, r.started_at, r.step, r.map_index, r.try_number
"""  # noqa: S608
_RUN = f"""
SELECT {_NAMES} FROM sluicegate.receipts WHERE pipeline = %s AND run_id = %s
ORDER BY started_at, step, map_index, try_number
"""  # noqa: S608
_OPEN = f"""
SELECT {_NAMES} FROM (
    SELECT DISTINCT ON (pipeline, run_id, step, map_index) {_NAMES} FROM sluicegate.receipts
    WHERE started_at > now() - interval '7 days'
    ORDER BY pipeline, run_id, step, map_index, try_number DESC, started_at DESC) AS newest
WHERE status IN ('running', 'deferred') AND started_at < clock_timestamp() - %s
ORDER BY started_at LIMIT %s
"""  # noqa: S608
_CLOSE = f"""
UPDATE sluicegate.receipts SET status = %(status)s, ended_at = %(ended_at)s, document = %(document)s::json
WHERE ({_KEY}) = (%(pipeline)s, %(run_id)s, %(step)s, %(map_index)s, %(try_number)s)
  AND started_at = %(started_at)s AND status IN ('running', 'deferred')
"""  # noqa: S608
_THERE = "SELECT to_regclass('sluicegate.receipts') IS NOT NULL"
_SAID = "SELECT document FROM sluicegate.configurations WHERE digest = %s"


@dataclass(frozen=True)
class Chosen:
    """Which receipts are meant. `run` is a run's id, or a part of it; windows begin from `since` until `until`."""

    pipeline: str | None = None
    run: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    begun_after: datetime | None = None


class PostgresReceipts:
    """The receipts of a journal. Speaks on `connection`, inside whatever transaction is open there."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(self, receipt: Receipt, configuration: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """Write that a try runs, and keep what its pipeline says, unless that is known.

        The document that is kept: of what was deferred, the one that it left.
        """
        said = None if configuration is None else _json(configuration)
        row = self._connection.execute(_BEGIN, _facts(receipt) | {"said": said}).fetchone()
        return dict(row[0]) if row is not None and isinstance(row[0], dict) else {}

    def end(self, receipt: Receipt, keep: timedelta) -> None:
        """Complete it, or write it whole where nothing of it was written; forget the oldest beyond `keep`."""
        self._connection.execute(_END, _facts(receipt) | {"keep": keep})

    def open(self, older: timedelta, most: int) -> Sequence[Receipt]:
        """The last tries of the last days that began `older` ago or earlier and have not ended, the oldest first."""
        return [_receipt(row) for row in self._connection.execute(_OPEN, (older, most))]

    def close(self, receipt: Receipt) -> None:
        """Write how a try ended that has not written so itself."""
        self._connection.execute(_CLOSE, _facts(receipt))

    def runs(self, chosen: Chosen, most: int, skip: int = 0) -> Sequence[Sequence[Receipt]]:
        """The latest runs first, each with its receipts; of their documents only what a list shows."""
        found: dict[tuple[str, str], list[Receipt]] = {}
        for row in self._connection.execute(_RUNS, vars(chosen) | {"most": most, "skip": skip}):
            receipt = _receipt(row)
            found.setdefault((receipt.attempt.pipeline, receipt.attempt.run_id), []).append(receipt)
        return list(found.values())

    def run(self, pipeline: str, run_id: str) -> Sequence[Receipt]:
        """All receipts of one run."""
        return [_receipt(row) for row in self._connection.execute(_RUN, [pipeline, run_id])]

    def configuration(self, digest: str) -> Mapping[str, Any] | None:
        """What a pipeline said."""
        row = self._connection.execute(_SAID, [digest]).fetchone()
        return None if row is None else dict(row[0])


@contextmanager
def open_receipts(conninfo: str, *, application: str) -> Iterator[PostgresReceipts | None]:
    """The receipts of a database, to be read; None where none was ever written."""
    given = {key: value for key, value in conninfo_to_dict(conninfo).items() if value is not None}
    own = {"application_name": f"sluicegate {application}"[:63], "client_encoding": "UTF8"}
    with psycopg.connect(make_conninfo("", **{"connect_timeout": "10", **given, **own})) as connection:
        connection.read_only = True
        row = connection.execute(_THERE).fetchone()
        yield PostgresReceipts(connection) if row is not None and row[0] else None


def _facts(receipt: Receipt) -> dict[str, object]:
    window = receipt.window
    return receipt.attempt._asdict() | {
        "status": str(receipt.status),
        "started_at": receipt.started_at,
        "ended_at": receipt.ended_at,
        "window_start": None if window is None else window.start,
        "window_end": None if window is None else window.end,
        "version": receipt.version,
        "configuration": receipt.configuration,
        "document": _json(receipt.document),
    }


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(storable(value), ensure_ascii=False, default=str, allow_nan=False)


def _receipt(row: Sequence[Any]) -> Receipt:
    *key, status, started, ended, start, end, version, configuration, document = row
    return Receipt(
        Attempt(*key),
        Status(status) if status in set(Status) else Status.FAILED,
        started,
        ended,
        None if start is None else Window(start, end or start),
        document if isinstance(document, dict) else {},
        configuration,
        version,
    )

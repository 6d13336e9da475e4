"""What the journal has to be alerted of: steps that failed without an alert, and alerts that a channel did not take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sluicegate.alerts.claims import TAKEN_OVER_AFTER
from sluicegate.alerts.message import Alert
from sluicegate.faults import CATALOGUE, Fault, FaultClass
from sluicegate.graph.window import Window
from sluicegate.pipeline.keys.alerts import Severity

if TYPE_CHECKING:
    import psycopg

__all__ = ["STILL_OWED", "Unsent", "unalerted", "undelivered"]

_MOST = 50
"""Alerts of one look: what sends them has little time."""
_UNALERTED = """
SELECT pipeline, run_id, step, map_index, try_number, window_start, window_end, document
FROM (SELECT DISTINCT ON (pipeline, run_id, step, map_index) *
      FROM sluicegate.receipts WHERE started_at > now() - interval '3 days'
      ORDER BY pipeline, run_id, step, map_index, try_number DESC) AS newest
WHERE status = 'failed' AND json_typeof(document -> 'fault') = 'object'
  AND ended_at BETWEEN clock_timestamp() - interval '1 day' AND clock_timestamp() - %s * interval '1 second'
  AND NOT EXISTS (SELECT FROM sluicegate.alerts AS a WHERE a.pipeline = newest.pipeline AND a.run_id = newest.run_id
                  AND a.round >= coalesce((newest.document -> 'trigger' ->> 'cleared')::int, 0))
ORDER BY ended_at LIMIT %s"""
"""Of a step that a person ended the receipt has no fault. What was alerted before a clear says nothing of what failed
after it.
"""
STILL_OWED = """
a.sent_at IS NULL AND a.claimed_at < clock_timestamp() - %s * interval '1 second'
  AND (a.message ->> 'at')::timestamptz > clock_timestamp() - interval '3 days'
  AND NOT (EXISTS (SELECT FROM sluicegate.receipts AS r WHERE (r.pipeline, r.run_id) = (a.pipeline, a.run_id)
                   AND r.status = 'succeeded' AND r.started_at > (a.message ->> 'at')::timestamptz)
           AND NOT EXISTS (SELECT FROM (SELECT DISTINCT ON (step, map_index) status FROM sluicegate.receipts AS r
                                        WHERE (r.pipeline, r.run_id) = (a.pipeline, a.run_id)
                                        ORDER BY step, map_index, started_at DESC) AS newest
                           WHERE status NOT IN ('succeeded', 'skipped')))"""
"""What a channel has not taken and is to have. An alert that is older says nothing of how things are now; nor does one
of a run whose failed steps have succeeded since.
"""
_UNDELIVERED = f"""
SELECT dedupe_key, round, channel, message FROM sluicegate.alerts AS a WHERE {STILL_OWED}
ORDER BY claimed_at LIMIT %s"""  # noqa: S608 - constants of this module


@dataclass(frozen=True)
class Unsent:
    """An alert, and the channel that does not have it; None for all that it is for."""

    alert: Alert
    channel: str | None = None


def unalerted(connection: psycopg.Connection[tuple[Any, ...]]) -> list[Unsent]:
    """The first failed step of each run of the last day of which no channel knows: its worker died too early."""
    if not _has(connection, "receipts", "alerts"):
        return []
    found: dict[tuple[str, str], Unsent] = {}
    for pipeline, run_id, step, index, number, start, end, document in connection.execute(
        _UNALERTED, (TAKEN_OVER_AFTER, _MOST)
    ):
        said = document["fault"]
        alert = Alert(
            pipeline, _fault(said), detail=str(said.get("detail") or ""), step=step, run_id=run_id, map_index=index,
            window=Window(start, end) if start is not None and end is not None else None, tries=number,
            round=int((document.get("trigger") or {}).get("cleared") or 0),
        )  # fmt: skip
        found.setdefault((pipeline, run_id), Unsent(alert))
    return list(found.values())


def undelivered(connection: psycopg.Connection[tuple[Any, ...]]) -> list[Unsent]:
    """The alerts that a channel did not take and is still to have, the oldest first."""
    if not _has(connection, "receipts", "alerts"):
        return []
    rows = connection.execute(_UNDELIVERED, (TAKEN_OVER_AFTER, _MOST)).fetchall()
    return [Unsent(_again(key, number, message), channel) for key, number, channel, message in rows]


def _has(connection: psycopg.Connection[tuple[Any, ...]], *tables: str) -> bool:
    names = [f"sluicegate.{table}" for table in tables]
    found = connection.execute("SELECT count(to_regclass(name)) FROM unnest(%s::text[]) AS name", (names,)).fetchone()
    return found is not None and found[0] == len(names)


def _again(key: str, number: int, message: Mapping[str, Any]) -> Alert:
    """The alert of which that was the message."""
    fault, window, run_id = message["fault"], message["window"], message["run_id"] or ""
    pipeline = message["pipeline"]
    return Alert(
        pipeline,
        _fault(fault),
        detail=fault["detail"],
        step=message["step"] or "",
        run_id=run_id,
        map_index=-1 if message["map_index"] is None else message["map_index"],
        window=None if window is None else Window(_moment(window["start"]), _moment(window["end"])),
        occasion="" if run_id else key.removeprefix(f"{pipeline}/").rpartition("/")[0],
        subject=fault["subject"] or "",
        said=Severity(message["severity"]),
        params=message["params"],
        written=tuple(message["written"]),
        log=message["log"] or "",
        playbook=message["playbook"] or "",
        owner=message["owner"] or "",
        tries=message["tries"],
        round=number,
        of=message.get("undelivered") or "",
        at=_moment(message["at"]),
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _fault(said: Mapping[str, Any]) -> Fault:
    """That of the catalogue, else what is kept of a fault that a team has defined."""
    known = CATALOGUE.get(said["code"])
    if known is not None:
        return known
    sentence = said.get("sentence") or "A fault of the pipeline's own."
    return Fault(
        said["code"], FaultClass(said["class"]), sentence, said.get("remedy") or "Read the step's log.", frozenset()
    )

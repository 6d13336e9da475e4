"""What the journal says of alerts: sent, undelivered, or claimed by somebody who is about to send, or has died."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from sluicegate.alerts.claims import TAKEN_OVER_AFTER

if TYPE_CHECKING:
    import psycopg

__all__ = ["AlertRow", "Chosen", "State", "rows_of", "table_of_alerts"]

State = Literal["sent", "undelivered", "claimed", "lost"]

_THERE = "SELECT to_regclass('sluicegate.alerts') IS NOT NULL"
_ROWS = """
SELECT dedupe_key, channel, pipeline, run_id, fault, severity, group_key, steps, times, message, claimed_at, sent_at,
       reason, claimed_at < clock_timestamp() - %(after)s * interval '1 second'
FROM sluicegate.alerts
WHERE (%(pipeline)s::text IS NULL OR pipeline = %(pipeline)s)
  AND (%(run)s::text IS NULL OR run_id = %(run)s)
  AND (%(since)s::timestamptz IS NULL OR claimed_at >= %(since)s)
  AND (NOT %(open)s OR sent_at IS NULL)
ORDER BY claimed_at DESC, dedupe_key, round, channel
LIMIT %(limit)s
"""


@dataclass(frozen=True)
class Chosen:
    """Which alerts are meant. `open`: only those that a channel does not have."""

    pipeline: str | None = None
    run: str | None = None
    since: datetime | None = None
    open: bool = False
    limit: int | None = 50


@dataclass(frozen=True)
class AlertRow:
    """One alert for one channel; `steps` are those that had the fault, `times` how often it was noticed."""

    dedupe_key: str
    channel: str
    pipeline: str
    run_id: str | None
    fault: str
    severity: str
    group_key: str
    steps: tuple[str, ...]
    times: int
    message: dict[str, Any]
    at: datetime
    sent_at: datetime | None
    reason: str | None
    state: State

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        moments = {"at": self.at.isoformat(), "sent_at": None if self.sent_at is None else self.sent_at.isoformat()}
        return {**vars(self), "steps": list(self.steps), **moments}


@contextmanager
def table_of_alerts(conninfo: str, application: str) -> Iterator[psycopg.Connection[tuple[Any, ...]] | None]:
    """A connection to the journal; None where no alert was ever sent by it."""
    import psycopg

    with psycopg.connect(conninfo, connect_timeout=10, application_name=application, autocommit=True) as connection:
        there = connection.execute(_THERE).fetchone()
        yield connection if there is not None and there[0] else None


def rows_of(connection: psycopg.Connection[tuple[Any, ...]], chosen: Chosen) -> list[AlertRow]:
    """The newest first."""
    facts = {**vars(chosen), "after": TAKEN_OVER_AFTER}
    return [_row(*row) for row in connection.execute(_ROWS, facts)]


def _row(key: str, channel: str, pipeline: str, run_id: str | None, fault: str, *rest: Any) -> AlertRow:
    severity, group, steps, times, message, at, sent_at, reason, is_old = rest
    state: State = "sent" if sent_at is not None else "undelivered" if reason else "lost" if is_old else "claimed"
    return AlertRow(
        key, channel, pipeline, run_id, fault, severity, group, tuple(steps), times, message, at, sent_at, reason, state
    )

"""Who sends an alert: of all that notice one fault of a run, one. A claim that has led to nothing may be taken over.

Kept in the journal, and without one, or where it is not reached, in files of this machine.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from sluicegate.alerts.message import Alert
from sluicegate.ledger.postgres.storable import storable
from sluicegate.runtime.journal import in_journal

if TYPE_CHECKING:
    import psycopg

__all__ = ["Claims", "FileClaims", "JournalClaims", "claims_in"]

TAKEN_OVER_AFTER = 300
"""Seconds after which a claim that was not followed by a message is given up: who made it has died, or failed."""
_KEPT_FOR = 7 * 86400
_LOCKED_FOR = 2.0
"""Seconds to wait for the lock: a process that holds it and is stopped must not hold back alerts."""

# One statement, so that of fifty at once one gets the row. A repeated call of the one that has it changes nothing.
_CLAIM = """
INSERT INTO sluicegate.alerts AS a (dedupe_key, round, channel, pipeline, run_id, fault, severity, group_key, steps,
                                    message, claimed_by)
VALUES (%(key)s, %(round)s, %(channel)s, %(pipeline)s, %(run_id)s, %(fault)s, %(severity)s, %(group)s,
        ARRAY[%(place)s::text], %(message)s, %(by)s)
ON CONFLICT (dedupe_key, round, channel) DO UPDATE
SET times = a.times + (a.claimed_by <> excluded.claimed_by)::int,
    steps = CASE WHEN a.steps @> excluded.steps OR cardinality(a.steps) >= 50 THEN a.steps
                 ELSE a.steps || excluded.steps END,
    claimed_by = CASE WHEN a.sent_at IS NULL AND a.claimed_at < clock_timestamp() - %(after)s * interval '1 second'
                      THEN excluded.claimed_by ELSE a.claimed_by END,
    claimed_at = CASE WHEN a.sent_at IS NULL AND a.claimed_at < clock_timestamp() - %(after)s * interval '1 second'
                      THEN clock_timestamp() ELSE a.claimed_at END
RETURNING claimed_by = %(by)s AND sent_at IS NULL
"""
_SETTLE = """
UPDATE sluicegate.alerts
SET sent_at = CASE WHEN %(reason)s::text IS NULL THEN clock_timestamp() ELSE sent_at END, reason = %(reason)s
WHERE (dedupe_key, round, channel) = (%(key)s, %(round)s, %(channel)s) AND claimed_by = %(by)s
"""

log = logging.getLogger(__name__)


class Claims(Protocol):
    """Claims of one sender; `settle` says what came of one."""

    def take(self, alert: Alert, channels: Sequence[str]) -> tuple[str, ...] | None:
        """Those of `channels` that are ours to send to; None where that cannot be found out here."""

    def settle(self, alert: Alert, channel: str, reason: str | None) -> None:
        """Note that `channel` has the alert or, with a reason, that it does not."""


@dataclass(frozen=True)
class JournalClaims:
    """In `sluicegate.alerts` of the journal, which is an Airflow connection."""

    connection_id: str
    by: str = field(default_factory=lambda: uuid.uuid4().hex)

    def take(self, alert: Alert, channels: Sequence[str]) -> tuple[str, ...] | None:
        def claim(connection: psycopg.Connection[tuple[Any, ...]]) -> tuple[str, ...]:
            from psycopg.types.json import Jsonb

            facts = {
                "key": alert.dedupe_key, "round": alert.round, "pipeline": alert.pipeline,
                "run_id": alert.run_id or None, "fault": alert.code, "severity": alert.severity.value,
                "group": alert.group_key, "place": alert.place, "message": Jsonb(storable(alert.as_dict())),
                "by": self.by, "after": TAKEN_OVER_AFTER,
            }  # fmt: skip
            # In one order for all, or two senders would wait for each other.
            return tuple(name for name in sorted(channels) if _first(connection, _CLAIM, {**facts, "channel": name}))

        return in_journal(self.connection_id, f"the claim of the alert {alert.dedupe_key}", claim)

    def settle(self, alert: Alert, channel: str, reason: str | None) -> None:
        facts = {
            "key": alert.dedupe_key, "round": alert.round, "channel": channel, "by": self.by,
            "reason": storable(reason),
        }  # fmt: skip
        in_journal(
            self.connection_id,
            f"what came of the alert {alert.dedupe_key}",
            lambda connection: connection.execute(_SETTLE, facts).rowcount,
        )


def _first(connection: psycopg.Connection[tuple[Any, ...]], query: str, facts: Mapping[str, Any]) -> bool:
    row = connection.execute(query.encode(), facts).fetchone()
    return row is not None and bool(row[0])


@dataclass(frozen=True)
class FileClaims:
    """A file for each claim in a folder of this machine: it keeps the tasks of one worker apart, and no others."""

    folder: Path = field(default_factory=lambda: Path(tempfile.gettempdir()) / f"sluicegate-alerts-{os.getuid()}")

    def take(self, alert: Alert, channels: Sequence[str]) -> tuple[str, ...] | None:
        try:
            with self._locked():
                self._sweep()
                return tuple(name for name in channels if _make(self._file(alert, name)))
        except OSError as error:
            log.warning("Not known here who else sends the alert %s: %s", alert.dedupe_key, error)
            return None

    def settle(self, alert: Alert, channel: str, reason: str | None) -> None:
        with suppress(OSError):
            self._file(alert, channel).write_text("sent" if reason is None else "undelivered", "utf-8")

    def _file(self, alert: Alert, channel: str) -> Path:
        words = "\0".join((alert.dedupe_key, str(alert.round), channel))
        return self.folder / hashlib.sha256(words.encode()).hexdigest()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        if self.folder.stat().st_uid != os.getuid():
            raise PermissionError(f"{self.folder} belongs to somebody else")
        with (self.folder / "lock").open("a") as lock:
            until = time.monotonic() + _LOCKED_FOR
            while not _lock(lock):
                if time.monotonic() > until:
                    raise TimeoutError(f"another process holds {lock.name}")
                time.sleep(0.01)
            yield

    def _sweep(self) -> None:
        for file in self.folder.iterdir():
            if file.name != "lock" and time.time() - file.stat().st_mtime > _KEPT_FOR:
                file.unlink()


def _lock(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _make(file: Path) -> bool:
    """Whether the claim is new, or one that is given up and ours now. Called with the folder locked."""
    try:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        return True
    except FileExistsError:
        is_given_up = file.read_text("utf-8") != "sent" and time.time() - file.stat().st_mtime > TAKEN_OVER_AFTER
        if is_given_up:
            file.write_text("", "utf-8")
            os.utime(file)
        return is_given_up


def claims_in(journal: str | None) -> tuple[Claims, ...]:
    """Where claims are kept, in the order in which the places are tried."""
    return (FileClaims(),) if journal is None else (JournalClaims(journal), FileClaims())

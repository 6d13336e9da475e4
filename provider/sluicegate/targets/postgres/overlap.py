"""Refuses a load while another run of its pipeline loads a window that overlaps its own (`overlap: fail`).

A row says which window a session loads. It counts as long as its server process lives, so that what a killed loader
has left stops no other one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress

import psycopg

from sluicegate.faults import fault
from sluicegate.ledger.entries import Origin
from sluicegate.ledger.postgres.migrations import migrate
from sluicegate.targets.postgres.connect import Connection, new_connection

__all__ = ["alone_in_window"]

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('sluicegate.running ' || %s, 0))"
_FORGET_DEAD = """
DELETE FROM sluicegate.running AS r WHERE NOT EXISTS (
    SELECT FROM pg_stat_activity a
    WHERE a.pid = r.pid AND (a.backend_start IS NULL OR a.backend_start = r.backend_start)
)
"""
_OVERLAPPING = """
SELECT run_id, window_start, window_end FROM sluicegate.running
WHERE target = %(target)s AND pipeline = %(pipeline)s AND step = %(step)s AND run_id <> %(run_id)s
  AND window_start < %(window_end)s AND window_end > %(window_start)s
ORDER BY id LIMIT 1
"""
_REGISTER = """
INSERT INTO sluicegate.running (target, pipeline, step, run_id, window_start, window_end, pid, backend_start)
SELECT %(target)s, %(pipeline)s, %(step)s, %(run_id)s, %(window_start)s, %(window_end)s, pid, backend_start
FROM pg_stat_activity WHERE pid = pg_backend_pid()
RETURNING id
"""
_FORGET = "DELETE FROM sluicegate.running WHERE id = %s"


@contextmanager
def alone_in_window(conninfo: str, target: str, origin: Origin) -> Iterator[None]:
    """Around a load: no other run loads an overlapping window meanwhile.

    Another try of the same run does not count: it waits for the lock on the target. What says so is kept by a
    connection of its own, which lasts as long as the load.

    :raises FaultError: WRONG_USE when another run does so already.
    """
    if origin.window is None or origin.pipeline is None or origin.step is None or origin.run_id is None:
        yield
        return
    facts = {
        "target": target, "pipeline": origin.pipeline, "step": origin.step, "run_id": origin.run_id,
        "window_start": origin.window.start, "window_end": origin.window.end,
    }  # fmt: skip
    with closing(new_connection(conninfo)) as connection:
        with connection.transaction():
            migrate(connection)
        own = _register(connection, facts)
        try:
            yield
        finally:
            with suppress(psycopg.Error):
                connection.execute(_FORGET, [own])


def _register(connection: Connection, facts: Mapping[str, object]) -> int | None:
    """Say which window is loaded; returns the row that says so."""
    target = facts["target"]
    with connection.transaction():
        connection.execute(_LOCK, [target])
        connection.execute(_FORGET_DEAD)
        found = connection.execute(_OVERLAPPING, facts).fetchone()
        if found is not None:
            run, start, end = found
            raise fault(
                "WRONG_USE",
                f"overlap: fail: the run {run} is loading the window {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} "
                f"into {target}, which overlaps this one; clear this step when that run has ended",
            )
        row = connection.execute(_REGISTER, facts).fetchone()
    return None if row is None else int(row[0])

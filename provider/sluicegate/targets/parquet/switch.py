"""How a table of files and its ledger become one, though no transaction spans both.

A load commits in its ledger first: with its row, its dead letters and its intent, which says where staged files go.
That commit decides. The switch comes after it, and can be done again from any point: the next load that looks at the
table finishes what a killed one has left. See docs/architecture.md.
"""

from __future__ import annotations

import logging
from typing import Any

import psycopg

from sluicegate.faults import fault
from sluicegate.ledger.postgres.intents import Intent, PostgresIntents
from sluicegate.targets.parquet.files import Files

__all__ = ["carry_out", "is_settled", "settle"]

log = logging.getLogger("sluicegate.load")

Connection = psycopg.Connection[tuple[Any, ...]]


def is_settled(connection: Connection, target: str) -> bool:
    """Whether the table is what its ledger says."""
    return not PostgresIntents(connection).pending(target)


def settle(connection: Connection, lake: Files) -> None:
    """Finish what loads that were killed have left. Under the table's lock, outside a transaction."""
    intents = PostgresIntents(connection)
    for intent in intents.pending(lake.uri):
        if carry_out(connection, lake, intent):
            log.info("finished a load into %s that had been committed and not switched in", lake.uri)
            continue
        with connection.transaction():
            intents.revoke(intent, "SOURCE_MISSING")
        log.warning("the staged files of a load into %s are gone: the load counts as failed", lake.uri)


def carry_out(connection: Connection, lake: Files, intent: Intent) -> bool:
    """Bring the table to what `intent` says, and forget it; False where its staged files are lost.

    :raises FaultError: WAREHOUSE_BUSY when the lock is lost meanwhile: the next attempt finishes it.
    """
    intents = PostgresIntents(connection)
    if not lake.switch(intent.switch, lambda: _require_lock(intents, intent, lake)):
        return False
    with connection.transaction():
        intents.done(intent)
    return True


def _require_lock(intents: PostgresIntents, intent: Intent, lake: Files) -> None:
    """Not to undo what somebody has done since who took over."""
    if not intents.still(intent):
        raise fault(
            "WAREHOUSE_BUSY",
            f"the connection to the ledger of {lake.uri} was lost while the load was switched in; a retry finishes it",
        )

"""How a table of files, or one in another database, and its ledger become one, though no transaction spans both.

A load commits in its ledger first: with its row, its dead letters and its intent, which says where staged files go.
That commit decides. The switch comes after it, and can be done again from any point: the next load that looks at the
table finishes what a killed one has left. See docs/architecture.md.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import psycopg

from sluicegate.faults import fault
from sluicegate.ledger.postgres.intents import Intent, PostgresIntents

__all__ = ["Switched", "carry_out", "is_settled", "settle"]

log = logging.getLogger("sluicegate.load")

Connection = psycopg.Connection[tuple[Any, ...]]


class Switched(Protocol):
    """A target that becomes what an intent says. `lost` is the fault of a load with which that is not possible."""

    uri: str
    lost: str

    def switch(self, switch: Mapping[str, Any], require_lock: Callable[[], None]) -> bool:
        """Make it what `switch` says, also where some of that is done; False where it cannot become so any more.

        :param require_lock: to be called before each step.
        """


def is_settled(connection: Connection, target: str) -> bool:
    """Whether the table is what its ledger says."""
    return not PostgresIntents(connection).pending(target)


def settle(connection: Connection, target: Switched) -> None:
    """Finish what loads that were killed have left. Under the table's lock, outside a transaction."""
    intents = PostgresIntents(connection)
    for intent in intents.pending(target.uri):
        if carry_out(connection, target, intent):
            log.info("finished a load into %s that had been committed and not switched in", target.uri)
            continue
        with connection.transaction():
            intents.revoke(intent, target.lost)
        log.warning("a load into %s cannot be switched in any more: it counts as failed", target.uri)


def carry_out(connection: Connection, target: Switched, intent: Intent) -> bool:
    """Bring the table to what `intent` says, and forget it; False where its staged files are lost.

    :raises FaultError: WAREHOUSE_BUSY when the lock is lost meanwhile: the next attempt finishes it.
    """
    intents = PostgresIntents(connection)
    if not target.switch(intent.switch, lambda: _require_lock(intents, intent, target)):
        return False
    with connection.transaction():
        intents.done(intent)
    return True


def _require_lock(intents: PostgresIntents, intent: Intent, target: Switched) -> None:
    """Not to undo what somebody has done since who took over."""
    if not intents.still(intent):
        raise fault(
            "WAREHOUSE_BUSY",
            f"the connection to the ledger of {target.uri} was lost while a load was switched in; a retry finishes it",
        )

"""The ledger of a database for those who load nothing: lists, decisions of people."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sluicegate.ledger.letters import Closed, Selection
from sluicegate.ledger.postgres.ledger import PostgresLedger
from sluicegate.ledger.postgres.migrations import is_complete, migrate

__all__ = ["close_letters", "open_ledger"]

_PAGE = 10_000
_THERE = "SELECT to_regclass('sluicegate.dead_letters') IS NOT NULL"


@contextlib.contextmanager
def open_ledger(conninfo: str, *, application: str) -> Iterator[PostgresLedger | None]:
    """The ledger in one transaction, which is committed in the end; None where nothing was ever loaded.

    An older one is brought up to date first.

    :raises FaultError: WRONG_USE for a ledger of a later version, WAREHOUSE_DENIED for one that must not be migrated.
    """
    given = {key: value for key, value in conninfo_to_dict(conninfo).items() if value is not None}
    own = {"application_name": f"sluicegate {application}"[:63], "client_encoding": "UTF8"}
    with psycopg.connect(make_conninfo("", **{"connect_timeout": "10", **given, **own})) as connection:
        found = connection.execute(_THERE).fetchone()
        if found is None or not found[0]:
            yield None
            return
        if not is_complete(connection):
            migrate(connection)
            connection.commit()
        yield PostgresLedger(connection)


def close_letters(
    conninfo: str, meant: Selection, how: Closed, *, application: str, most: int | None = None, dry_run: bool = False
) -> int:
    """Close the letters that are meant, `most` of them at most, all or none of these; returns how many."""
    closed = 0
    with open_ledger(conninfo, application=application) as ledger:
        if ledger is None or dry_run:
            found = 0 if ledger is None else ledger.letters.count(meant)
            return found if most is None else min(found, most)
        while most is None or closed < most:
            page = ledger.letters.page(meant, None, _PAGE if most is None else min(_PAGE, most - closed))
            if not page:
                break
            closed += ledger.letters.close([letter.id for letter in page], how)
    return closed

"""Brings the ledger's tables to what this version needs: numbered SQL files, each applied once and noted in a table.

A migration is never edited once it was released. It only adds (a table, a column with a default, an index), so that
loaders of the version before go on meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import psycopg
from psycopg import errors

from sluicegate.faults import fault

__all__ = ["Migration", "known_migrations", "migrate"]

Connection = psycopg.Connection[tuple[Any, ...]]

_DDL_LOCK = 0x5C1A_6A7E_0000_0001
"""Two sessions that create the schema at once would collide in Postgres' own catalogue."""
# Not to_regclass: the session's cache still says that there is none when it waited for the one that made it.
_IS_THERE = """
SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = 'sluicegate' AND c.relname = 'migrations')
"""
_TABLE = """
CREATE SCHEMA IF NOT EXISTS sluicegate;
CREATE TABLE IF NOT EXISTS sluicegate.migrations (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- Roles that did not create the ledger look up its version too.
GRANT SELECT ON sluicegate.migrations TO PUBLIC;
"""


@dataclass(frozen=True)
class Migration:
    """One numbered step from an older ledger to a newer one."""

    number: int
    name: str
    sql: str


@lru_cache(maxsize=1)
def known_migrations() -> tuple[Migration, ...]:
    """All migrations of this version, in order."""
    return tuple(sorted(_files(), key=lambda migration: migration.number))


def _files() -> Iterator[Migration]:
    for file in resources.files(__name__).iterdir():
        stem, _, suffix = file.name.partition(".")
        if suffix == "sql":
            number, _, name = stem.partition("_")
            yield Migration(int(number), name, file.read_text(encoding="utf-8"))


def migrate(connection: Connection, migrations: Sequence[Migration] | None = None) -> None:
    """Apply what the ledger lacks. To be called in a transaction; safe from several sessions at once.

    A ledger of a later version is used as it is.

    :raises FaultError: WAREHOUSE_DENIED when the ledger belongs to another role and is older than this version.
    """
    wanted = known_migrations() if migrations is None else migrations
    last = wanted[-1].number
    if _version(connection) >= last:
        return
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_DDL_LOCK])
    version = _version(connection)
    try:
        for migration in wanted:
            if migration.number > version:
                _apply(connection, migration)
    except errors.InsufficientPrivilege as error:
        raise fault(
            "WAREHOUSE_DENIED",
            f"the ledger (schema sluicegate) is at version {version} and this release needs {last}, which this role "
            f"must not make: {error.diag.message_primary}; run one load as the role that owns the schema",
        ) from error


def _apply(connection: Connection, migration: Migration) -> None:
    connection.execute(_TABLE.encode())
    connection.execute(migration.sql.encode())
    connection.execute(
        "INSERT INTO sluicegate.migrations (number, name) VALUES (%s, %s)", [migration.number, migration.name]
    )


def _version(connection: Connection) -> int:
    """The number of the last migration that was applied; 0 without a ledger or with one from before the numbers."""
    there = connection.execute(_IS_THERE).fetchone()
    if there is None or not there[0]:
        return 0
    row = connection.execute("SELECT coalesce(max(number), 0) FROM sluicegate.migrations").fetchone()
    return int(row[0]) if row is not None else 0

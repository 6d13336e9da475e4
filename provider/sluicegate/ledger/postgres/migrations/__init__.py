"""Brings the ledger's tables to what this version needs: numbered SQL files, each applied once and noted in a table.

A migration is never edited once it was released. It only adds (a table, a column with a default, an index). What the
table does not list is applied, in order: two that were made side by side may land in either order. A ledger with one
that this version does not know is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import psycopg
from psycopg import errors

from sluicegate.faults import FaultError, fault

__all__ = ["Migration", "is_complete", "known_migrations", "migrate", "require_known"]

Connection = psycopg.Connection[tuple[Any, ...]]

_DDL_LOCK = 0x5C1A_6A7E_0000_0001
"""Two sessions that create the schema at once would collide in Postgres' own catalogue."""
# Not to_regclass: the session's cache still says that there is none when it waited for the one that made it.
_IS_THERE = """
SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = 'sluicegate' AND c.relname = 'migrations')
"""
_APPLIED = "SELECT number, name FROM sluicegate.migrations"
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
    """Apply what the ledger lacks, in order. To be called in a transaction; safe from several sessions at once.

    :raises FaultError: WRONG_USE for a ledger of a later version, and where tables that are not the ledger's are in the
        schema; WAREHOUSE_DENIED when the ledger belongs to another role and is older than this version.
    """
    wanted = known_migrations() if migrations is None else migrations
    if not _lacking(connection, wanted):
        return
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_DDL_LOCK])
    lacking = _lacking(connection, wanted)
    try:
        for migration in lacking:
            _apply(connection, migration)
    except errors.InsufficientPrivilege as error:
        numbers = ", ".join(f"{each.number:04}" for each in lacking)
        raise fault(
            "WAREHOUSE_DENIED",
            f"the ledger (schema sluicegate) lacks what this release needs (migrations {numbers}), which this role "
            f"must not make: {error.diag.message_primary}; run one load as the role that owns the schema",
        ) from error
    except psycopg.ProgrammingError as error:
        raise _not_ours(error) from error


def require_known(connection: Connection, migrations: Sequence[Migration] | None = None) -> None:
    """Make sure that no later version has written this ledger, whose rows this one might misread.

    :raises FaultError: WRONG_USE when one has.
    """
    _lacking(connection, known_migrations() if migrations is None else migrations)


def is_complete(connection: Connection, *, is_there: bool = False) -> bool:
    """Whether the ledger has everything that this version reads and writes.

    :param is_there: whether it is known that there is one.
    :raises FaultError: WRONG_USE for a ledger of a later version.
    """
    return not _lacking(connection, known_migrations(), is_there=is_there)


def _lacking(connection: Connection, wanted: Sequence[Migration], *, is_there: bool = False) -> list[Migration]:
    applied = _applied(connection) if is_there or _is_there(connection) else {}
    if unknown := sorted(applied.keys() - {migration.number for migration in wanted}):
        names = ", ".join(f"{number:04} {applied[number]}" for number in unknown)
        raise fault(
            "WRONG_USE",
            f"a later release of Sluicegate has brought the ledger (schema sluicegate) up to {names}, and this one "
            "does not know what that means for its rows, so nothing was changed: upgrade the provider here",
        )
    return [migration for migration in wanted if migration.number not in applied]


def _apply(connection: Connection, migration: Migration) -> None:
    connection.execute(_TABLE.encode())
    connection.execute(migration.sql.encode())
    connection.execute(
        "INSERT INTO sluicegate.migrations (number, name) VALUES (%s, %s)", [migration.number, migration.name]
    )


def _is_there(connection: Connection) -> bool:
    """Whether there is a ledger, and not one from before the numbers."""
    return connection.execute(_IS_THERE, prepare=True).fetchone() == (True,)


def _applied(connection: Connection) -> dict[int, str]:
    """The names of the migrations that were applied; none where the ledger has been dropped since it was there."""
    try:
        return {int(number): str(name) for number, name in connection.execute(_APPLIED, prepare=True)}
    except errors.UndefinedTable:
        return {}
    except (errors.UndefinedColumn, errors.WrongObjectType) as error:
        raise _not_ours(error) from error


def _not_ours(error: psycopg.Error) -> FaultError:
    return fault(
        "WRONG_USE",
        f"the schema sluicegate is not what a ledger has made of it: {error.diag.message_primary}; is something else "
        "in it, or was something of it dropped? Keep the ledger in a database whose schema sluicegate is its own",
    )

"""The ledger in a real Postgres: how its tables come about, and what a ledger of another version means."""

from __future__ import annotations

import threading
from importlib import resources
from typing import Any

import psycopg
import pytest

from sluicegate.faults import FaultError
from sluicegate.ledger import Counts, DeadLetter, Load, Origin
from sluicegate.ledger.postgres import PostgresLedger, migrate
from sluicegate.ledger.postgres.migrations import Migration, known_migrations

FIRST = (
    resources.files("sluicegate.ledger.postgres.migrations")
    .joinpath("0001_loads_and_dead_letters.sql")
    .read_text(encoding="utf-8")
)
NEXT = Migration(2, "note", "ALTER TABLE sluicegate.loads ADD COLUMN note text")
LETTER = DeadLetter("s3://b/k", "v", 7, "raw", ({"rule": "required:n", "column": "n", "value": None},), {"id": "1"})


def versions(warehouse: Any) -> list[tuple[int, str]]:
    return warehouse.rows("SELECT number, name FROM sluicegate.migrations ORDER BY 1")  # type: ignore[no-any-return]


def test_migrations_are_numbered_without_gaps() -> None:
    assert [migration.number for migration in known_migrations()] == list(range(1, len(known_migrations()) + 1))


def test_a_new_ledger_is_made_once_and_notes_its_version(warehouse: Any) -> None:
    for _ in range(2):
        with psycopg.connect(warehouse.conninfo) as connection:
            migrate(connection)
    assert versions(warehouse) == [(1, "loads_and_dead_letters")]


def test_a_ledger_from_before_the_numbers_keeps_its_rows(warehouse: Any) -> None:
    with psycopg.connect(warehouse.conninfo) as connection:
        connection.execute(FIRST.encode())
        ledger = PostgresLedger(connection)
        ledger.record(Load("public.t", "a", "v", "d", "loaded", Counts(1, 1), 0.1))
        ledger.set_aside("public.t", "d", Origin(), [LETTER])
    with psycopg.connect(warehouse.conninfo) as connection:
        migrate(connection)
        found = PostgresLedger(connection).find("public.t", "a", "v", "d")
    assert found is not None
    assert found.counts == Counts(1, 1)
    assert versions(warehouse) == [(1, "loads_and_dead_letters")]
    assert warehouse.one("SELECT count(*) FROM sluicegate.dead_letters") == 1


def test_an_older_ledger_gets_what_it_lacks_and_a_newer_one_is_used_as_it_is(warehouse: Any) -> None:
    with psycopg.connect(warehouse.conninfo) as connection:
        migrate(connection)
        PostgresLedger(connection).record(Load("public.t", "a", "v", "d", "loaded", Counts(1, 1), 0.1))
    with psycopg.connect(warehouse.conninfo) as connection:
        migrate(connection, [*known_migrations(), NEXT])
    assert versions(warehouse) == [(1, "loads_and_dead_letters"), (2, "note")]
    assert warehouse.rows("SELECT source, note FROM sluicegate.loads") == [("a", None)]
    with psycopg.connect(warehouse.conninfo) as connection:
        migrate(connection)
        assert PostgresLedger(connection).find("public.t", "a", "v", "d") is not None
    assert versions(warehouse)[-1] == (2, "note")


def test_sessions_that_migrate_at_once_apply_each_migration_once(warehouse: Any) -> None:
    errors: list[BaseException] = []
    gate = threading.Barrier(6)

    def run() -> None:
        with psycopg.connect(warehouse.conninfo) as connection:
            gate.wait()
            try:
                migrate(connection, [*known_migrations(), NEXT])
            except BaseException as error:
                errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert versions(warehouse) == [(1, "loads_and_dead_letters"), (2, "note")]


def test_a_role_that_may_not_migrate_is_told_who_may(warehouse: Any) -> None:
    with psycopg.connect(warehouse.conninfo) as connection:
        migrate(connection)
        connection.execute("DROP ROLE IF EXISTS sluicegate_reader")
        connection.execute("CREATE ROLE sluicegate_reader")
        connection.execute("GRANT USAGE ON SCHEMA sluicegate TO sluicegate_reader")
    with psycopg.connect(warehouse.conninfo) as connection:
        connection.execute("SET LOCAL ROLE sluicegate_reader")
        migrate(connection)
        with pytest.raises(FaultError, match=r"at version 1 and this release needs 2.*role that owns the schema"):
            migrate(connection, [*known_migrations(), NEXT])
        connection.rollback()
    warehouse.rows("DROP OWNED BY sluicegate_reader; DROP ROLE sluicegate_reader")


def test_a_letter_that_is_set_aside_again_keeps_its_id_and_is_counted(warehouse: Any) -> None:
    for _ in range(2):
        with psycopg.connect(warehouse.conninfo) as connection:
            migrate(connection)
            PostgresLedger(connection).set_aside("public.t", "d", Origin("p", "s", "r", 1), [LETTER])
    assert warehouse.rows("SELECT line, attempts, status FROM sluicegate.dead_letters") == [(7, 2, "open")]
    with psycopg.connect(warehouse.conninfo) as connection:
        ledger = PostgresLedger(connection)
        [letter] = ledger.open_letters("public.t", Origin())
        assert letter.key == {"id": "1"}
        assert ledger.resolve([letter.id], "r2") == 1
        assert ledger.open_letters("public.t", Origin()) == []

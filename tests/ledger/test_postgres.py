"""The ledger in a real Postgres: how its tables come about, and what a ledger of another version means."""

from __future__ import annotations

import threading
from importlib import resources
from typing import Any

import psycopg
import pytest

from sluicegate.faults import FaultError
from sluicegate.ledger.entries import Counts, DeadLetter, Load, Origin
from sluicegate.ledger.postgres.ledger import PostgresLedger
from sluicegate.ledger.postgres.migrations import Migration, known_migrations, migrate, require_known

FIRST = (
    resources.files("sluicegate.ledger.postgres.migrations")
    .joinpath("0001_loads_and_dead_letters.sql")
    .read_text(encoding="utf-8")
)
NEXT = Migration(9999, "note", "ALTER TABLE sluicegate.loads ADD COLUMN note text")
BEFORE = Migration(9000, "before", "ALTER TABLE sluicegate.loads ADD COLUMN before text")
KNOWN = [(migration.number, migration.name) for migration in known_migrations()]
LETTER = DeadLetter("s3://b/k", "v", 7, "raw", ({"rule": "required:n", "column": "n", "value": None},), {"id": "1"})


def versions(warehouse: Any) -> list[tuple[int, str]]:
    return warehouse.rows("SELECT number, name FROM sluicegate.migrations ORDER BY 1")  # type: ignore[no-any-return]


def test_migrations_are_numbered_and_each_number_is_given_once() -> None:
    numbers = [migration.number for migration in known_migrations()]
    assert numbers == sorted(set(numbers))
    assert numbers[0] == 1


def test_a_new_ledger_is_made_once_and_notes_its_version(warehouse: Any) -> None:
    for _ in range(2):
        with psycopg.connect(warehouse.conninfo) as connection:
            migrate(connection)
    assert versions(warehouse) == KNOWN


def test_a_ledger_from_before_the_numbers_keeps_its_rows(warehouse: Any) -> None:
    with psycopg.connect(warehouse.conninfo) as connection:
        connection.execute(FIRST.encode())
        connection.execute(
            "INSERT INTO sluicegate.loads (target, source, source_version, config_digest, status, read, inserted,"
            " updated, unchanged, stale, deduplicated, dead, rejected, seconds)"
            " VALUES ('public.t', 'a', 'v', 'd', 'loaded', 1, 1, 0, 0, 0, 0, 0, 0, 0.1)"
        )
        connection.execute(
            "INSERT INTO sluicegate.dead_letters (id, target, source, source_version, line, record, failures,"
            " config_digest) VALUES ('x', 'public.t', 'a', 'v', 1, '', '[]', 'd')"
        )
    with psycopg.connect(warehouse.conninfo) as connection:
        migrate(connection)
        found = PostgresLedger(connection).find("public.t", "a", "v", "d")
    assert found is not None
    assert found.counts == Counts(1, 1)
    assert versions(warehouse) == KNOWN
    assert warehouse.one("SELECT count(*) FROM sluicegate.dead_letters") == 1


def test_an_older_ledger_gets_what_it_lacks(warehouse: Any) -> None:
    with psycopg.connect(warehouse.conninfo) as connection:
        migrate(connection)
        PostgresLedger(connection).record(Load("public.t", "a", "v", "d", "loaded", Counts(1, 1), 0.1))
    with psycopg.connect(warehouse.conninfo) as connection:
        migrate(connection, [*known_migrations(), NEXT])
    assert versions(warehouse) == [*KNOWN, (9999, "note")]
    assert warehouse.rows("SELECT source, note FROM sluicegate.loads") == [("a", None)]


def test_migrations_that_landed_out_of_order_are_applied_all(warehouse: Any) -> None:
    for wanted in ([*known_migrations(), NEXT], [*known_migrations(), BEFORE, NEXT]):
        with psycopg.connect(warehouse.conninfo) as connection:
            migrate(connection, wanted)
    assert versions(warehouse) == [*KNOWN, (9000, "before"), (9999, "note")]


def test_a_ledger_of_a_later_release_is_refused_and_left_as_it_is(warehouse: Any) -> None:
    with psycopg.connect(warehouse.conninfo) as connection:
        migrate(connection, [*known_migrations(), NEXT])
    before = warehouse.rows("SELECT * FROM sluicegate.migrations")
    for act in (migrate, require_known):
        with psycopg.connect(warehouse.conninfo) as connection, pytest.raises(FaultError) as caught:
            act(connection)
        assert caught.value.code == "WRONG_USE"
        assert "a later release of Sluicegate" in str(caught.value)
        assert "9999 note" in str(caught.value)
        assert "upgrade the provider here" in str(caught.value)
    assert warehouse.rows("SELECT * FROM sluicegate.migrations") == before


@pytest.mark.parametrize("force", [False, True])
def test_a_load_refuses_a_later_ledger_before_it_reads_or_changes_anything(warehouse: Any, force: bool) -> None:
    file = warehouse.csv("a.csv", ["id"], [[1]])
    with psycopg.connect(warehouse.conninfo) as connection:
        migrate(connection, [*known_migrations(), NEXT])
    error = warehouse.fails(file, key="id", force=force)
    assert "a later release of Sluicegate" in str(error)
    assert warehouse.one("SELECT to_regclass('t') IS NULL")
    assert warehouse.one("SELECT count(*) FROM sluicegate.loads") == 0


def test_the_tables_of_the_first_release_keep_every_row_and_balance(warehouse: Any) -> None:
    """Made by the first migration alone, filled as its release did: letters open and resolved, a load that failed."""
    letter = (
        "INSERT INTO sluicegate.dead_letters (id, target, pipeline, step, run_id, source, source_version, line, record,"
        " key, failures, config_digest, status, resolved_by, first_seen)"
        " VALUES (%s, 'public.t', 'p', 's', %s, %s, 'v', %s, '{}', '{\"id\": \"1\"}', '[]', 'd', %s, %s, %s)"
    )
    load = (
        "INSERT INTO sluicegate.loads (target, source, source_version, config_digest, status, fault, pipeline, step,"
        " run_id, read, inserted, updated, unchanged, stale, deduplicated, dead, rejected, seconds)"
        " VALUES ('public.t', %s, 'v', 'd', %s, %s, 'p', 's', %s, 5, %s, 0, 0, 0, 0, 2, %s, 0.1)"
    )
    with psycopg.connect(warehouse.conninfo) as connection:
        migrate(connection, [known_migrations()[0]])
        connection.execute(letter, ["z", "r2", "b", 1, "open", None, "2026-01-02"])
        connection.execute(letter, ["y", "r1", "a", 9, "open", None, "2026-01-01"])
        connection.execute(letter, ["x", "r1", "a", 10, "resolved", "r2", "2026-01-01 00:00:01"])
        connection.execute(letter, ["w", "r3", "c", 1, "open", None, "2026-01-03"])
        connection.execute(load, ["a", "loaded", None, "r1", 3, 0])
        connection.execute(load, ["b", "loaded", None, "r2", 3, 0])
        connection.execute(load, ["c", "failed", "TOO_MANY_DEAD_LETTERS", "r3", 0, 3])
    for _ in range(2):
        with psycopg.connect(warehouse.conninfo) as connection:
            migrate(connection)
    assert versions(warehouse) == KNOWN
    found = warehouse.rows(
        "SELECT id, status, attempts, fault, closed_at IS NULL FROM sluicegate.dead_letters ORDER BY position"
    )
    assert found == [
        ("y", "open", 1, None, True), ("x", "resolved", 1, None, False), ("z", "open", 1, None, True),
        ("w", "open", 1, "TOO_MANY_DEAD_LETTERS", True),
    ]  # fmt: skip
    assert warehouse.one("SELECT count(*) FROM sluicegate.loads") == 3
    assert warehouse.one(
        "SELECT bool_and(read = inserted + updated + unchanged + stale + deduplicated + dead + rejected)"
        " FROM sluicegate.loads"
    )
    with psycopg.connect(warehouse.conninfo) as connection:
        PostgresLedger(connection).set_aside("public.t", "d", Origin(), [LETTER])
    assert warehouse.one("SELECT position FROM sluicegate.dead_letters WHERE source = 's3://b/k'") > 4


@pytest.mark.parametrize("number", range(len(KNOWN)))
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_load_goes_on_with_the_ledger_of_any_release_before(warehouse: Any, number: int, dry_run: bool) -> None:
    with psycopg.connect(warehouse.conninfo) as connection:
        migrate(connection, known_migrations()[:number])
    path = warehouse.csv("a.csv", ["id"], [[1]])
    assert warehouse.load(path, key="id", dry_run=dry_run).counts.inserted == 1
    if not dry_run:
        assert warehouse.load(path, key="id").status == "skipped"
        assert versions(warehouse) == KNOWN


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ("CREATE TABLE sluicegate.migrations (version_num text)", 'column "number" does not exist'),
        ("CREATE TABLE sluicegate.loads (a int)", 'column "status" does not exist'),
        ("CREATE VIEW sluicegate.dead_letters AS SELECT 1 AS id", "does not exist"),
        (
            "CREATE TABLE sluicegate.migrations (number int, name text, applied_at timestamptz); "
            "INSERT INTO sluicegate.migrations VALUES (1, 'loads_and_dead_letters')",
            'relation "sluicegate.loads" does not exist',
        ),
    ],
)
def test_a_schema_with_something_else_in_it_is_refused_by_name(warehouse: Any, made: str, words: str) -> None:
    warehouse.rows(f"CREATE SCHEMA sluicegate; {made}")
    error = warehouse.fails(warehouse.csv("a.csv", ["id"], [[1]]), key="id")
    assert error.code == "WRONG_USE"
    assert words in error.detail
    assert "the schema sluicegate is not what a ledger has made of it" in error.detail


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
    assert versions(warehouse) == [*KNOWN, (9999, "note")]


def test_a_role_that_may_not_migrate_is_told_who_may(warehouse: Any) -> None:
    with psycopg.connect(warehouse.conninfo) as connection:
        migrate(connection)
        connection.execute("DROP ROLE IF EXISTS sluicegate_reader")
        connection.execute("CREATE ROLE sluicegate_reader")
        connection.execute("GRANT USAGE ON SCHEMA sluicegate TO sluicegate_reader")
    with psycopg.connect(warehouse.conninfo) as connection:
        connection.execute("SET LOCAL ROLE sluicegate_reader")
        migrate(connection)
        with pytest.raises(
            FaultError, match=r"lacks what this release needs \(migrations 9999\).*role that owns the schema"
        ):
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
        [[letter]] = ledger.open_letters("public.t", Origin())
        assert letter.key == {"id": "1"}
        assert ledger.resolve([letter.id], "r2") == 1
        assert list(ledger.open_letters("public.t", Origin())) == []

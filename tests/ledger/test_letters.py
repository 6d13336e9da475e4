"""The life of dead letters in a real Postgres: read page by page, in their order, closed once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from sluicegate.graph.window import Window
from sluicegate.ledger.entries import DeadLetter, Origin
from sluicegate.ledger.letters import Closed, LetterStatus, Place, Selection
from sluicegate.ledger.postgres.ledger import PostgresLedger
from sluicegate.ledger.postgres.migrations import migrate

DAY = datetime(2026, 1, 1, tzinfo=UTC)


def letter(line: int, rule: str = "required:n", key: str = "1") -> DeadLetter:
    column = rule.partition(":")[2]
    return DeadLetter(
        "s3://b/a_1.csv", "v", line, f"r{line}", ({"rule": rule, "column": column, "value": None},), {"id": key}
    )


@pytest.fixture
def ledger(warehouse: Any) -> Iterator[PostgresLedger]:
    with psycopg.connect(warehouse.conninfo) as connection:
        migrate(connection)
        yield PostgresLedger(connection)


def put(ledger: PostgresLedger, day: int | None, *letters: DeadLetter, step: str = "s") -> None:
    window = None if day is None else Window(DAY + timedelta(days=day), DAY + timedelta(days=day + 1))
    ledger.set_aside("public.t", "d", Origin("p", step, "r", 1, window), letters)


def lines(ledger: PostgresLedger, **words: Any) -> list[int]:
    return [one.line for one in ledger.letters.page(Selection(**words))]


def test_letters_come_by_window_then_as_they_were_loaded_and_page_by_page(ledger: PostgresLedger) -> None:
    put(ledger, 2, letter(1), letter(2))
    put(ledger, 1, letter(3))
    put(ledger, None, letter(4))
    put(ledger, 1, letter(5))
    assert lines(ledger) == [4, 3, 5, 1, 2]
    found, after = [], None
    while page := ledger.letters.page(Selection(), after, 2):
        assert len(page) <= 2
        found += [one.line for one in page]
        after = page[-1].place
    assert found == [4, 3, 5, 1, 2]


def test_a_page_of_large_records_is_short_and_never_empty(
    ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluicegate.ledger.postgres.letters._BYTES", 3)
    put(ledger, 1, letter(1), letter(2), letter(33))
    assert lines(ledger) == [1]
    [first] = ledger.letters.page(Selection())
    assert [one.line for one in ledger.letters.page(Selection(), first.place)] == [2]


def test_each_filter_narrows(ledger: PostgresLedger) -> None:
    put(ledger, 0, letter(1, "type:n"), letter(2, "between:m"))
    put(ledger, 3, letter(3, "type:m"), step="other")
    assert lines(ledger, rule="type") == [1, 3]
    assert lines(ledger, rule="type:n") == [1]
    assert lines(ledger, rule="typ") == []
    assert lines(ledger, column="m") == [2, 3]
    assert lines(ledger, rule="type", column="m") == [3]
    assert lines(ledger, step="other") == [3]
    assert lines(ledger, source="*/a_1.csv") == [1, 2, 3]
    assert lines(ledger, source="*/a%1.csv") == lines(ledger, source="*/ab1.csv") == []
    assert lines(ledger, since=DAY, until=DAY + timedelta(days=3)) == [1, 2]
    ids = [one.id for one in ledger.letters.page(Selection())]
    assert lines(ledger, ids=(ids[1],)) == lines(ledger, ids=(ids[1][:10],)) == [2]
    assert ledger.letters.count(Selection(ids=(ids[0], ids[2][:10]))) == 2


def test_a_letter_is_closed_once(ledger: PostgresLedger) -> None:
    put(ledger, 0, letter(1), letter(2))
    ids = [one.id for one in ledger.letters.page(Selection())]
    assert ledger.letters.close(ids[:1], Closed(LetterStatus.DISCARDED, "eva", "why")) == 1
    assert ledger.letters.close(ids, Closed(LetterStatus.RESOLVED, "otto")) == 1
    assert [one.line for one in ledger.letters.again(ids)] == []
    kept = ledger.letters.page(Selection(statuses=tuple(LetterStatus)))
    assert [(one.status, one.resolved_by, one.reason) for one in kept] == [
        ("discarded", "eva", "why"), ("resolved", "otto", None),
    ]  # fmt: skip


def test_open_letters_are_found_by_a_key_of_any_length(ledger: PostgresLedger) -> None:
    long = "x" * 20_000
    put(ledger, 0, letter(1, key=long), letter(2, key="2"))
    found = ledger.open_letters_of("public.t", [{"id": long}, {"id": "3"}])
    assert [one.line for one in found] == [1]
    assert found[0].place == Place(DAY, found[0].place.position if found[0].place else -1)

"""A merge by pieces: where it is one, where one statement has to bring all records in, and what comes of both."""

from __future__ import annotations

from typing import Any

import pytest

from sluicegate.targets.postgres import session
from sluicegate.targets.postgres.merger import Merger
from tests.load.by_pieces import merge_by_pieces

HEADER = ["id", "v", "at", "op"]
WORDS: dict[str, Any] = {"key": "id", "newest_by": "at", "delete_when": {"op": "D"}}


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many records each statement was given."""
    merge_by_pieces(monkeypatch)
    run, given = Merger.run, list[int]()

    def noted(self: Merger, rows: int, *words: Any, **more: Any) -> Any:
        given.append(rows)
        return run(self, rows, *words, **more)

    monkeypatch.setattr(Merger, "run", noted)
    return given


def test_pieces_count_and_leave_what_one_statement_would(warehouse: Any, statements: list[int]) -> None:
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY, v text, at int)")
    warehouse.load(warehouse.csv("1.csv", HEADER, [[n, "old", 5, "I"] for n in range(1, 7)]), **WORDS)
    second = [[0, "new", 5, "I"], [2, "old", 5, "I"], [3, "new", 6, "I"], [4, "new", 4, "I"], [5, "", 6, "D"],
              [7, "new", 1, "I"], [8, "", 9, "D"]]  # fmt: skip
    counts = warehouse.load(warehouse.csv("2.csv", HEADER, second), **WORDS).counts
    assert statements == [1] * (6 + 7)
    assert (counts.inserted, counts.updated, counts.unchanged, counts.stale, counts.deleted) == (2, 1, 2, 1, 1)
    assert warehouse.rows("SELECT id, v, at FROM t ORDER BY id") == [
        (0, "new", 5), (1, "old", 5), (2, "old", 5), (3, "new", 6), (4, "old", 5), (6, "old", 5), (7, "new", 1),
    ]  # fmt: skip
    late = warehouse.load(warehouse.csv("3.csv", HEADER, [[5, "late", 5, "I"], [6, "new", 6, "I"]]), **WORDS).counts
    assert (late.stale, late.updated) == (1, 1)


@pytest.mark.parametrize(
    "table",
    [
        "CREATE TABLE t (id int PRIMARY KEY, v int UNIQUE DEFERRABLE)",
        "CREATE TABLE t (id int PRIMARY KEY, v int REFERENCES t)",
        "CREATE TABLE t (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);; "
        "CREATE TABLE t1 PARTITION OF t DEFAULT",
        "CREATE TABLE t (v int, id int, PRIMARY KEY (id));; CREATE TABLE child () INHERITS (t)",
        "CREATE TABLE t (id real PRIMARY KEY, v int)",
        "CREATE TABLE t (id int PRIMARY KEY, v int);; CREATE FUNCTION same() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN RETURN NULL; END';; CREATE TRIGGER last AFTER UPDATE ON t EXECUTE FUNCTION same()",
    ],
    ids=["deferred", "refers to itself", "partitions", "children", "order of reals", "trigger"],
)  # fmt: skip
def test_one_statement_brings_all_in_where_pieces_could_mean_something_else(
    warehouse: Any, statements: list[int], table: str
) -> None:
    for statement in table.split(";; "):
        warehouse.rows(statement)
    warehouse.rows("INSERT INTO t (id, v) VALUES (1, 1), (2, 2)")
    # The values are exchanged, or refer to what comes later.
    report = warehouse.load(warehouse.csv("a.csv", ["id", "v"], [[1, 2], [2, 1], [3, 3]]), key="id")
    assert (report.counts.inserted, report.counts.updated) == (1, 2)
    assert statements == [3]


def test_keys_that_the_server_has_in_another_order_are_merged_by_one_statement(
    warehouse: Any, statements: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "can_go_by_pieces", lambda *_: True)
    warehouse.rows("CREATE TABLE t (id numeric PRIMARY KEY, v text)")
    warehouse.rows("INSERT INTO t VALUES (9, 'old')")
    monkeypatch.setattr(session.PostgresSession, "_require_unique", lambda *_: None)
    counts = warehouse.load(warehouse.csv("a.csv", ["id", "v"], [[9, "new"], [10, "new"], [1, "new"]]), key="id").counts
    assert (counts.inserted, counts.updated) == (2, 1)
    assert statements[-1] == 3

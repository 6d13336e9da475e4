"""A small file whose records are all good goes to the target without a stage, and as it would with one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sluicegate.load import small
from sluicegate.load.lend import lend_duckdb
from sluicegate.load.planned import planned
from sluicegate.storage import Storage

COLUMNS = {
    "id": {"type": "bigint", "required": True}, "n": {"type": "integer", "between": [0, 90]}, "price": "numeric(9,2)",
    "at": "timestamptz", "note": "text",
}  # fmt: skip
HEADER = "id,n,price,at,note\n"
GOOD = {
    "regular": HEADER + "2,1,1.50,2024-01-01 10:00:00+02,a\n1,90,-3,2024-01-02 00:00:00,b\n",
    "no end of the last line": HEADER + "1,1,1.5,2024-01-01,a\n10,2,2,2024-01-01,b",
    "missing values": HEADER + "1,,,,\n2,3,NA,NA,NA\n",
    "blanks, primes, other letters": HEADER + "1,1,1,2024-01-01, it's 'ä' \n2,2,2,2024-01-01,\u2028\u0085$1\\n\n",
    "a column of its own": "extra," + HEADER + "x,1,1,1,2024-01-01,a\ny,2,2,2,2024-01-01,b\n",
    "a BOM": "\ufeff" + HEADER + "1,1,1,2024-01-01,a\n2,2,2,2024-01-01,b\n",
    "another delimiter": "sep=;\n" + HEADER.replace(",", ";") + "1;1;1;2024-01-01;a,b\n",
}
STAGED = {
    "a bad value": HEADER + "1,1,1,2024-01-01,a\n2,x,2,2024-01-01,b\n3,91,2,2024-01-01,b\n",
    "a key that comes twice": HEADER + "1,1,1,2024-01-01,a\n2,2,2,2024-01-01,b\n1,2,2,2024-01-01,c\n",
    "a value too many": HEADER + "1,1,1,2024-01-01,a\n2,2,2,2024-01-01,b,c\n3,3,3,2024-01-01,d\n",
    "a value too few": HEADER + "1,1,1,2024-01-01,a\n2,2,2,2024-01-01\n",
    "nothing for a value too many": HEADER + "1,1,1,2024-01-01,a,\n2,2,2,2024-01-01,b,\n",
    "quotes": HEADER + '1,1,1,2024-01-01,"a\nb"\n',
    "a blank line": HEADER + "1,1,1,2024-01-01,a\n\n2,2,2,2024-01-01,b\n",
    "CR LF": HEADER.replace("\n", "\r\n") + "1,1,1,2024-01-01,a\r\n",
    "a NUL": HEADER + "1,1,1,2024-01-01,a\0b\n",
    "only a header": HEADER,
    "nothing": "",
    "not UTF-8": (HEADER + "1,1,1,2024-01-01,ä\n2,2,2,2024-01-01,b\n").encode("latin-1"),
}


@pytest.fixture
def staged(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one each time that a small file is staged."""
    found: list[int] = []
    fill = small.Stage.fill

    def seen(*given: Any) -> None:
        found.append(1)
        fill(*given)

    monkeypatch.setattr(small.Stage, "fill", seen)
    return found


def load(warehouse: Any, path: Path, table: str, **words: Any) -> Any:
    words = {"format": {"null": ["", "NA"]}, "on_schema_change": "add_columns", "max_dead": "100%"} | words
    return warehouse.load(path, table, columns=COLUMNS, **words)


def outcome(warehouse: Any, table: str) -> tuple[Any, Any]:
    letters = [(one.line, one.record, one.failures) for one in warehouse.dead_letters(f"public.{table}")]
    return warehouse.rows(f"SELECT * FROM {table} ORDER BY 1, 2"), letters


@pytest.mark.parametrize("mode", ["merge", "append"])
@pytest.mark.parametrize("case", [*GOOD, *STAGED])
def test_a_small_file_is_loaded_as_any_other(
    warehouse: Any, monkeypatch: pytest.MonkeyPatch, staged: list[int], case: str, mode: str
) -> None:
    path = warehouse.file("small.csv", (GOOD | STAGED)[case])
    words: dict[str, Any] = {"mode": mode, "key": "id"} if mode == "merge" else {"mode": mode}
    counts = load(warehouse, path, "t", **words).counts
    assert bool(staged) is not (case in GOOD or (mode, case) == ("append", "a key that comes twice"))
    monkeypatch.setattr("sluicegate.load.load.SMALL", -1)
    assert load(warehouse, path, "u", **words).counts == counts
    if warehouse.one("SELECT to_regclass('t') IS NOT NULL"):
        assert outcome(warehouse, "t") == outcome(warehouse, "u")


@pytest.mark.parametrize("null", [[], ["NA"], ["", "-", "it's"]])
def test_what_means_nothing_does_so_in_a_small_file_too(
    warehouse: Any, monkeypatch: pytest.MonkeyPatch, staged: list[int], null: list[str]
) -> None:
    path = warehouse.file("small.csv", "id,a,b\n1,,NA\n2,-,it's\n3, ,x\n")
    words: dict[str, Any] = {"key": "id", "columns": {"id": "bigint", "a": "text", "b": "text"}}
    warehouse.load(path, "t", format={"null": null}, **words)
    assert not staged
    monkeypatch.setattr("sluicegate.load.load.SMALL", -1)
    warehouse.load(path, "u", format={"null": null}, **words)
    assert outcome(warehouse, "t") == outcome(warehouse, "u")


class Rewritten(Storage):
    """Somebody writes another file in place of each one, right after it was read."""

    def verify(self, part: Any) -> None:
        super().verify(part)
        Path(part.uri).write_text("id,n\n7,7\n8,8\n", encoding="utf-8")


def test_what_the_target_refuses_is_what_was_read(warehouse: Any, staged: list[int]) -> None:
    warehouse.rows("CREATE TABLE t (id bigint PRIMARY KEY, n integer CONSTRAINT low CHECK (n < 3))")
    warehouse.storage = Rewritten()
    counts = warehouse.load(warehouse.file("1.csv", "id,n\n2,2\n3,3\n1,1\n"), key="id", max_dead=1).counts
    assert (counts.inserted, counts.dead, staged) == (2, 1, [1])
    [letter] = warehouse.dead_letters()
    assert (letter.line, letter.record, warehouse.rows("SELECT id FROM t ORDER BY 1")) == (
        3, '{"id":"3","n":"3"}', [(1,), (2,)],
    )  # fmt: skip


def test_a_small_file_closes_a_dead_letter_by_its_key(warehouse: Any, staged: list[int]) -> None:
    words: dict[str, Any] = {"key": "id", "columns": {"id": "bigint", "n": "integer"}, "max_dead": 1}
    warehouse.load(warehouse.file("1.csv", "id,n\n1,x\n2,2\n"), **words)
    staged.clear()
    assert warehouse.load(warehouse.file("2.csv", "id,n\n1,1\n"), **words).resolved == 1
    assert staged, "it is the stage that knows which keys came in"
    staged.clear()
    warehouse.load(warehouse.file("3.csv", "id,n\n5,1\n"), **words)
    assert not staged, "nothing is open any more"


def test_a_dry_run_of_a_small_file_says_what_it_would_change(warehouse: Any) -> None:
    words: dict[str, Any] = {"key": "id", "columns": {"id": "bigint", "n": "integer"}}
    warehouse.load(warehouse.file("1.csv", "id,n\n1,1\n2,2\n"), **words)
    report = warehouse.load(warehouse.file("2.csv", "id,n\n1,9\n3,3\n"), dry_run=True, **words)
    assert (report.counts.inserted, report.counts.updated) == (1, 1)
    assert warehouse.rows("SELECT * FROM t ORDER BY 1") == [(1, 1), (2, 2)]


def test_plans_are_kept_by_their_query_and_not_too_many_of_them() -> None:
    with lend_duckdb("120MB", 1_000) as (duck, _):
        first = planned(duck, "SELECT $1 || '0'", "it's")
        assert duck.execute(first).fetchone() == ("it's0",)
        assert planned(duck, "SELECT $1 || '0'", "it's") == first
        for number in range(1, 40):
            assert duck.execute(planned(duck, f"SELECT $1 || '{number}'", "x")).fetchone() == (f"x{number}",)
        [(kept,)] = duck.execute("SELECT count(*) FROM duckdb_prepared_statements()").fetchall()
        assert kept <= 32
        assert planned(duck, "SELECT $1 || '0'", "it's") != first

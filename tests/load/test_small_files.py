"""Many small files of one folder: read together, and exactly as each of them by itself."""

from __future__ import annotations

import random
from typing import Any

import pytest

from sluicegate.records import together

COLUMNS = {"id": {"type": "bigint", "required": True}, "n": {"type": "integer", "between": [0, 90]}, "note": "text"}
HEADER = "id,n,note\n"
ODD = {
    "empty": "",
    "only a header": HEADER,
    "no end of the last line": HEADER + "501,1,a\n502,95,b",
    "another order": "note,n,id\na,1,503\nb,x,504\n",
    "a column less": "id,n\n505,1\n,2\n",
    "CR LF": "id,n,note\r\n506,1,a\r\n507,x,b\r\n",
    "a BOM": "\ufeff" + HEADER + "508,1,a\n509,99,b\n",
    "quoted over lines": HEADER + '510,1,"a\nb"\n511,99,c\n',
    "a malformed line": HEADER + '512,1,a\n513,2,"b\n514,3,c\n',
    "too many values": HEADER + "515,1,a\n516,2,b,c,d\n517,3,e\n",
    "a blank line": HEADER + "518,1,a\n\n519,99,b\n",
    "two quoted texts": HEADER + '520,1,"a" "b"\n',
    "a carriage return": HEADER + "521,1,a\rb\n522,99,c\n",
    "not UTF-8": (HEADER + "523,1,ä\n524,99,b\n").encode("latin-1"),
    "another delimiter": "sep=,\n" + HEADER + "525,1,a\n526,99,b\n",
    "a NUL": HEADER + "527,1,a\0b\n",
}


def regular(number: int, rows: int) -> str:
    values = random.Random(number)
    lines = (f"{values.randrange(500)},{values.choice([*range(100), 'x', ''])},f{number}\n" for _ in range(rows))
    return HEADER + "".join(lines)


def load(warehouse: Any, table: str, **words: Any) -> Any:
    return warehouse.load(f"{warehouse.folder}/in/", table, key="id", columns=COLUMNS, **words)


def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "_FILES", 1)


def outcome(warehouse: Any, table: str) -> tuple[Any, Any]:
    letters = [(one.source, one.line, one.record, one.failures) for one in warehouse.dead_letters(f"public.{table}")]
    return warehouse.rows(f"SELECT id, n, note FROM {table} ORDER BY id"), letters


def test_files_that_are_read_together_give_what_each_alone_gives(
    warehouse: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        warehouse.file(f"in/{number:03}.csv", regular(number, number * 3))
    for place, text in enumerate(ODD.values()):
        warehouse.file(f"in/{place % 12:03}b{place:02}.csv", text)
    counts = load(warehouse, "t").counts
    alone(monkeypatch)
    assert load(warehouse, "u").counts == counts
    assert counts.dead > 20
    assert outcome(warehouse, "t") == outcome(warehouse, "u")


@pytest.mark.parametrize("odd", list(ODD))
def test_a_file_that_is_not_like_its_neighbours_changes_nothing_of_them(
    warehouse: Any, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    for number, text in enumerate([regular(1, 5), ODD[odd], regular(2, 7), HEADER, regular(3, 4)]):
        warehouse.file(f"in/{number}.csv", text)
    counts = load(warehouse, "t", skip_bad_files=True).counts
    alone(monkeypatch)
    assert load(warehouse, "u", skip_bad_files=True).counts == counts
    assert outcome(warehouse, "t") == outcome(warehouse, "u")


def test_regular_files_are_read_by_one_statement(warehouse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    relation_of = together.relation_of

    def seen(group: Any) -> str:
        sizes.append(len(group))
        return relation_of(group)

    monkeypatch.setattr("sluicegate.load.stage.relation_of", seen)
    for number in range(70):
        warehouse.file(f"in/{number:03}.csv", regular(number, 3))
    load(warehouse, "t")
    assert sizes == [64, 6]

"""Many small files of one folder: read together, and exactly as each of them by itself."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
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


ODD_JSON = {
    "empty": "",
    "no end of the last line": '{"id": 501, "n": 1}\n{"id": 502, "n": 95}',
    "another order": '{"note": "a", "n": 1, "id": 503}\n{"note": "b", "n": "x", "id": 504}\n',
    "a key less": '{"id": 505, "n": 1}\n{"n": 2}\n',
    "no keys": "{}\n{ }\n",
    "CR LF": '{"id": 506, "n": 1, "note": "a"}\r\n{"id": 507, "n": "x", "note": "b"}\r\n',
    "a BOM": '\ufeff{"id": 508, "n": 1}\n{"id": 509, "n": 99}\n',
    "not JSON": '{"id": 510, "n": 1}\n{"id": 511, "n": 2\n{"id": 512, "n": 3}\n',
    "not an object": '{"id": 513, "n": 1}\n[1]\n7\n',
    "a key twice": '{"id": 514, "n": 1, "n": 2}\n{"id": 515, "n": 99}\n',
    "a blank line": '{"id": 516, "n": 1}\n\n  \n{"id": 517, "n": 99}\n',
    "a carriage return": '{"id": 518, "n": 1}\r{"id": 519, "n": 99}\n',
    "not UTF-8": '{"id": 520, "note": "ä"}\n{"id": 521, "n": 99}\n'.encode("latin-1"),
    "a NUL": '{"id": 522, "note": "a\\u0000b"}\n{"id": 523, "n": 99}\n',
    "half a character": '{"id": 524, "note": "\\ud800"}\n{"id": 525, "n": 99}\n',
    "long numbers": '{"id": 526, "n": 1.00000000000000000001}\n{"id": 527, "n": 1e1, "note": 1.10}\n',
    "values inside": '{"id": 528, "note": {"a": [1.10, null]}}\n{"id": 529, "n": 99, "note": [1]}\n',
    "NaN": '{"id": 530, "n": NaN}\n{"id": 531, "n": 99}\n',
    "a name without letters": '{"": 1, "id": 532}\n',
    "null": '{"id": 533, "n": null, "note": null}\n{"id": null, "n": 1}\n',
}


def regular(number: int, rows: int, kind: str = "csv") -> str:
    values = random.Random(number)
    records = [(values.randrange(500), values.choice([*range(100), "x", ""]), f"f{number}") for _ in range(rows)]
    if kind == "csv":
        return HEADER + "".join(f"{a},{b},{c}\n" for a, b, c in records)
    made = [{"id": a, "n": b, "note": c} for a, b, c in records]
    for record in made:
        if values.random() < 0.3:
            del record["note"]
    return "".join(json.dumps(record) + "\n" for record in made)


KINDS: Mapping[str, Mapping[str, str | bytes]] = {"csv": ODD, "jsonl": ODD_JSON}
NOTHING = "__HIVE_DEFAULT_PARTITION__"
FOLDERS = {
    "one folder": lambda number: "",
    "partition folders": lambda number: f"day=2026-01-0{number % 3 + 1}/shop={['a%20b', 'c', NOTHING][number % 3]}/",
}
ALL = pytest.mark.parametrize("folders", FOLDERS.values(), ids=FOLDERS)
EACH_KIND = pytest.mark.parametrize("kind", KINDS)


def load(warehouse: Any, table: str, **words: Any) -> Any:
    return warehouse.load(f"{warehouse.folder}/in/", table, **{"key": "id", "columns": COLUMNS} | words)


def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "_FILES", 1)


def outcome(warehouse: Any, table: str) -> tuple[Any, ...]:
    letters = [(one.source, one.line, one.record, one.failures) for one in warehouse.dead_letters(f"public.{table}")]
    types = warehouse.rows(
        "SELECT attname, atttypid::regtype::text FROM pg_attribute WHERE attnum > 0 AND attrelid = %s::regclass", table
    )
    return warehouse.rows(f"SELECT * FROM {table} ORDER BY {table}::text"), letters, types


@ALL
@EACH_KIND
@pytest.mark.parametrize("words", [{}, {"columns": {**COLUMNS, "note": {"type": "text", "sensitive": True}}}])
def test_files_that_are_read_together_give_what_each_alone_gives(
    warehouse: Any, monkeypatch: pytest.MonkeyPatch, kind: str, folders: Any, words: Any
) -> None:
    for number in range(12):
        warehouse.file(f"in/{folders(number)}{number:03}.{kind}", regular(number, number * 3, kind))
    for place, text in enumerate(KINDS[kind].values()):
        warehouse.file(f"in/{folders(place)}{place % 12:03}b{place:02}.{kind}", text)
    words = {"skip_bad_files": True} | words
    counts = load(warehouse, "t", **words).counts
    alone(monkeypatch)
    assert load(warehouse, "u", **words).counts == counts
    assert counts.dead > 20
    assert outcome(warehouse, "t") == outcome(warehouse, "u")


@ALL
@pytest.mark.parametrize(("kind", "odd"), [(kind, odd) for kind, some in KINDS.items() for odd in some])
def test_a_file_that_is_not_like_its_neighbours_changes_nothing_of_them(
    warehouse: Any, monkeypatch: pytest.MonkeyPatch, kind: str, odd: str, folders: Any
) -> None:
    header = HEADER if kind == "csv" else ""
    some = [regular(1, 5, kind), KINDS[kind][odd], regular(2, 7, kind), header, regular(3, 4, kind)]
    for number, text in enumerate(some):
        warehouse.file(f"in/{folders(number)}{number}.{kind}", text)
    counts = load(warehouse, "t", skip_bad_files=True).counts
    alone(monkeypatch)
    assert load(warehouse, "u", skip_bad_files=True).counts == counts
    assert outcome(warehouse, "t") == outcome(warehouse, "u")


VALUES = [1, 2.5, "007", "2026-01-02", "2026-01-02T03:04:05Z", "x", "", True, None, 1e300, 12345678901234567890, "1.10"]


@EACH_KIND
def test_types_are_inferred_of_files_together_as_of_each_alone(
    warehouse: Any, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    chance = random.Random(7)
    columns = [f"c{number}" for number in range(30)]
    pools = {name: chance.sample(VALUES, chance.randint(1, 3)) for name in columns}
    for number in range(20):
        rows = [{"id": number * 10 + at, **{c: chance.choice(pools[c]) for c in columns}} for at in range(3)]
        if kind == "csv":
            lines = [",".join("" if value is None else str(value) for value in row.values()) for row in rows]
            text = "\n".join([",".join(rows[0]), *lines])
        else:
            text = "\n".join(json.dumps({key: value for key, value in row.items() if value != ""}) for row in rows)
        warehouse.file(f"in/{number:02}.{kind}", text)
    load(warehouse, "t", columns={})
    alone(monkeypatch)
    load(warehouse, "u", columns={})
    assert outcome(warehouse, "t") == outcome(warehouse, "u")


@ALL
@EACH_KIND
def test_regular_files_are_read_by_one_statement(
    warehouse: Any, monkeypatch: pytest.MonkeyPatch, kind: str, folders: Any
) -> None:
    sizes: list[int] = []

    class Seen(together.Together):
        def __init__(self, group: Any) -> None:
            super().__init__(group)
            sizes.append(len(group))

    monkeypatch.setattr("sluicegate.load.stage.Together", Seen)
    for number in range(70):
        warehouse.file(f"in/{folders(0)}{number:03}.{kind}", regular(number, 3, kind))
    load(warehouse, "t")
    assert sizes == [64, 6]

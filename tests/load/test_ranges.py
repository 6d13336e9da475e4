"""Records sorted by ranges of their key come in the order of one sort of all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sluicegate.load import ranges
from sluicegate.load.prepared import Prepared
from sluicegate.load.staged import Staged
from sluicegate.records.casts import Cast
from sluicegate.records.engine import open_duckdb
from sluicegate.records.types import parse_type
from sluicegate.targets.postgres.dialect import PostgresDialect

NUMBERS = {"id": ("bigint", "i * 7919 % 100003")}
KEYS: dict[str, dict[str, tuple[str, str]]] = {
    "numbers": NUMBERS,
    "texts": {"id": ("text", "chr((33 + hash(i) % 5000)::INTEGER) || i")},
    "the first column is always the same": {"day": ("date", "DATE '2024-01-01'")} | NUMBERS,
    "a column of few values": {"n": ("integer", "hash(i) % 3")} | NUMBERS,
    "without a value": {"n": ("integer", "CASE WHEN i % 4 > 0 THEN hash(i) % 5 END")} | NUMBERS,
    "none has a value": {"n": ("integer", "NULL")},
    "infinite": {"at": ("timestamptz", "CASE WHEN i % 9 = 0 THEN 'infinity' WHEN i % 9 = 1 THEN '-infinity' "
                        "ELSE TIMESTAMPTZ '2024-01-01' + INTERVAL (hash(i) % 999) SECOND END")} | NUMBERS,
    "not a number": {"x": ("double", "CASE WHEN i % 5 = 0 THEN 'nan' ELSE hash(i) % 1000 / 7 END")} | NUMBERS,
    "no key": {},
}  # fmt: skip


@pytest.mark.parametrize("named", list(KEYS))
def test_ranges_follow_one_another_as_one_sort_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    key = KEYS[named]
    columns = key | {"row": ("bigint", "i")}
    monkeypatch.setattr(ranges, "_FEW", 0)
    with open_duckdb(tmp_path, "200MB") as duck:
        casts = {name: Cast(parse_type(type_)) for name, (type_, _) in columns.items()}
        staged = Staged(duck, casts, PostgresDialect(), key=tuple(key))
        staged.is_distinct = "id" in key
        values = ", ".join(made for _, made in columns.values())
        duck.execute(f"INSERT INTO staged SELECT 0, NULL, {values}, NULL, NULL, NULL FROM range(5000) t(i)")
        staged.note([(0, 0, 5_000)])
        monkeypatch.setattr(ranges, "_AT_ONCE", 100_000)
        many, by_ranges = read(staged)
        monkeypatch.setattr(ranges, "_AT_ONCE", 1 << 40)
        one, whole = read(staged)
    assert (one, len(whole)) == (1, 5_000)
    assert many > 3 or named == "none has a value"
    assert by_ranges == whole


def read(staged: Staged) -> tuple[int, list[Any]]:
    with staged.duck.cursor() as cursor:
        found = len(ranges.ranges_of(cursor, staged))
    with Prepared(staged, staged.rows).read([*staged.columns.values()], PostgresDialect.text_form) as batches:
        return found, [row for batch in batches for row in zip(*(column.to_pylist() for column in batch), strict=True)]

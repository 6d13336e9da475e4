"""A replay gives exactly the values that the first reading gave, whatever the file's format, its types and texts."""

from __future__ import annotations

import csv
import json
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluicegate.checks.rule import Rule
from sluicegate.ledger.entries import DeadLetter, dead_letter_id
from sluicegate.ledger.letters import Letter
from sluicegate.load.replay.mend import AsItIs, Edited, exported, read_edited
from sluicegate.load.replay.prepare import prepare
from sluicegate.load.replay.readers import read_letters
from sluicegate.load.replay.values import parsed, written
from sluicegate.load.stage import Stage
from sluicegate.pipeline.keys.model import Format
from sluicegate.records.casts import Cast
from sluicegate.records.engine import open_duckdb
from sluicegate.records.types import parse_type
from sluicegate.targets.postgres.dialect import PostgresDialect
from tests.load.staged import as_csv, staged
from tests.load.test_formats_agree import FLOATS, KINDS, NUMBERS, OPTIONS, OTHERS, TIMES

ALL_DEAD = Rule("expect_column_values_to_be_in_set", {"column": "id", "value_set": [-1]})
FEW = st.one_of(
    st.text(max_size=6).filter(lambda text: "\0" not in text), st.sampled_from(['"', "a,b", "x\ny", " a ", "\\x41"])
)
MORE: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    **KINDS,
    "real": (pa.float32(), FLOATS.filter(lambda value: abs(value) < 1e38 or value != value)),
    "texts": (pa.string(), FEW),
    "list": (pa.list_(pa.int64()), st.lists(st.integers(0, 9), max_size=3)),
}


def letter_of(letter: DeadLetter, position: int) -> Letter:
    return Letter(
        dead_letter_id("public.t", letter), "public.t", letter.source, letter.source_version, letter.line,
        letter.record, letter.failures, position, key=letter.key, complete=letter.complete, header=letter.header,
        absent=letter.absent,
    )  # fmt: skip


def replayed(letters: list[Letter], columns: dict[str, Any], mending: Any = None) -> tuple[list[str], list[Any]]:
    """The records that the letters give, and what is still wrong with which line of the file."""
    casts = {}
    for name, said in columns.items():
        words = {"type": said} if isinstance(said, str) else dict(said)
        casts[name] = Cast(parse_type(words.pop("type")), **words)
    items, left = prepare(letters, Format(), mending or AsItIs(), lambda some: {})
    assert not left
    with tempfile.TemporaryDirectory() as name, open_duckdb(Path(name), "200MB") as duck:
        stage = Stage(duck, casts, (), PostgresDialect())
        stage.fill([read_letters(duck, "dead-letters:x", "x", items, Format(), Path(name))])
        types = [cast.type for cast in casts.values()]
        with stage.prepared().read(types, PostgresDialect.text_form) as batches:
            rows = b"".join(as_csv(batches)).decode().splitlines()
        bad = [(one.line, [failure["rule"] for failure in one.failures], one.id) for one in stage.dead_letters()]
    return rows, bad


def write(folder: Path, suffix: str, kind: str, values: list[Any]) -> Path:
    path = folder / f"x.{suffix}"
    numbers = list(range(len(values)))
    if suffix == "parquet":
        pq.write_table(pa.table({"id": numbers, "v": pa.array(values, MORE[kind][0])}), path)
    elif suffix == "csv":
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(
                [("id", "v"), *((n, as_text(value)) for n, value in zip(numbers, values, strict=True))]
            )
    else:
        plain = (value if isinstance(value, (bool, int, float, list, type(None))) else str(value) for value in values)
        lines = (
            f'{{"id": {number}, "v": {json.dumps(value)}}}\n' for number, value in zip(numbers, plain, strict=True)
        )
        path.write_text("".join(lines))
    return path


def as_text(value: Any) -> str:
    return "" if value is None else json.dumps(value) if isinstance(value, (bool, float, list)) else str(value)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_the_values_of_a_replay_are_those_of_the_first_reading(data: st.DataObject) -> None:
    suffix = data.draw(st.sampled_from(["csv", "jsonl", "parquet"]))
    kind = data.draw(st.sampled_from(sorted(MORE)))
    type_ = data.draw(st.sampled_from([*NUMBERS, *TIMES, *OTHERS, "text", "text"]))
    values = data.draw(st.lists(MORE[kind][1] | st.none(), min_size=1, max_size=6))
    columns = {"id": "bigint", "v": {"type": type_, **data.draw(OPTIONS)}}
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), suffix, kind, values)
        expected = staged(path, columns)
        dead = staged(path, columns, (ALL_DEAD,)).letters
    assert len(dead) == len(values)
    letters = [letter_of(one, number) for number, one in enumerate(dead)]
    whole = [letter for letter in letters if letter.complete]
    rows, bad = replayed(whole, columns) if whole else ([], [])
    lines = {letter.line - (suffix == "csv") for letter in whole}
    if len(whole) == len(letters):
        assert rows == expected.rows
    else:  # what a letter does not hold is read from the source: NaN in JSON lines
        assert suffix == "jsonl"
        assert all(row in expected.rows for row in rows)
    assert bad == [
        (one.line, [failure["rule"] for failure in one.failures], dead_letter_id("public.t", dead[number]))
        for number, one in ((one.line - 1 - (suffix == "csv"), one) for one in expected.letters)
        if one.line - (suffix == "csv") in lines
    ]


@settings(max_examples=20, deadline=None)
@given(st.lists(FEW, min_size=1, max_size=4))
def test_an_export_that_was_not_edited_is_the_record_itself(values: list[str]) -> None:
    columns = {"id": "bigint", "v": "text"}
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), "csv", "texts", values)
        dead = staged(path, columns, (ALL_DEAD,)).letters
        letters = [letter_of(one, number) for number, one in enumerate(dead)]
        file = Path(folder) / "export.jsonl"
        file.write_text("".join(exported(letter) + "\n" for letter in letters))
        [records] = read_edited(file, 100)
    assert replayed(letters, columns, Edited(records)) == replayed(letters, columns)


@pytest.mark.parametrize(
    "text",
    ['{"a": 1.10, "b": 123456789012345678901234.5, "c": [1e5, {"d": -0.0}], "e": "x\\u00e9\\n", "f": null}', "[]"],
)
def test_json_is_written_again_with_all_its_digits(text: str) -> None:
    again = written(parsed(text))
    assert again == text.replace("\\u00e9", "é")


@pytest.mark.parametrize("type_", ["bigint", "numeric", "numeric(20,2)", "text"])
def test_a_letter_keeps_the_digits_of_a_long_decimal(tmp_path: Path, type_: str) -> None:
    columns = {"id": "bigint", "v": {"type": type_}}
    path = write(tmp_path, "parquet", "decimal", [Decimal("9007199254740993.00")])
    dead = staged(path, columns, (ALL_DEAD,)).letters
    rows, _ = replayed([letter_of(one, number) for number, one in enumerate(dead)], columns)
    assert rows == staged(path, columns).rows
    assert "9007199254740993.00" in dead[0].record

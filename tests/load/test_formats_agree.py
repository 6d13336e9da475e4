"""The same records as Parquet, CSV and JSON lines give the same table and the same dead letters."""

from __future__ import annotations

import csv
import datetime as dt
import json
import tempfile
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluicegate.checks.rule import Rule
from tests.load.staged import Staged, staged

NAN, INF = float("nan"), float("inf")
FLOATS = st.sampled_from(
    [
        0.0, 1.0, -1.0, 1.5, 2.5, -2.5, 0.1, 1.005, 0.29, 127.0, 128.0, 2147483648.0, 2**53 + 2.0, 16777217.0, 99.99,
        99.995, 1e10, 1e16, 1e300, 5e-324, 0.30000000000000004, NAN, INF, -INF,
    ]
)  # fmt: skip
WHOLE = st.sampled_from([0, 1, -1, 9, 100, 32768, 2**24 + 1, 2**31, 2**53, 2**53 + 1, 2**63 - 1, -(2**63)])
DECIMALS = st.sampled_from(["0.00", "1.00", "1.50", "-2.50", "0.05", "9007199254740993.00", "99.99", "12345678.90"])
MOMENTS = st.sampled_from(
    ["2024-03-31 00:00:00", "2024-03-31 02:30:00", "2024-10-27 02:30:00", "1999-12-31 23:59:59.999999", "0050-01-01"]
).map(dt.datetime.fromisoformat)
DAYS = st.sampled_from([dt.date(2024, 3, 31), dt.date(1970, 1, 1), dt.date(1, 1, 1)])
CLOCKS = st.sampled_from([dt.time(0), dt.time(23, 59, 59, 999999), dt.time(12, 30)])
TEXTS = st.sampled_from(
    ["a", "1", "1.50", "true", "nan", "NaN", "2024-03-31", "2024-03-31 02:30:00+05", "12:00", "[1,]"]
)
NUMBERS = [
    "smallint", "integer", "bigint", "real", "double", "numeric(4,2)", "numeric(12,0)", "numeric(20,6)",
    "numeric(38,10)", "numeric(40,2)", "numeric",
]  # fmt: skip
TIMES = ["date", "time", "timestamp", "timestamptz", "timestamp(3)"]
OTHERS = ["boolean", "uuid", "jsonb", "varchar(4)"]
KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "double": (pa.float64(), FLOATS),
    "bigint": (pa.int64(), WHOLE),
    "decimal": (pa.decimal128(20, 2), DECIMALS.map(Decimal)),
    "timestamp": (pa.timestamp("us"), MOMENTS),
    "timestamptz": (pa.timestamp("us", tz="UTC"), MOMENTS.map(lambda moment: moment.replace(tzinfo=dt.UTC))),
    "date": (pa.date32(), DAYS),
    "time": (pa.time64("us"), CLOCKS),
    "boolean": (pa.bool_(), st.booleans()),
    "text": (pa.string(), TEXTS),
}
OPTIONS = st.fixed_dictionaries(
    {}, optional={"round": st.just(True), "zone": st.just("Europe/Berlin"), "null": st.sampled_from([("NaN",), ("1",)])}
)


def write(folder: Path, kind: str, values: list[Any]) -> dict[str, Path]:
    """A file of each format with the columns `id` and `v`."""
    paths = {suffix: folder / f"x.{suffix}" for suffix in ("parquet", "csv", "jsonl")}
    numbers = list(range(len(values)))
    pq.write_table(pa.table({"id": numbers, "v": pa.array(values, KINDS[kind][0])}), paths["parquet"])
    with paths["csv"].open("w", newline="") as file:
        csv.writer(file).writerows([("id", "v"), *zip(numbers, map(text, values), strict=True)])
    with paths["jsonl"].open("w") as file:
        for number, value in enumerate(values):
            said = value if isinstance(value, (bool, int, float, type(None))) else text(value)
            written = str(value) if isinstance(value, Decimal) else json.dumps(said)
            file.write(f'{{"id": {number}, "v": {written}}}\n')
    return paths


def text(value: Any) -> str:
    if isinstance(value, (bool, float)):
        return json.dumps(value)
    return "" if value is None else str(value)


def outcome(path: Path, columns: dict[str, Any], rules: tuple[Rule, ...]) -> tuple[list[str], list[Any]]:
    found: Staged = staged(path, columns, rules)
    rows = [canonical(row) if columns["v"]["type"].startswith(("numeric", "jsonb")) else row for row in found.rows]
    return rows, found.rules(header=path.suffix == ".csv")


def canonical(row: str) -> str:
    """A number that goes to Postgres as it is written is the same as 1.50 and as 1.5."""
    number, _, value = row.partition(",")
    try:
        plain = Decimal(value.strip('"')).normalize()
        return f"{number},{plain:f}"
    except InvalidOperation:
        return row


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_the_same_records_come_out_the_same_from_every_format(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(KINDS)))
    type_ = data.draw(st.sampled_from(NUMBERS + TIMES + OTHERS))
    if type_.startswith("varchar"):
        kind = data.draw(st.sampled_from(["bigint", "text", "date"]))  # a number's text is each format's own
    values = data.draw(st.lists(KINDS[kind][1] | st.none(), min_size=1, max_size=6))
    column = {"type": type_, **data.draw(OPTIONS)}
    rules = (Rule("expect_column_values_to_not_be_null", {"column": "v"}),) if data.draw(st.booleans()) else ()
    with tempfile.TemporaryDirectory() as folder:
        paths = write(Path(folder), kind, values)
        parquet, *others = (outcome(path, {"id": "bigint", "v": column}, rules) for path in paths.values())
    assert others == [parquet, parquet]


@pytest.mark.parametrize("type_", ["smallint", "integer", "bigint", "numeric(10,2)"])
def test_a_nan_in_a_parquet_file_is_a_dead_letter_and_not_null(type_: str, tmp_path: Path) -> None:
    # By the file's statistics there is no NULL, out of which DuckDB concludes that no cast has failed.
    paths = write(tmp_path, "double", [1.0, NAN])
    found = staged(paths["parquet"], {"id": "integer", "v": type_})
    assert (len(found.rows), found.rules()) == (1, [(2, ["type:v"])])
    assert json.loads(found.letters[0].record) == {"id": 1, "v": "nan"}

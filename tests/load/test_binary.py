"""Values are the same in the table whether COPY takes them in its binary format or as CSV."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, time
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sluicegate.targets.postgres.dialect import PostgresDialect

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20) | st.sampled_from(
    ["", " ", '"', "'", "\\", "\\N", "a\tb", 'a,"b"\n', "\r\n", "é日\U0001f600", "x" * 20_000, "NULL"]
)
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text("ab\"\\é ", max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab\"é", max_size=3), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
ENDS = [
    datetime.fromisoformat(text) for text in ("0100-01-01", "1999-12-31T23:59:59.999999", "2000-01-01", "9999-12-31")
]
MOMENTS = st.datetimes(ENDS[0], ENDS[-1]) | st.sampled_from(ENDS)
INFINITE = st.sampled_from(["infinity", "-infinity"])


def whole(bits: int) -> st.SearchStrategy[str]:
    ends = [-(2**bits), 2**bits - 1, 0, -1]
    return (st.integers(ends[0], ends[1]) | st.sampled_from(ends)).map(str)


def decimals(precision: int, scale: int) -> st.SearchStrategy[str]:
    most = 10**precision - 1
    some = st.sampled_from([0, 1, -1, most, -most, 10**scale % (most + 1), 10_000 * 10**scale % (most + 1)])

    def written(number: int) -> str:
        digits = str(abs(number)).rjust(scale + 1, "0")
        return f"{'-' * (number < 0)}{digits[: len(digits) - scale]}.{digits[len(digits) - scale :]}"

    return (st.integers(-most, most) | some).map(written)


def floats(width: int) -> st.SearchStrategy[str]:
    def written(value: float) -> str:
        return f"{value:.17e}" if math.isfinite(value) else str(value)

    return (st.floats(width=width) | st.sampled_from([-0.0, 1e-37, 3e38])).map(written)  # type: ignore[arg-type]


def moments(digits: int, zone: bool) -> st.SearchStrategy[str]:
    def written(moment: datetime) -> str:
        cut = moment.replace(microsecond=moment.microsecond // 10 ** (6 - digits) * 10 ** (6 - digits))
        return (cut.replace(tzinfo=UTC) if zone else cut).isoformat(sep=" ")

    return MOMENTS.map(written) | INFINITE


TYPES: dict[str, st.SearchStrategy[Any]] = {
    "smallint": whole(15), "integer": whole(31), "bigint": whole(63),
    **{f"numeric({p},{s})": decimals(p, s) for p, s in [(1, 0), (4, 4), (9, 3), (12, 2), (18, 9), (38, 0), (38, 38)]},
    "real": floats(32), "double precision": floats(64), "boolean": st.sampled_from(["true", "false"]),
    "date": st.dates(date(100, 1, 1)).map(str) | INFINITE,
    "time": st.times().map(str) | st.sampled_from(["24:00:00", "00:00:00"]) | st.just(str(time.max)),
    **{f"timestamp({digits})": moments(digits, False) for digits in (0, 3, 6)},
    **{f"timestamptz({digits})": moments(digits, True) for digits in (0, 3, 6)},
    "uuid": st.uuids().map(str), "text": TEXTS, "varchar(4)": TEXTS.map(lambda text: text[:4]),
    "char(4)": TEXTS.map(lambda text: text[:4]), "json": JSONS.map(json.dumps), "jsonb": JSONS.map(json.dumps),
}  # fmt: skip
RECORDS = st.lists(st.fixed_dictionaries({name: st.none() | values for name, values in TYPES.items()}), min_size=1,
                   max_size=6)  # fmt: skip
NAMES = ", ".join(f'"{name}"' for name in TYPES)


@settings(
    max_examples=8, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(records=RECORDS)
def test_a_value_is_the_same_by_either_format_of_copy(warehouse: Any, monkeypatch: Any, records: Any) -> None:
    columns = ", ".join(f'"{name}" {name}' for name in TYPES)
    for table in ("b", "c"):
        warehouse.rows(f"DROP TABLE IF EXISTS {table}")
        warehouse.rows(f"CREATE TABLE {table} (id int PRIMARY KEY, {columns})")
    lines = [json.dumps({"id": str(number), **record}) for number, record in enumerate(records)]
    first = warehouse.file("a.jsonl", "\n".join(lines[::2]))
    both = warehouse.file("b.jsonl", "\n".join(lines))
    rows = {}
    for table in ("b", "c"):
        with monkeypatch.context() as patch:
            if table == "c":
                patch.setattr(PostgresDialect, "has_binary", staticmethod(lambda type_: False))
            counts = warehouse.load(first, table, key="id", force=True).counts
            assert (counts.inserted, counts.dead) == (len(lines[::2]), 0), warehouse.letters()
            warehouse.rows(f"UPDATE {table} SET {', '.join(f'{name} = NULL' for name in NAMES.split(', '))}")
            counts = warehouse.load(both, table, key="id", force=True).counts
            assert (counts.dead, counts.read) == (0, len(lines)), warehouse.letters()
            counts = warehouse.load(both, table, key="id", force=True).counts
            assert counts.unchanged == len(lines), "what is read back is what was written"
        texts = ", ".join(f"{name}::text" for name in NAMES.split(", "))
        rows[table] = warehouse.rows(f"SELECT id, {texts} FROM {table} ORDER BY id")
    assert rows["b"] == rows["c"]

"""A folder of Parquet files and a table of Postgres are the same after the same loads: rows, counts, dead letters."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluicegate.graph.window import Window
from sluicegate.ledger.entries import Origin
from sluicegate.load.load import load
from sluicegate.load.long import LONG
from sluicegate.load.request import LoadRequest
from sluicegate.targets.postgres.target import PostgresTarget
from tests.targets.same_loads import KINDS, LETTERS, LOADS

COLUMNS = {"id": "integer", "v": "text", "at": "integer", "day": "date", "op": "text", "n": "numeric"}
RECORD = st.tuples(
    st.sampled_from(["1", "2", "3", "4", "x", ""]), st.sampled_from(["a", "b", 'q"', "two\nlines", ""]),
    st.sampled_from(["", "0", "1", "2", "y"]), st.sampled_from(["2026-01-01", "2026-01-02", "2026-01-03"]),
    st.sampled_from(["I", "I", "D"]), st.sampled_from(["1.0", "1.00", "2", "1e400", ""]),
)  # fmt: skip
FILES = st.lists(st.tuples(st.lists(RECORD, max_size=6), st.integers(1, 2)), min_size=1, max_size=5)


NUMBERS = count()


def as_written(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A `numeric` without a precision is a text in a file."""
    return (*row[:-1], None if row[-1] is None else Decimal(row[-1]))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=FILES, kind=st.sampled_from(KINDS), dry=st.booleans(), long=st.booleans())
def test_a_folder_becomes_what_a_table_of_postgres_becomes(
    house: Any, files: Any, kind: Any, dry: bool, long: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sluicegate.load.long.LONG", 0 if long else LONG)
        _loads_alike(house, files, kind, dry)


def _loads_alike(house: Any, files: Any, kind: Any, dry: bool) -> None:
    name = f"t{next(NUMBERS)}"
    target, folder = PostgresTarget(house.conninfo, name), house.target(name)
    for number, (records, day) in enumerate(files):
        start = datetime(2026, 1, day, tzinfo=UTC)
        path = house.csv(f"{number % 2}.csv", list(COLUMNS), records)
        request = LoadRequest(
            sources=(str(path),), table=name, columns=COLUMNS, dead_letters={"max": "100%"},
            origin=Origin("p", "s", f"r{number}", 1, Window(start, start + timedelta(days=1))), **kind,
        )  # fmt: skip
        if dry:
            dry_request = request.model_copy(update={"dry_run": True})
            there, here = (load(dry_request, house.storage, each) for each in (target, folder))
            assert (here.status, here.counts, here.removed) == (there.status, there.counts, there.removed)
            if here.changes is not None and there.changes is not None:
                assert here.changes.columns == there.changes.columns
        there, here = (load(request, house.storage, each) for each in (target, folder))
        assert (here.status, here.counts, here.removed) == (there.status, there.counts, there.removed)
        assert here.counts.balanced
    same = house.rows(f"SELECT id, v, at, day, op, n FROM {name}")
    found = house.table(name, 'id, v, "at", day, op, n')
    assert Counter(map(as_written, found)) == Counter(same)
    assert house.rows(LOADS, folder.name) == house.rows(LOADS, f"public.{name}")
    assert house.rows(LETTERS, folder.name) == house.rows(LETTERS, f"public.{name}")
    assert not [file for file in house.files(name) if file.startswith("_")]
    assert house.one("SELECT count(*) FROM sluicegate.intents") == 0

"""A table of Redshift (its stand-in) and one of Postgres are the same after the same loads: rows, counts, letters."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluicegate.graph.window import Window
from sluicegate.ledger.entries import Origin
from sluicegate.load.load import load
from sluicegate.load.request import LoadRequest
from sluicegate.targets.postgres.target import PostgresTarget
from tests.targets.same_loads import KINDS, LETTERS, LOADS

COLUMNS = {"id": "integer", "v": "text", "at": "integer", "day": "date", "op": "text", "n": "numeric(12,4)"}
RECORD = st.tuples(
    st.sampled_from(["1", "2", "3", "4", "x", ""]), st.sampled_from(["a", "b ", "q\\'", "two\nlines", ""]),
    st.sampled_from(["", "0", "1", "2", "y"]), st.sampled_from(["2026-01-01", "2026-01-02", "2026-01-03"]),
    st.sampled_from(["I", "I", "D"]), st.sampled_from(["1.0", "1.00", "2", "1e400", ""]),
)  # fmt: skip
FILES = st.lists(st.tuples(st.lists(RECORD, max_size=6), st.integers(1, 2)), min_size=1, max_size=3)
NUMBERS = count()


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=FILES, kind=st.sampled_from(KINDS), dry=st.booleans())
def test_a_table_of_redshift_becomes_what_one_of_postgres_becomes(house: Any, files: Any, kind: Any, dry: bool) -> None:
    number = next(NUMBERS)
    target, shifted = PostgresTarget(house.conninfo, f"p{number}"), house.target(f"r{number}")
    for turn, (records, day) in enumerate(files):
        start = datetime(2026, 1, day, tzinfo=UTC)
        path = house.csv(f"{turn % 2}.csv", list(COLUMNS), records)
        request = LoadRequest(
            sources=(str(path),), table="t", columns=COLUMNS, dead_letters={"max": "100%"},
            origin=Origin("p", "s", f"r{turn}", 1, Window(start, start + timedelta(days=1))), **kind,
        )  # fmt: skip
        for asked in [request.model_copy(update={"dry_run": True})] * (dry and turn != 1) + [request]:
            there, here = (load(asked, house.storage, each) for each in (target, shifted))
            assert (here.status, here.counts, here.removed) == (there.status, there.counts, there.removed)
            if here.changes is not None and there.changes is not None:
                assert here.changes.columns == there.changes.columns
                assert len(here.changes.sample) == len(there.changes.sample)
    rows = "SELECT id, v, at, day, op, n FROM {}"
    assert Counter(house.rows(rows.format(f"r{number}"))) == Counter(house.rows(rows.format(f"p{number}")))
    assert house.rows(LOADS, shifted.name) == house.rows(LOADS, f"public.p{number}")
    assert house.rows(LETTERS, shifted.name) == house.rows(LETTERS, f"public.p{number}")
    assert house.one("SELECT count(*) FROM sluicegate.intents") == 0
    assert house.s3.uris("s3://stage/") == []

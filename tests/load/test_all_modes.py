"""Every mode over random batches, each once or several times, against a model of it in plain Python."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluicegate.graph.window import Window
from sluicegate.ledger.entries import Origin
from sluicegate.load import lend
from tests.load.by_pieces import merge_by_pieces

HEADER = ["id", "day", "at", "v", "op"]
COLUMNS = {"id": "integer", "day": "date", "at": "integer", "v": "text"}
RECORD = st.tuples(
    st.integers(1, 5), st.integers(1, 3), st.integers(0, 3) | st.none(), st.sampled_from("abc"),
    st.sampled_from(["I", "I", "I", "D"]),
)  # fmt: skip
BATCHES = st.lists(st.tuples(st.lists(RECORD, max_size=7), st.integers(1, 3), st.booleans()), min_size=1, max_size=4)
Row = tuple[int, int, int | None, str]


class Model:
    """The rows that a table has after loads, by the rules of docs/author.md."""

    def __init__(self, mode: str, versions: bool, deletes: bool) -> None:
        self.mode, self.versions, self.deletes = mode, versions, deletes
        self.rows: list[Row] = []
        self.buried: dict[int, int | None] = {}
        self.done: set[tuple[Any, ...]] = set()

    def load(self, records: list[tuple[Any, ...]], day: int, again: bool) -> None:
        if self.mode == "append":
            if (version := tuple(records)) not in self.done:
                self.done.add(version)
                self.rows += [record[:4] for record in records]
        elif self.mode == "replace_window":
            own = [record[:4] for record in records if record[1] == day]
            self.rows = [row for row in self.rows if row[1] != day] + own
        else:
            self._merge(records)

    def _merge(self, records: list[tuple[Any, ...]]) -> None:
        newest: dict[int, tuple[Any, ...]] = {}
        for record in records:
            old = newest.get(record[0])
            if old is None or not self.versions or rank(record[2]) >= rank(old[2]):
                newest[record[0]] = record
        table = {row[0]: row for row in self.rows}
        for key, record in newest.items():
            self._merge_one(table, key, record)
        self.rows = list(table.values())

    def _merge_one(self, table: dict[int, Row], key: int, record: tuple[Any, ...]) -> None:
        gone = self.deletes and record[4] == "D"
        if self.mode == "insert_only":
            table.setdefault(key, record[:4])
            return
        if self.versions and key in table and rank(record[2]) < rank(table[key][2]):
            return
        if self.versions and key in self.buried and rank(record[2]) < rank(self.buried[key]):
            return
        if gone:
            table.pop(key, None)
            if self.versions:
                self.buried[key] = record[2]
        else:
            table[key] = record[:4]
            self.buried.pop(key, None)


def rank(version: int | None) -> tuple[bool, int]:
    return (version is not None, version or 0)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    mode=st.sampled_from(["merge", "merge", "insert_only", "replace_window", "append"]), batches=BATCHES,
    versions=st.booleans(), deletes=st.booleans(), batch_rows=st.sampled_from([None, 2]), small=st.booleans(),
    pieces=st.booleans(), long=st.booleans(),
)  # fmt: skip
def test_every_mode_again_and_again_leaves_what_its_model_says(
    warehouse: Any, mode: str, batches: Any, versions: bool, deletes: bool,
    batch_rows: int | None, small: bool, pieces: bool, long: bool,
) -> None:  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lend, "SMALL", 100_000 if small else -1)
        if pieces:
            merge_by_pieces(patch)
        if long:
            patch.setattr("sluicegate.load.long.LONG", 0)
            patch.setattr("sluicegate.load.long._BYTES", 100)
        warehouse.rows("DROP TABLE IF EXISTS t")
        warehouse.rows("DROP SCHEMA IF EXISTS sluicegate CASCADE")
        versions, deletes = versions and mode == "merge", deletes and mode == "merge"
        model = Model(mode, versions, deletes)
        words: dict[str, Any] = {"mode": mode, "batch_rows": batch_rows}
        words |= {"key": "id"} if mode in {"merge", "insert_only"} else {}
        words |= {"newest_by": "at"} if versions else {}
        words |= {"delete_when": {"op": "D"}} if deletes else {"on_schema_change": "ignore"}
        words |= {"window_by": "day"} if mode == "replace_window" else {}
        warehouse.rows("CREATE TABLE t (id int, day date, at int, v text)")
        if "key" in words:
            warehouse.rows("ALTER TABLE t ADD PRIMARY KEY (id)")
        for number, (records, day, again) in enumerate(batches):
            start = datetime(2026, 1, day, tzinfo=UTC)
            origin = Origin("p", "s", f"r{number}", 1, Window(start, start + timedelta(days=1)))
            lines = [[one[0], f"2026-01-0{one[1]}", "" if one[2] is None else one[2], *one[3:]] for one in records]
            for _ in range(2 if again else 1):
                report = warehouse.load(warehouse.csv("a.csv", HEADER, lines), columns=COLUMNS, origin=origin, **words)
                assert report.counts.balanced
            model.load(records, day, again)
            found = warehouse.rows("SELECT id, extract(day FROM day)::int, at, v FROM t")
            assert sorted(map(str, found)) == sorted(map(str, model.rows))

"""What a cluster has checked is copied from S3, and does not come to the worker unless an older letter asks for it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from sluicegate.graph.window import Window
from sluicegate.ledger.entries import Origin
from sluicegate.load.checked.report import Report
from sluicegate.load.checked.stored import why_not_stored
from sluicegate.load.load import load
from sluicegate.load.request import LoadRequest
from sluicegate.records.on_cluster import checked_folder, cluster_plan
from sluicegate.targets.target import StoredForm, Table
from tests.load.test_on_cluster import CONTRACT, DAY, LATER, NOON, orders
from tests.spark import CheckJob, spark_folder

WORDS: dict[str, Any] = {
    **CONTRACT,
    "format": "parquet",
    "columns": {**CONTRACT["columns"], "note": "text", "code": {"type": "varchar(6)", "matches": "^[a-zä]+$"}},
    "origin": Origin("p", "load_orders", "run1", 1),
}
FIRST = [
    orders((1, 1.25, DAY, "a", LATER, "newest"), (2, 5e3, DAY, "b", NOON, "too much"), (None, 2.0, DAY, "b", NOON, "")),
    orders((1, 9.0, DAY, "b", NOON, "older"), (2, 7.5, None, "ä", LATER, None), (3, 1.0, DAY, "X", NOON, "code")),
]  # fmt: skip
SECOND = [
    orders((3, 2.0, DAY, "c", LATER, "mended"), (1, 0.5, DAY, "a", NOON, "stale"), (4, 4.0, DAY, "d", NOON, "new"))
]


class Fetching:
    """A storage that keeps which files are fetched."""

    def __init__(self, storage: Any) -> None:
        self._storage, self.fetched = storage, []  # type: ignore[var-annotated]

    def fetch(self, part: Any, into: Path) -> Path:
        self.fetched.append(part.uri.partition("_checked/load_orders/")[2].partition("/")[0])
        path: Path = self._storage.fetch(part, into)
        return path

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)


def test_what_passed_is_copied_from_where_it_is(house: Any, job: CheckJob, tmp_path: Path) -> None:
    """Table, letters and counts are those of a load that checks by itself."""
    house.s3.make_bucket("lake")
    found = []
    for number, tables in enumerate((FIRST, SECOND)):
        folder = spark_folder(tmp_path / f"s3/lake/orders{number}", tables)
        request = house.request(f"s3://lake/orders{number}/", **WORDS)
        job.run(cluster_plan(request, tmp_path), f"{folder}/", checked_folder(f"{folder}/", "load_orders"))
    fetched = []
    for check_on in ("worker", "cluster"):
        house.rows("DROP TABLE IF EXISTS t; DROP SCHEMA IF EXISTS sluicegate CASCADE")
        reports = []
        for number in range(2):
            storage = Fetching(house.storage)
            request = house.request(f"s3://lake/orders{number}/", check_on=check_on, **WORDS)
            reports.append(load(request, storage, house.target()).as_dict() | {"seconds": 0})  # type: ignore[arg-type]
            fetched.append(storage.fetched)
        letters = house.rows(
            "SELECT id, source, line, record, failures, key, status FROM sluicegate.dead_letters ORDER BY source, line"
        )
        found.append((reports, house.rows("SELECT * FROM t ORDER BY id"), letters))
    assert found[1] == found[0]
    assert [(one["inserted"], one["dead"], one["deduplicated"], one["stale"]) for one in found[0][0]] == [
        (2, 3, 1, 0), (2, 0, 0, 1),
    ]  # fmt: skip
    assert [row[-1] for row in found[0][2]] == ["resolved", "open", "resolved"]
    assert sorted(set(fetched[2])) == ["rejected", "report.json", "same_key"]
    assert sorted(set(fetched[3])) == ["passed", "rejected", "report.json"]
    passed = next((tmp_path / "s3/lake/orders1/_checked/load_orders/passed").glob("part-*"))
    passed.rename(passed.with_name("part-of-another-run.parquet"))
    assert house.fails("s3://lake/orders1/", check_on="cluster", force=True, **WORDS).code == "CHECKS_OUTDATED"


def test_texts_that_a_new_table_would_not_take_are_not_copied() -> None:
    """A `varchar` has bytes, and what is longer than it would fail the whole load instead of being set aside."""
    words: dict[str, Any] = {"columns": {"v": "text", "w": "varchar(4)"}}
    request = LoadRequest(sources=("s3://b/f/",), table="t", **words)

    def why(**texts: tuple[int, bool]) -> str | None:
        columns, now = {"v": "string", "w": "string"}, datetime.now(UTC)
        report = Report("", {}, {}, 1, 0, {}, {}, {}, columns, texts, frozenset(), None, frozenset(), now)
        return why_not_stored(request, report, Table("public.t", "public", "t"), StoredForm.PARQUET)

    assert why(v=(65_535, False), w=(4, False)) is None
    for bad in ({"v": (65_536, False)}, {"v": (1, True)}, {"w": (5, False)}):
        assert "has texts that are longer than the table takes, or have a NUL" in str(why(**bad))


def test_keys_that_differ_by_blanks_at_their_end_are_one(house: Any, job: CheckJob, tmp_path: Path) -> None:
    house.s3.make_bucket("lake")
    records = pa.table({"id": ["a", "a ", "b"], "n": pa.array([1, 2, 3], pa.int64())})
    folder = spark_folder(tmp_path / "s3/lake/blanks", [records])
    words = {"key": "id", "format": "parquet", "columns": {"id": "text", "n": "bigint"}, "origin": WORDS["origin"]}
    request = house.request("s3://lake/blanks/", **words)
    job.run(cluster_plan(request, tmp_path), f"{folder}/", checked_folder(f"{folder}/", "load_orders"))
    counts = house.load("s3://lake/blanks/", check_on="cluster", **words).counts
    assert (counts.inserted, counts.deduplicated) == (2, 1)
    assert house.rows("SELECT id, n FROM t ORDER BY n") == [("a ", 2), ("b", 3)]


def test_a_window_whose_records_are_all_of_it_is_copied(house: Any, job: CheckJob, tmp_path: Path) -> None:
    house.s3.make_bucket("lake")
    records = pa.table({"day": [DAY, DAY], "n": pa.array([1, 2], pa.int64())})
    folder = spark_folder(tmp_path / "s3/lake/days", [records])
    window = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))
    words = {
        "mode": "replace_window", "window_by": "day", "format": "parquet", "columns": {"day": "date", "n": "bigint"},
        "origin": Origin("p", "load_orders", "run1", 1, window),
    }  # fmt: skip
    request = house.request("s3://lake/days/", check_on="cluster", **words)
    job.run(cluster_plan(request, tmp_path), f"{folder}/", checked_folder(f"{folder}/", "load_orders"))
    house.rows("CREATE TABLE t (day date, n bigint); INSERT INTO t VALUES ('2024-01-01', 8), ('2024-01-02', 9)")
    storage: Any = Fetching(house.storage)
    report = load(request, storage, house.target())
    assert (report.counts.inserted, report.removed) == (2, 1)
    assert "passed" not in storage.fetched
    assert house.rows("SELECT n FROM t ORDER BY n") == [(1,), (2,), (9,)]

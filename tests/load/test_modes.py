"""What each mode makes of the table: windows that are replaced, scopes, deletions, drift, batches, dry runs."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sluicegate.graph.window import Window
from sluicegate.ledger.entries import Origin
from sluicegate.targets.target import Table

HEADER = ["id", "day", "carrier", "v"]


def window(day: int, days: int = 1, zone: str = "UTC") -> Origin:
    start = datetime(2026, 1, day, tzinfo=ZoneInfo(zone))
    return Origin("p", "s", f"r{day}", 1, Window(start, start + timedelta(days=days)))


def replace(warehouse: Any, name: str, rows: list[list[object]], day: int, **words: Any) -> Any:
    path = warehouse.csv(name, HEADER, rows)
    words = {"mode": "replace_window", "window_by": "day", "origin": window(day)} | words
    return warehouse.load(path, columns={"day": {"type": "date"}}, **words)


def test_a_window_is_replaced_and_the_others_stay(warehouse: Any) -> None:
    replace(warehouse, "1.csv", [[1, "2026-01-01", "AA", "a"], [2, "2026-01-01", "AA", "b"]], 1)
    replace(warehouse, "2.csv", [[3, "2026-01-02", "AA", "c"]], 2)
    report = replace(warehouse, "1b.csv", [[2, "2026-01-01", "AA", "B"]], 1)
    assert (report.counts.inserted, report.removed) == (1, 2)
    assert warehouse.rows("SELECT id, v FROM t ORDER BY 1") == [(2, "B"), (3, "c")]
    assert warehouse.rows("SELECT removed FROM sluicegate.loads ORDER BY id") == [(0,), (0,), (2,)]
    assert "2 rows of the window removed" in report.line()


def test_the_same_window_twice_is_the_same_table(warehouse: Any) -> None:
    for _ in range(2):
        replace(warehouse, "1.csv", [[1, "2026-01-01", "AA", "a"], [1, "2026-01-01", "AA", "a"]], 1, force=True)
    assert warehouse.rows("SELECT id FROM t") == [(1,), (1,)]


def test_records_of_other_windows_are_set_aside_for_they_would_stay(warehouse: Any) -> None:
    rows = [[1, "2026-01-01", "AA", "a"], [2, "2026-01-02", "AA", "b"], [3, "", "AA", "c"]]
    report = replace(warehouse, "1.csv", rows, 1)
    assert report.counts.inserted == 1
    assert warehouse.rules() == [(3, ["outside_window"]), (4, ["required:day"])]


def test_one_file_is_loaded_for_each_window_that_reads_it(warehouse: Any) -> None:
    rows = [[1, "2026-01-01", "AA", "a"], [2, "2026-01-02", "AA", "b"]]
    assert replace(warehouse, "1.csv", rows, 1).counts.inserted == 1
    assert replace(warehouse, "1.csv", rows, 2).counts.inserted == 1
    assert replace(warehouse, "1.csv", rows, 2).status == "skipped"
    assert warehouse.one("SELECT count(*) FROM t") == 2


def test_a_day_is_one_of_the_schedules_zone_and_a_timestamp_a_moment(warehouse: Any) -> None:
    berlin = window(2, zone="Europe/Berlin")
    assert replace(warehouse, "1.csv", [[1, "2026-01-02", "AA", "a"]], 2, origin=berlin).counts.inserted == 1
    moments = [[1, "2026-01-01T23:00:00Z"], [2, "2026-01-02T22:59:59Z"], [3, "2026-01-02T23:00:00Z"]]
    path = warehouse.csv("m.csv", ["id", "at"], moments)
    words = {"columns": {"at": {"type": "timestamptz"}}, "mode": "replace_window", "window_by": "at"}
    report = warehouse.load(path, "m", origin=berlin, **words)
    assert (report.counts.inserted, report.counts.dead) == (2, 1)
    local = warehouse.csv("l.csv", ["id", "at"], [[1, "2026-01-02 00:00:00"], [2, "2026-01-03 00:00:00"]])
    words["columns"] = {"at": {"type": "timestamp", "zone": "Europe/Berlin"}}
    report = warehouse.load(local, "l", origin=berlin, **words)
    assert (report.counts.inserted, report.counts.dead) == (1, 1)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"origin": Origin("p", "s", "r", 1)}, "has no window"),
        ({"origin": Origin("p", "s", "r", 1, Window(*[datetime(2026, 1, 1, tzinfo=UTC)] * 2))}, "has no window"),
        ({"window_by": "carrier"}, "not a date or a timestamp"),
        (
            {"origin": Origin("p", "s", "r", 1, Window(*[datetime(2026, 1, 1, h, tzinfo=UTC) for h in (1, 2)]))},
            "does not begin and end at midnight",
        ),
    ],
)
def test_a_window_that_says_not_which_rows_is_refused(warehouse: Any, words: dict[str, Any], says: str) -> None:
    path = warehouse.csv("1.csv", HEADER, [[1, "2026-01-01", "AA", "a"]])
    words = {"mode": "replace_window", "window_by": "day", "origin": window(1)} | words
    failed = warehouse.fails(path, columns={"day": {"type": "date"}}, **words)
    assert failed.code == "WRONG_USE"
    assert says in failed.detail


def test_a_key_beside_a_window_dedupes_and_meets_other_windows_as_a_constraint(warehouse: Any) -> None:
    replace(warehouse, "1.csv", [[1, "2026-01-01", "AA", "a"]], 1, key="id")
    rows = [[1, "2026-01-02", "AA", "x"], [2, "2026-01-02", "AA", "old"], [2, "2026-01-02", "AA", "new"]]
    report = replace(warehouse, "2.csv", rows, 2, key="id")
    assert (report.counts.inserted, report.counts.deduplicated, report.counts.dead) == (1, 1, 1)
    assert warehouse.rules() == [(2, ["constraint:t_pkey"])]
    assert warehouse.rows("SELECT id, v FROM t ORDER BY 1") == [(1, "a"), (2, "new")]


def test_an_empty_file_replaces_the_window_by_nothing(warehouse: Any) -> None:
    replace(warehouse, "1.csv", [[1, "2026-01-01", "AA", "a"], [2, "2026-01-01", "AA", "b"]], 1)
    assert replace(warehouse, "2.csv", [], 1).removed == 2
    assert warehouse.one("SELECT count(*) FROM t") == 0


def test_a_scope_narrows_what_is_read_and_what_is_replaced(warehouse: Any) -> None:
    day = "2026-01-01"
    replace(warehouse, "1.csv", [[1, day, "AA", "a"], [2, day, "BA", "b"]], 1)
    rows = [[1, day, "AA", "A"], [2, day, "BA", "B"], [3, day, "AA", "C"], ["x", day, "BA", "bad"]]
    report = replace(warehouse, "2.csv", rows, 1, scope={"carrier": "AA"})
    assert (report.counts.read, report.counts.inserted, report.counts.dead, report.removed) == (2, 2, 0, 1)
    assert warehouse.rows("SELECT id, v FROM t ORDER BY 1") == [(1, "A"), (2, "b"), (3, "C")]
    whole = replace(warehouse, "2.csv", rows, 1)
    assert whole.status == "loaded", "what was loaded narrowed is not loaded whole"
    assert whole.counts.dead == 1


@pytest.mark.parametrize(
    "said",
    ["2026-01-01 06:00", "2026-01-01", "2026-1-1 6:00", "2026/01/01 6:00", "2026-01-01T01:00-05:00",
     "2026\\01\\01 06:00", "2026-01-01t06:00z", datetime(2026, 1, 1, 6, tzinfo=UTC)],
)  # fmt: skip
def test_a_moment_of_a_scope_without_a_zone_is_in_utc_wherever_the_server_is(
    warehouse: Any, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setattr(warehouse, "conninfo", f"{warehouse.conninfo} options='-c TimeZone=America/New_York'")
    at = "2026-01-01 00:00+00" if said == "2026-01-01" else "2026-01-01 06:00+00"
    words = {
        "mode": "replace_window", "window_by": "day", "origin": window(1),
        "columns": {"day": {"type": "date"}, "at": {"type": "timestamptz"}},
    }  # fmt: skip
    rows = [[1, "2026-01-01", at], [2, "2026-01-01", "2026-01-01 11:00+00"]]
    warehouse.load(warehouse.csv("1.csv", ["id", "day", "at"], rows), **words)
    path = warehouse.csv("2.csv", ["id", "day", "at"], [[3, "2026-01-01", at], *rows[1:]])
    report = warehouse.load(path, scope={"at": said}, **words)
    assert (report.counts.read, report.counts.inserted, report.removed) == (1, 1, 1)
    assert warehouse.rows("SELECT id FROM t ORDER BY 1") == [(2,), (3,)]


@pytest.mark.parametrize(
    ("type_", "said", "text"),
    [
        ("timestamp", "2026-01-01T06:00+02:00", "2026-01-01 04:00"),
        ("timestamp", "2026-01-01t06:00", "2026-01-01 06:00"),
        ("date", "2026\\01\\01", "2026-01-01"), ("date", "2026-01-01T00:30+02:00", "2026-01-01"),
        ("date", datetime.fromisoformat("2026-01-01T00:30+02:00"), "2026-01-01"), ("boolean", "yes", "true"),
        ("numeric(5,2)", "1.50", "1.5"),
        ("uuid", "00000000-0000-0000-0000-00000000000A", "00000000-0000-0000-0000-00000000000a"),
    ],
)  # fmt: skip
def test_a_value_of_a_scope_means_the_same_to_the_records_and_to_the_table(
    warehouse: Any, type_: str, said: Any, text: str
) -> None:
    columns = {"day": {"type": "date"}, "at": {"type": type_}}
    words = {"mode": "replace_window", "window_by": "day", "origin": window(1), "columns": columns}
    path = warehouse.csv("1.csv", ["id", "day", "at"], [[1, "2026-01-01", text], [2, "2026-01-01", ""]])
    warehouse.load(path, **words)
    report = warehouse.load(path, scope={"at": said}, force=True, **words)
    assert (report.counts.inserted, report.removed) == (1, 1)
    assert warehouse.rows("SELECT id FROM t ORDER BY 1") == [(1,), (2,)]


@pytest.mark.parametrize("records", [[[1, "2026-01-01", "ab"]], []])
def test_a_value_of_a_scope_that_the_column_would_cut_deletes_nothing(warehouse: Any, records: list[Any]) -> None:
    warehouse.rows("CREATE TABLE t (id int, day date, c varchar(2)); INSERT INTO t VALUES (9, '2026-01-01', 'ab')")
    path = warehouse.csv("1.csv", ["id", "day", "c"], records)
    words = {"mode": "replace_window", "window_by": "day", "origin": window(1)}
    failed = warehouse.fails(path, scope={"c": "abc"}, **words)
    assert "'abc' is not a value of the column 'c', which is varchar(2)" in failed.detail
    assert warehouse.rows("SELECT id FROM t") == [(9,)]


def test_a_scope_takes_lists_and_null_and_refuses_what_the_column_is_not(warehouse: Any) -> None:
    path = warehouse.csv("1.csv", ["id", "n"], [[1, 1], [2, 2], [3, ""], [4, "x"], [5, 3]])
    words = {"key": "id", "columns": {"n": {"type": "integer"}}}
    report = warehouse.load(path, scope={"n": [1, None]}, **words)
    assert (report.counts.inserted, report.counts.dead) == (2, 1), "a value that is none may be of the scope"
    failed = warehouse.fails(path, scope={"n": "one"}, **words)
    assert "'one' is not a value of the column 'n', which is integer" in failed.detail
    failed = warehouse.fails(path, scope={"n": 2.6}, **words)
    assert "'2.6' is not a value of the column 'n', which is integer" in failed.detail, "3 is another value"
    assert warehouse.load(path, scope={"n": "3.0"}, **words).counts.inserted == 1


def test_a_tombstone_deletes_the_row_of_its_key(warehouse: Any) -> None:
    words = {"key": "id", "newest_by": "at", "delete_when": {"op": ["D", "X"]}, "columns": {"v": {"required": True}}}
    header = ["id", "at", "v", "op"]
    warehouse.load(warehouse.csv("1.csv", header, [[1, 1, "a", "I"], [2, 1, "b", "I"], [3, 5, "c", "I"]]), **words)
    assert warehouse.rows("SELECT column_name FROM information_schema.columns WHERE table_name = 't'") == [
        ("id",), ("at",), ("v",),
    ]  # fmt: skip
    rows = [[1, 2, "", "D"], [2, 2, "B", "U"], [3, 4, "", "X"], [9, 1, "", "D"], ["", 1, "", "D"]]
    report = warehouse.load(warehouse.csv("2.csv", header, rows), **words)
    counts = report.counts
    assert (counts.deleted, counts.updated, counts.stale, counts.unchanged, counts.dead) == (1, 1, 1, 1, 1)
    assert warehouse.rows("SELECT id, v FROM t ORDER BY 1") == [(2, "B"), (3, "c")]
    assert warehouse.rows("SELECT deleted FROM sluicegate.loads ORDER BY id") == [(0,), (1,)]


def test_what_was_deleted_stays_away_when_something_older_comes_later(warehouse: Any) -> None:
    words = {"key": "id", "newest_by": "at", "delete_when": {"op": "D"}}
    header = ["id", "at", "op"]
    warehouse.load(warehouse.csv("3.csv", header, [[1, 3, "D"], [2, 3, "D"]]), **words)
    report = warehouse.load(warehouse.csv("1.csv", header, [[1, 1, "I"], [2, 4, "I"]]), **words)
    assert (report.counts.stale, report.counts.inserted) == (1, 1)
    assert warehouse.rows("SELECT id FROM t") == [(2,)]
    assert warehouse.rows("SELECT key::text, version FROM sluicegate.tombstones") == [("[1]", "3")]
    report = warehouse.load(warehouse.csv("5.csv", header, [[1, 5, "I"]]), **words)
    assert report.counts.inserted == 1
    assert warehouse.one("SELECT count(*) FROM sluicegate.tombstones") == 0


def test_a_broken_record_beside_a_tombstone_is_found(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY, at int, v int CHECK (v > 0))")
    warehouse.rows("INSERT INTO t VALUES (1, 1, 1), (2, 1, 1)")
    words = {"key": "id", "newest_by": "at", "delete_when": {"op": "D"}}
    rows = [[1, 2, "", "D"], [2, 2, -1, "U"], [3, 1, 3, "I"], [4, 1, "", "D"]]
    counts = warehouse.load(warehouse.csv("1.csv", ["id", "at", "v", "op"], rows), **words).counts
    assert (counts.deleted, counts.dead, counts.inserted, counts.unchanged) == (1, 1, 1, 1)
    assert warehouse.rows("SELECT id FROM t ORDER BY 1") == [(2,), (3,)]


def test_drift_is_in_the_log_and_in_the_ledger(warehouse: Any, caplog: Any) -> None:
    warehouse.load(warehouse.csv("1.csv", ["id", "a", "gone"], [[1, 1, 1]]), key="id")
    report = warehouse.load(
        warehouse.csv("2.csv", ["id", "a", "b"], [[2, 1, 1]]), key="id", on_schema_change="add_columns"
    )
    assert report.drift == {"added": ["b"], "absent": ["gone"]}
    assert "added to the table: 'b'" in caplog.text
    report = warehouse.load(warehouse.csv("3.csv", ["id", "a", "c"], [[3, 1, 1]]), key="id", on_schema_change="ignore")
    assert report.drift == {"ignored": ["c"], "absent": ["gone", "b"]}
    kept = warehouse.rows("SELECT drift FROM sluicegate.loads ORDER BY id")
    assert kept == [(None,), ({"added": ["b"], "absent": ["gone"]},), ({"ignored": ["c"], "absent": ["gone", "b"]},)]


def test_batches_bring_in_the_same(warehouse: Any) -> None:
    warehouse.load(warehouse.csv("1.csv", ["id", "v"], [[n, "old"] for n in range(50)]), key="id")
    rows = [[n, "new" if n % 2 else "old"] for n in range(100)]
    counts = warehouse.load(warehouse.csv("2.csv", ["id", "v"], rows), key="id", batch_rows=7).counts
    assert (counts.inserted, counts.updated, counts.unchanged) == (50, 25, 25)
    assert warehouse.rows("SELECT count(*), count(*) FILTER (WHERE v = 'new') FROM t") == [(100, 50)]


def test_a_dry_run_says_what_would_change_by_column_and_keeps_nothing(warehouse: Any) -> None:
    first = [[1, "a", 1, "s1"], [2, "b", 2, "s2"], [3, "c", 3, "s3"]]
    words = {"key": "id", "columns": {"secret": {"sensitive": True}}}
    header = ["id", "v", "n", "secret"]
    warehouse.load(warehouse.csv("1.csv", header, first), **words)
    rows = [[1, "A", 1, "s1"], [2, "b", 5, "new"], [3, "c", 3, "s3"], [4, "d", 4, "s4"]]
    report = warehouse.load(warehouse.csv("2.csv", header, rows), dry_run=True, **words)
    assert report.status == "dry_run"
    assert (report.counts.inserted, report.counts.updated, report.counts.unchanged) == (1, 2, 1)
    changes = report.as_dict()["changes"]
    assert changes["columns"] == {"v": 1, "n": 1, "secret": 1}
    assert list(changes["sample"]) == [
        {"key": {"id": "1"}, "before": {"v": "a"}, "after": {"v": "A"}},
        {"key": {"id": "2"}, "before": {"n": "2", "secret": "***"}, "after": {"n": "5", "secret": "***"}},
        {"key": {"id": "4"}, "before": None, "after": {"id": "4", "v": "d", "n": "4", "secret": "***"}},
    ]
    assert warehouse.one("SELECT count(*) FROM t") == 3
    assert warehouse.one("SELECT count(*) FROM sluicegate.loads") == 1


@pytest.mark.parametrize("mode", ["append", "replace_window", "insert_only", "merge"])
def test_a_dry_run_of_every_mode_into_a_table_that_is_not_there_leaves_none(warehouse: Any, mode: str) -> None:
    path = warehouse.csv("1.csv", HEADER, [[1, "2026-01-01", "AA", "a"]])
    words: dict[str, Any] = {"mode": mode, "dry_run": True, "origin": window(1)}
    words |= {"window_by": "day"} if mode == "replace_window" else {}
    words |= {"key": "id"} if mode in {"insert_only", "merge"} else {}
    report = warehouse.load(path, columns={"day": {"type": "date"}}, **words)
    assert report.counts.inserted == 1
    assert report.as_dict()["changes"]["sample"][0]["after"]["day"] == date(2026, 1, 1).isoformat()
    assert warehouse.one("SELECT to_regclass('t')") is None


def test_runs_whose_windows_overlap_fail_where_the_pipeline_says_so(warehouse: Any) -> None:
    path = warehouse.csv("1.csv", HEADER, [[1, "2026-01-01", "AA", "a"]])
    words = {"key": "id", "overlap": "fail"}
    target = warehouse.target()
    with target.alone(Table("public.t", "public", "t"), window(1, days=2)):
        failed = warehouse.fails(path, origin=window(2), **words)
        assert failed.code == "WRONG_USE"
        assert "the run r1 is loading the window 2026-01-01 00:00 to 2026-01-03 00:00" in failed.detail
        assert warehouse.load(path, origin=window(3), **words).status == "loaded", "the next window does not overlap"
        another = Origin("other", "s", "r2", 1, window(2).window)
        assert warehouse.load(path, "u", origin=another, **words).status == "loaded"
        again = Origin("p", "s", "r1", 2, window(1, days=2).window)
        assert warehouse.load(path, origin=again, force=True, **words).status == "loaded", "a retry waits as ever"
    assert warehouse.load(path, origin=window(2), force=True, **words).status == "loaded"
    assert warehouse.one("SELECT count(*) FROM sluicegate.running") == 0


def test_what_a_killed_loader_has_left_stops_nobody(warehouse: Any) -> None:
    path = warehouse.csv("1.csv", HEADER, [[1, "2026-01-01", "AA", "a"]])
    target = warehouse.target()
    with target.alone(Table("public.t", "public", "t"), window(1)):
        warehouse.rows("SELECT pg_terminate_backend(pid) FROM sluicegate.running WHERE run_id = 'r1'")
        other = Origin("p", "s", "r9", 1, window(1).window)
        assert warehouse.load(path, key="id", overlap="fail", origin=other).status == "loaded"


def test_a_version_is_appended_once_whatever_the_configuration_has_become(warehouse: Any) -> None:
    path = warehouse.csv("1.csv", ["id", "v"], [[1, "a"], [2, "b"]])
    assert warehouse.load(path, mode="append").counts.inserted == 2
    assert warehouse.load(path, mode="append", columns={"v": {"required": True}}).status == "skipped"
    warehouse.load(warehouse.csv("1.csv", ["id", "v"], [[3, "c"]]), mode="append")
    warehouse.csv("1.csv", ["id", "v"], [[1, "a"], [2, "b"]])
    assert warehouse.load(path, mode="append").status == "skipped"
    assert warehouse.rows("SELECT id FROM t ORDER BY 1") == [(1,), (2,), (3,)]
    with pytest.raises(Exception, match="takes a source version once"):
        warehouse.request(path, mode="append", scope={"id": 1})


def test_a_file_of_a_thousand_columns_is_read_and_merged(warehouse: Any) -> None:
    names = [f"c{number}" for number in range(1_000)]
    path = warehouse.csv("1.csv", names, [[row, *([row % 7] * 999)] for row in range(20)])
    assert warehouse.load(path, key="c0").counts.inserted == 20
    warehouse.csv("1.csv", names, [[row, *([row % 5] * 999)] for row in range(20)])
    assert warehouse.load(path, key="c0").counts.updated == 15

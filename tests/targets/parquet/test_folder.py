"""What a folder of Parquet files has after a load: its files, their columns, and what is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sluicegate.graph.window import Window
from sluicegate.ledger.entries import Origin
from sluicegate.load.replay.mend import Fixed

HEADER = ["id", "day", "v"]


def window(day: int, days: int = 1) -> Origin:
    start = datetime(2026, 1, day, tzinfo=UTC)
    return Origin("p", "s", f"r{day}", 1, Window(start, start + timedelta(days=days)))


def replace(house: Any, rows: list[list[object]], day: int, **words: Any) -> Any:
    path = house.csv(f"{day}.csv", HEADER, rows)
    words = {"mode": "replace_window", "window_by": "day", "origin": window(day)} | words
    return house.load(path, columns={"id": "integer", "day": "date"}, **words)


def test_each_mode_has_files_of_its_own(house: Any) -> None:
    source = house.csv("a.csv", HEADER, [[2, "2026-01-01", "b"], [1, "2026-01-01", "a"]])
    house.load(source, "merged", key="id")
    house.load(source, "inserted", key="id", mode="insert_only")
    assert house.files("merged") == house.files("inserted") == ["part-0.parquet"]
    replace(house, [[1, "2026-01-01", "a"]], 1)
    replace(house, [[1, "2026-01-02", "a"]], 2)
    assert house.files() == ["window-20260101-20260102.parquet", "window-20260102-20260103.parquet"]
    house.load(source, "appended")
    house.load(house.csv("b.csv", HEADER, [[3, "2026-01-01", "c"]]), "appended")
    assert [name[:7] for name in house.files("appended")] == ["append-", "append-"]
    assert len(house.table("appended")) == 3


def test_the_same_version_appended_by_force_is_the_same_file(house: Any) -> None:
    source = house.csv("a.csv", HEADER, [[1, "2026-01-01", "a"]])
    house.load(source)
    files = house.files()
    assert house.load(source).status == "skipped"
    assert house.load(source, force=True).counts.inserted == 1
    assert (house.files(), len(house.table())) == (files, 1)


def test_the_same_records_are_the_same_bytes(house: Any) -> None:
    source = house.csv("a.csv", HEADER, [[n, "2026-01-01", n] for n in range(100)])
    for table in ("one", "other"):
        house.load(source, table, key="id")
    one, other = (Path(house.uri(table), "part-0.parquet").read_bytes() for table in ("one", "other"))
    assert one == other


def test_values_of_every_type_come_out_as_they_went_in(house: Any) -> None:
    columns = {
        "id": "bigint", "s": "smallint", "n": "numeric(38,10)", "w": "numeric", "r": "real", "d": "double",
        "b": "boolean", "day": "date", "t": "time", "ts": "timestamp", "tz": "timestamptz", "u": "uuid", "j": "jsonb",
        "c": "varchar(3)",
    }  # fmt: skip
    row: list[object] = [
        2**62, -3, "1234567890123456789.0123456789", "1e400", "1.5", "0.1", "true", "2026-01-31", "12:00:00.5",
        "2026-01-01 00:00:00.000001", "2026-01-01T00:00:00+02:00", "11111111-2222-3333-4444-555555555555", '{"a": 1}',
        "äöü",
    ]  # fmt: skip
    source = house.csv("a.csv", list(columns), [row, [1, *[""] * 13]])
    for _ in range(2):
        report = house.load(source, key="id", columns=columns, force=True)
    assert report.counts.unchanged == 2
    [nulls, found] = house.table()
    assert nulls == (1, *[None] * 13)
    assert found[:8] == (
        2**62, -3, Decimal("1234567890123456789.0123456789"), "1e400", 1.5, 0.1, True, date(2026, 1, 31),
    )  # fmt: skip
    assert found[10] == datetime(2025, 12, 31, 22, tzinfo=UTC)
    assert [str(found[at]) for at in (8, 9, 11, 12, 13)] == [
        "12:00:00.500000", "2026-01-01 00:00:00.000001", "11111111-2222-3333-4444-555555555555", '{"a": 1}', "äöü",
    ]  # fmt: skip
    types = {name: str(column.type) for name, column in house.target().inspect().columns.items()}
    assert types == columns, "what Parquet has no word for is noted beside the column"


def test_a_moment_that_is_infinite_is_set_aside(house: Any) -> None:
    source = house.csv("a.csv", ["id", "day"], [[1, "2026-01-01"], [2, "infinity"]])
    assert house.load(source, key="id", columns={"day": "date"}).counts.dead == 1
    assert house.rules() == [(3, ["type:day"])]


def test_a_window_that_is_empty_now_loses_its_file_and_the_last_one_keeps_the_columns(house: Any) -> None:
    replace(house, [[1, "2026-01-01", "a"]], 1)
    replace(house, [[2, "2026-01-02", "b"]], 2)
    assert replace(house, [], 1).removed == 1
    assert house.files() == ["window-20260102-20260103.parquet"]
    assert replace(house, [], 2).removed == 1
    assert (len(house.files()), house.table()) == (1, [])
    assert list(house.target().inspect().columns) == HEADER


def test_a_file_with_a_header_alone_makes_a_table(house: Any) -> None:
    assert house.load(house.csv("a.csv", ["id"], []), key="id", columns={"id": "integer"}).counts.read == 0
    assert house.table() == []
    assert str(house.target().inspect().columns["id"].type) == "integer"


@pytest.mark.parametrize(("name", "table"), [("_delta_log/0.json", "a Delta table"), (".hoodie/x", "a Hudi table")])
def test_a_table_of_another_format_is_not_written_to(house: Any, name: str, table: str) -> None:
    path = Path(house.uri(), name)
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert f"is {table}, which is not written here" in house.fails(house.csv("a.csv", ["id"], [[1]]), key="id").detail


def test_columns_are_added_and_what_a_source_lacks_stays(house: Any) -> None:
    house.load(house.csv("a.csv", ["id", "v"], [[1, "a"], [2, "b"]]), key="id")
    source = house.csv("b.csv", ["id", "w"], [[2, "x"], [3, "y"]])
    assert "has no column 'w'" in house.fails(source, key="id").detail
    report = house.load(source, key="id", on_schema_change="add_columns")
    assert report.drift == {"added": ["w"], "absent": ["v"]}
    assert house.table() == [(1, "a", None), (2, "b", "x"), (3, None, "y")]


def test_columns_that_differ_by_case_alone_are_two(house: Any) -> None:
    source = house.csv("a.csv", ["id", "Id", "v"], [[1, 10, "a"], [2, 20, "b"]])
    house.load(source, key="Id")
    report = house.load(house.csv("b.csv", ["id", "Id", "v"], [[5, 10, "c"]]), key="Id")
    assert report.counts.updated == 1
    table = pq.read_table(Path(house.uri(), "part-0.parquet"))
    assert table.column_names == ["id", "Id", "v"]
    assert table.to_pylist()[0] == {"id": 5, "Id": 10, "v": "c"}


def test_keys_that_are_there_twice_are_found_as_nothing_enforces_them(house: Any) -> None:
    path = Path(house.uri(), "part-0.parquet")
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"id": [1, 1], "v": ["a", "b"]}), path)
    failed = house.fails(house.csv("a.csv", ["id", "v"], [[1, "c"]]), key="id")
    assert failed.code == "SCHEMA_MISMATCH"
    assert "rows with the same key (id)" in failed.detail
    assert not [name for name in house.files() if name.startswith("_")]


@pytest.mark.parametrize("name", ["a.csv", "day=1/part-0.parquet"])
def test_a_folder_with_other_files_in_it_is_no_table(house: Any, name: str) -> None:
    other = Path(house.uri(), name)
    other.parent.mkdir(parents=True)
    other.write_text("x")
    failed = house.fails(house.csv("a.csv", ["id"], [[1]]), key="id")
    assert (failed.code, f"{name} is in it" in failed.detail) == ("SCHEMA_MISMATCH", True)


def test_a_dry_run_says_what_would_change_and_changes_nothing(house: Any) -> None:
    house.load(house.csv("a.csv", ["id", "v"], [[1, "a"], [2, "b"]]), key="id")
    report = house.load(house.csv("b.csv", ["id", "v"], [[1, "A"], [3, "c"]]), key="id", dry_run=True)
    assert (report.counts.updated, report.counts.inserted) == (1, 1)
    assert report.changes.columns == {"v": 1}
    assert [(one.before, one.after) for one in report.changes.sample] == [
        ({"v": "a"}, {"v": "A"}),
        (None, {"id": "3", "v": "c"}),
    ]
    assert house.table() == [(1, "a"), (2, "b")]
    assert house.files() == ["part-0.parquet"]


def test_a_load_with_too_many_dead_letters_leaves_the_folder_alone(house: Any) -> None:
    house.load(house.csv("a.csv", ["id", "v"], [[1, "a"]]), key="id", columns={"id": "integer"})
    source = house.csv("b.csv", ["id", "v"], [[1, "b"], ["x", "c"]])
    assert house.fails(source, key="id", columns={"id": "integer"}, max_dead=0).code == "TOO_MANY_DEAD_LETTERS"
    assert house.table() == [(1, "a")]
    assert house.rows("SELECT status FROM sluicegate.loads ORDER BY id") == [("loaded",), ("failed",)]


@pytest.mark.parametrize("words", [{"key": "id"}, {"key": "id", "mode": "replace_window", "window_by": "day"}])
def test_a_replay_goes_into_the_folder(house: Any, words: Any) -> None:
    columns = {"id": "integer", "day": "date", "v": {"type": "text", "matches": "^[a-z]$"}}
    rows = [[1, "2026-01-01", "a"], [2, "2026-01-01", "B!"]]
    house.load(house.csv("a.csv", HEADER, rows), columns=columns, origin=window(1), **words)
    assert len(house.table()) == 1
    report = house.replay(columns=columns, mending=Fixed(lambda one: {**one, "v": "b"}, "mend"), **words)
    assert report.replayed == 1
    assert [row[2] for row in house.table()] == ["a", "b"]
    assert house.rows("SELECT status FROM sluicegate.dead_letters") == [("replayed",)]


def test_loads_go_into_s3_and_our_readers_read_what_is_there(house: Any, s3: Any) -> None:
    house.to_s3(s3)
    house.load(house.csv("a.csv", HEADER, [[1, "2026-01-01", "a"], ["x", "2026-01-01", "b"]]), "m", key="id",
               columns={"id": "integer", "day": "date"})  # fmt: skip
    report = house.load(house.csv("b.csv", HEADER, [[1, "2026-01-01", "A"], [2, "2026-01-01", "b"]]), "m", key="id",
                        columns={"id": "integer", "day": "date"})  # fmt: skip
    assert (report.counts.updated, report.counts.inserted) == (1, 1)
    for day in (1, 2, 3):
        replace(house, [[day, f"2026-01-0{day}", "a"]], day)
    assert replace(house, [[9, "2026-01-02", "b"]], 2).removed == 1
    assert s3.uris("s3://lake/") == [
        "s3://lake/m/part-0.parquet",
        *(f"s3://lake/t/window-2026010{day}-2026010{day + 1}.parquet" for day in (1, 2, 3)),
    ]
    house.load("s3://lake/t/", "copy", key="id")
    again = house.load("s3://lake/t/", "copy", key="id", force=True)
    assert (again.counts.read, again.counts.unchanged) == (3, 3)
    assert house.one("SELECT count(*) FROM sluicegate.intents") == 0


def test_two_loads_at_once_go_one_after_the_other(house: Any) -> None:
    import threading

    sources = [house.csv(f"{n}.csv", ["id", "v", "at"], [[k, n, n] for k in range(200)]) for n in range(3)]
    raised: list[BaseException] = []

    def run(source: Any) -> None:
        try:
            house.load(source, key="id", newest_by="at")
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(source,)) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert raised == []
    assert {row[1:] for row in house.table()} == {(2, 2)}
    assert len(house.table()) == 200
    assert house.one("SELECT sum(inserted) FROM sluicegate.loads") == 200

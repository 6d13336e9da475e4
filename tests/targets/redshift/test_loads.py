"""Loads into Redshift, on a stand-in: rows, counts, ledger, dead letters, what is refused."""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from sluicegate.faults import FaultError, classify, fault
from sluicegate.ledger.entries import Counts, Load
from sluicegate.ledger.letters import Selection
from sluicegate.load.load import load
from sluicegate.load.replay.mend import Fixed
from sluicegate.load.replay.replay import Replay
from sluicegate.pipeline.keys.model import Mode
from sluicegate.records.types import parse_type
from sluicegate.targets.redshift.connect import RedshiftConnection
from sluicegate.targets.redshift.dialect import takes
from sluicegate.targets.redshift.place import RedshiftTable
from sluicegate.targets.redshift.staging import Staging
from sluicegate.targets.target import Merge, Stored

COLUMNS = {"id": "integer", "v": "text", "at": "timestamptz", "n": "numeric(10,2)", "op": "text"}
HEADER = list(COLUMNS)
MERGE: dict[str, Any] = {"mode": "merge", "key": "id", "newest_by": "at", "delete_when": {"op": "D"}}


def test_a_load_creates_merges_deletes_and_leaves_nothing_staged(house: Any) -> None:
    rows = [[n, "old", f"2026-01-0{n}T10:00:00+02:00", "1.50", "I"] for n in range(1, 6)]
    assert house.load(house.csv("a.csv", HEADER, rows), columns=COLUMNS, **MERGE).counts.inserted == 5
    rows = [
        [1, "new", "2026-02-01", "2", "I"], [2, "older", "2025-01-01", "2", "I"], [3, "", "2026-02-01", "2", "D"],
        [4, "old", "2026-01-04T08:00:00Z", "1.50", "I"], [9, "x\\'y", "", "", "I"], ["bad", "", "", "", "I"],
    ]  # fmt: skip
    report = house.load(house.csv("b.csv", HEADER, rows), columns=COLUMNS, **MERGE)
    counts = report.counts
    assert (counts.inserted, counts.updated, counts.deleted, counts.stale, counts.unchanged) == (1, 1, 1, 1, 1)
    assert counts.dead == 1
    assert counts.balanced
    found = house.rows("SELECT id, v, at AT TIME ZONE 'UTC' = '2026-01-04 08:00', n FROM t ORDER BY id")
    assert [row[:2] for row in found] == [(1, "new"), (2, "old"), (4, "old"), (5, "old"), (9, "x\\'y")]
    assert found[2][2]
    assert house.load(house.csv("b.csv", HEADER, rows), columns=COLUMNS, **MERGE).status == "skipped"
    older = house.csv("c.csv", HEADER, [[3, "late", "2026-01-15", "1", "I"]])
    assert house.load(older, columns=COLUMNS, **MERGE).counts.stale == 1
    assert house.s3.uris("s3://stage/") == []
    assert house.one("SELECT count(*) FROM sluicegate.intents") == 0
    assert {one.table for one in house.dead_letters()} == {"table://warehouse/public.t"}


def test_types_and_names_become_what_redshift_has(house: Any) -> None:
    columns = {"Id": "uuid", "Day": "time", "j": "json", "ok": "boolean", "t": "varchar(4)", "c": "char(2)"}
    one, other = "0191f0aa-0000-7000-8000-000000000001", "0191f0aa-0000-7000-8000-000000000002"
    rows = [
        [one, "10:00:01.5", '{"a": [1, 2]}', "true", "été", "ab"], [other, "", "", "", "éé", ""],
        [other, "", "", "", "ééé", ""], [other, "", "", "", "", "é"], [other, "", "{bad", "", "", ""],
        [other, "", f'"{"x" * 66_000}"', "", "", ""],
    ]  # fmt: skip
    words = {"columns": columns, "key": "Id", "delete_when": {"ok": "false"}, "newest_by": "Day"}
    report = house.load(house.csv("a.csv", list(columns), rows), **words)
    assert (report.counts.inserted, report.counts.dead) == (1, 5)
    found = house.rows("SELECT id::text, day::text, j::text, ok, t, c FROM t ORDER BY 1")
    assert found == [(other, None, None, None, "éé", None)]
    # In bytes: this one has five, and the others that were set aside are too long, not of one byte each, or not JSON.
    assert [one.line for one in house.dead_letters()] == [2, 4, 5, 6, 7]
    rows = [[other, "10:00:00", '{"a": [1,   2]}', "true", "a", "ab"]]
    assert house.load(house.csv("b.csv", list(columns), rows), **words).counts.updated == 1
    assert house.load(house.csv("c.csv", list(columns), rows), **words).counts.unchanged == 1
    gone = house.csv("d.csv", list(columns), [[other, "10:00:01", "", "false", "a", "ab"]])
    assert house.load(gone, **words).counts.deleted == 1
    types = house.target().inspect().columns
    assert {name: str(column.type) for name, column in types.items()} == {
        "id": "text", "day": "time", "j": "jsonb", "ok": "boolean", "t": "varchar(4)", "c": "char(2)",
    }  # fmt: skip


def test_what_redshift_cannot_have_is_refused(house: Any) -> None:
    refused = house.fails(house.csv("n.csv", ["n"], [["1.5"]]), columns={"n": "numeric"}, mode="append")
    assert (refused.code, "say numeric(precision,scale)" in str(refused)) == ("SCHEMA_MISMATCH", True)
    refused = house.fails(house.csv("a.csv", ["a", "A"], [["1", "2"]]), mode="append")
    assert "differ by case alone" in str(refused)
    assert "127" in str(house.fails(house.csv("l.csv", ["x" * 128], [["1"]]), mode="append"))
    house.rows("CREATE TABLE b (id int, x bytea)")
    assert "it is not loaded" in str(house.fails(house.csv("b.csv", ["id", "x"], [[1, "a"]]), "b", mode="append"))
    house.rows('CREATE TABLE c ("Id" int)')
    assert "enable_case_sensitive_identifier" in str(house.fails(house.csv("c.csv", ["id"], [[1]]), "c", key="id"))
    assert house.one("SELECT to_regclass('t')") is None


def test_a_key_that_is_there_twice_fails_loudly_and_changes_nothing(house: Any) -> None:
    house.rows("CREATE TABLE t (id int, v varchar(65535))")
    house.rows("INSERT INTO t VALUES (1, 'a'), (1, 'b'), (2, 'c')")
    words = {"columns": {"id": "integer"}, "key": "id"}
    refused = house.fails(house.csv("a.csv", ["id", "v"], [[1, "x"], [2, "y"]]), **words)
    assert (refused.code, "the table has rows with the same key (id)" in str(refused)) == ("SCHEMA_MISMATCH", True)
    assert house.rows("SELECT id, v FROM t ORDER BY 1, 2") == [(1, "a"), (1, "b"), (2, "c")]
    assert house.load(house.csv("b.csv", ["id", "v"], [[2, "y"]]), **words).counts.updated == 1


def test_a_row_that_the_target_swallows_is_found_by_the_sum(house: Any) -> None:
    house.rows("CREATE TABLE t (id int)")
    house.rows("CREATE RULE gone AS ON INSERT TO t WHERE new.id = 2 DO INSTEAD NOTHING")
    refused = house.fails(house.csv("a.csv", ["id"], [[1], [2]]), mode="append")
    assert "there should be 2 rows of the table, and there are 1" in str(refused)
    assert house.rows("SELECT * FROM t") == []


def test_a_column_is_added_and_a_failed_load_keeps_its_letters_alone(house: Any) -> None:
    house.load(house.csv("a.csv", ["id"], [[1]]), key="id")
    added = house.csv("b.csv", ["id", "v"], [[1, "x"]])
    assert house.load(added, key="id", on_schema_change="add_columns").drift["added"] == ["v"]
    assert house.rows("SELECT * FROM t") == [(1, "x")]
    bad = house.csv("c.csv", ["id", "v"], [[1, "y"], ["z", "y"]])
    assert house.fails(bad, key="id", columns={"id": "bigint"}, max_dead=0).code == "TOO_MANY_DEAD_LETTERS"
    assert house.rows("SELECT * FROM t") == [(1, "x")]
    assert house.rows("SELECT status FROM sluicegate.loads ORDER BY id") == [("loaded",), ("loaded",), ("failed",)]
    broken = house.csv("d.csv", ["id", "v"], [[1, "y"], [1, "z"]])
    words: dict[str, Any] = {"key": "id", "mode": "append"}
    assert house.fails(broken, max_dead=1, **words).code == "TOO_MANY_DEAD_LETTERS"
    assert house.rows("SELECT * FROM t") == [(1, "x")]


def test_dead_letters_are_replayed_unless_a_row_with_their_key_is_there(house: Any) -> None:
    words: dict[str, Any] = {"columns": {"id": "integer"}, "key": "id"}
    house.load(house.csv("a.csv", ["id", "n"], [[1, 1], ["x", 2], ["y", 3]]), **words)
    target = house.target()
    mending = Fixed(lambda record: {**record, "id": {"x": 1, "y": 2}[record["id"]]}, "mend")  # type: ignore[arg-type]
    replay = Replay(
        house.request("nowhere", **words), house.storage, lambda name: target, target.ledger, who="i", mending=mending
    )
    report = replay.run(Selection(target=target.name))
    assert (report.replayed, report.still_bad, dict(report.reasons)) == (1, 1, {"same_key": 1})
    assert house.rows("SELECT id, n FROM t ORDER BY 1") == [(1, 1), (2, 3)]


def test_a_replay_that_redshift_does_not_commit_leaves_its_letters_open(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    words: dict[str, Any] = {"columns": {"id": "integer"}, "key": "id"}
    house.load(house.csv("a.csv", ["id", "n"], [[1, 1], ["x", 2]]), **words)
    target, mending = house.target(), Fixed(lambda record: {**record, "id": 2}, "mend")
    replay = Replay(
        house.request("nowhere", **words), house.storage, lambda name: target, target.ledger, who="i", mending=mending
    )

    def refused(session: RedshiftConnection) -> None:
        session.rollback()
        house.rows("INSERT INTO t VALUES (9, 9)")
        raise fault("WAREHOUSE_BUSY", "a serializable isolation violation")

    with monkeypatch.context() as broken:
        broken.setattr(RedshiftConnection, "commit", refused)
        with pytest.raises(FaultError, match="changed by somebody else"):
            replay.run(Selection(target=target.name))
    assert house.rows("SELECT status, reason FROM sluicegate.dead_letters") == [("open", None)]
    assert replay.run(Selection(target=target.name)).replayed == 1
    assert house.rows("SELECT id, n FROM t ORDER BY 1") == [(1, 1), (2, 2), (9, 9)]


def test_what_the_server_says_of_values_is_not_shown(house: Any) -> None:
    house.rows("CREATE TABLE t (id int, v varchar(65535) CHECK (v <> 'secret'))")
    refused = house.fails(house.csv("a.csv", ["id", "v"], [[1, "secret"]]), mode="append")
    assert refused.code == "CONSTRAINT_VIOLATED"
    assert "secret" not in "".join(traceback.format_exception(refused))


@pytest.mark.parametrize("lock", ["the table", "the lock in Redshift", "the lock in the ledger"])
def test_a_load_that_waits_is_cancelled(house: Any, lock: str) -> None:
    source = house.csv("a.csv", ["id"], [[1]])
    house.load(source, mode="append")
    target = house.target()
    with psycopg.connect(house.conninfo) as other:
        if lock == "the lock in the ledger":
            other.execute("SELECT pg_advisory_lock(%s)", [target._ledger._lock])
        else:
            table = "t" if lock == "the table" else f"sluicegate.{target._place.applied}"
            other.execute(f"LOCK TABLE {table}".encode())
        failed: list[FaultError] = []

        def run() -> None:
            try:
                load(house.request(house.csv("b.csv", ["id"], [[2]]), mode="append"), house.storage, target)
            except (FaultError, psycopg.Error) as error:
                failed.append(classify(error))

        thread = threading.Thread(target=run)
        thread.start()
        deadline = time.monotonic() + 120
        while thread.is_alive() and time.monotonic() < deadline:
            target.cancel()
            thread.join(0.1)
    assert [error.code for error in failed] == ["TIMED_OUT"]
    assert house.one("SELECT count(*) FROM t") == 1


def test_staged_files_of_a_table_of_that_name_elsewhere_are_left(house: Any) -> None:
    """Two databases may share a bucket; the lock of one says nothing of the other."""
    folders = []
    for name in ("warehouse", "other"):
        place = RedshiftTable.at(f"table://{name}/t")
        folders.append(Staging("s3://stage/loads/", place, house.storage).folder)
    house.s3.put(f"{folders[1]}1.parquet", b"x")
    house.load(house.csv("a.csv", ["id"], [[1]]), mode="append")
    assert house.s3.uris("s3://stage/") == [f"{folders[1]}1.parquet"]


class Passed:
    """Records that a cluster has checked and written."""

    def __init__(self, rows: int, stored: Stored) -> None:
        self.rows, self.stored = rows, stored

    def read(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("they are not to come here")


def test_files_that_a_cluster_wrote_are_copied_from_where_they_are(house: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"id": parse_type("bigint"), "v": parse_type("text"), "n": parse_type("numeric(12,4)")}
    house.load(house.csv("a.csv", ["id", "v", "n"], [[1, "old", 1]]), key="id", columns={"n": "numeric(12,4)"})
    for number, rows in enumerate(([(1, Decimal("1.50"), "new")], [(2, None, "two"), (3, None, "three")])):
        sink = pa.BufferOutputStream()
        ids, ns, texts = zip(*rows, strict=True)
        pq.write_table(
            pa.table({"id": pa.array(ids, pa.int32()), "N": pa.array(ns, pa.decimal128(6, 2)), "v": texts}), sink
        )
        house.s3.put(f"s3://stage/passed/part-{number}.parquet", sink.getvalue().to_pybytes())
    house.s3.put("s3://stage/passed/_SUCCESS", b"")
    files = {"id": parse_type("integer"), "N": parse_type("numeric(6,2)"), "v": parse_type("text")}
    merge = Merge(Passed(3, Stored("s3://stage/passed/", files)), columns, ("id",), Mode.MERGE)
    target = house.target()
    table = target.inspect()
    with target.session(table, dry_run=False) as session:
        with session.changes():
            assert session.prepare(table, columns, ("id",))
            outcome = session.apply(merge, lambda more: False).outcome
        counts = Counts(read=3, inserted=outcome.inserted, updated=outcome.updated)
        session.ledger.record(Load(table.name, "passed", "1", "1", "loaded", counts, 0.1))
        session.commit()
    assert (outcome.inserted, outcome.updated) == (2, 1)
    assert house.rows("SELECT id, v, n FROM t ORDER BY 1") == [
        (1, "new", Decimal("1.5")), (2, "two", None), (3, "three", None)
    ]  # fmt: skip
    assert [uri.rpartition("/")[2] for uri in house.s3.uris("s3://stage/")] == [
        "_SUCCESS", "part-0.parquet", "part-1.parquet"
    ]  # fmt: skip


def test_only_what_a_column_takes_unchanged_is_copied_as_it_is() -> None:
    assert takes(parse_type("bigint"), parse_type("integer"))
    assert not takes(parse_type("integer"), parse_type("bigint"))
    assert takes(parse_type("varchar(3)"), parse_type("text"))
    assert takes(parse_type("jsonb"), parse_type("json"))
    assert not takes(parse_type("numeric(10,2)"), parse_type("numeric(10,3)"))
    assert not takes(parse_type("double"), parse_type("text"))
    assert not takes(parse_type("timestamp"), parse_type("timestamptz"))


def test_a_load_that_is_interrupted_leaves_no_statement_running(house: Any) -> None:
    """As a task is whose time is over: by an exception, in the middle of a statement."""
    source = house.csv("a.csv", ["id"], [[1]])
    house.load(source, mode="append")

    class Over(BaseException): ...

    def over(*_: object) -> None:
        raise Over

    working = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

    def interrupt() -> None:
        while not house.one(working):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, over)
    thread = threading.Thread(target=interrupt)
    try:
        with psycopg.connect(house.conninfo) as other:
            other.execute("LOCK TABLE t")
            thread.start()
            with pytest.raises(Over):
                house.load(house.csv("b.csv", ["id"], [[2]]), mode="append")
            thread.join()
            deadline = time.monotonic() + 120
            while house.one(working) and time.monotonic() < deadline:
                time.sleep(0.02)
            assert house.one(working) == 0
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert house.load(house.csv("b.csv", ["id"], [[2]]), mode="append").counts.inserted == 1


def test_moments_come_to_the_microsecond_whatever_zones_are_set(house: Any) -> None:
    columns = {"id": "integer", "a": "timestamp", "b": "timestamptz", "c": "time", "d": "date"}
    rows = [
        [1, "1066-10-14 09:00:00.000001", "2026-03-29T02:30:00.999999+05:45", "23:59:59.999999", "1000-01-01"],
        [2, "9999-12-31 23:59:59.999999", "1969-12-31T23:59:59.5Z", "00:00:00", "9999-12-31"],
    ]  # fmt: skip
    assert house.load(house.csv("a.csv", list(columns), rows), columns=columns, key="id").counts.inserted == 2
    assert house.load(house.csv("b.csv", list(columns), rows), columns=columns, key="id").counts.unchanged == 2
    found = house.rows("SELECT a::text, (b AT TIME ZONE 'UTC')::text, c::text, d::text FROM t ORDER BY id")
    assert found == [
        ("1066-10-14 09:00:00.000001", "2026-03-28 20:45:00.999999", "23:59:59.999999", "1000-01-01"),
        ("9999-12-31 23:59:59.999999", "1969-12-31 23:59:59.5", "00:00:00", "9999-12-31"),
    ]  # fmt: skip

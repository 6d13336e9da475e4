"""What a cluster has checked is copied from S3 by Postgres itself: a load ends as one through a worker does."""

from __future__ import annotations

import logging
import signal
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from psycopg import sql

from sluicegate.graph.window import Window
from sluicegate.load.load import load
from sluicegate.pipeline.keys.load import Mode
from sluicegate.records.types import ColumnType
from sluicegate.storage import Storage
from sluicegate.targets.postgres.from_s3 import import_stored
from sluicegate.targets.target import Merge, Stored, Table
from tests.load.conftest import LoadWarehouse
from tests.load.test_on_cluster import CONTRACT, results
from tests.targets.dying import Dying
from tests.targets.on_cluster import loader
from tests.targets.on_cluster.aws_s3 import make_extension
from tests.targets.on_cluster.left import BY_WORKER, COPIED, GONE, MODES, ODD, ORIGIN, SCOPED, TYPES, VALUED, VALUES
from tests.targets.on_cluster.test_redshift import Fetching

TABLE = """
    CREATE TABLE t (id bigint PRIMARY KEY, amount numeric(12,2), day date, code varchar(5), changed timestamp,
                    note text)
"""


class Server(LoadWarehouse):
    """A Postgres that reads the S3 in `folder`, in whose bucket is what spark steps have left."""

    def __init__(self, conninfo: str, folder: Path, s3: Any) -> None:
        super().__init__(conninfo, folder)
        self.s3, self.lake = s3, folder / "s3/lake"

    def load(self, name: str, table: str = "t", **words: Any) -> Any:  # type: ignore[override]
        self.storage = Fetching(Storage(client=self.s3.client()))
        return load(self.request(f"s3://lake/{name}/", table, **COPIED | words), self.storage, self.target(table))

    def fetched(self) -> set[str]:
        return set(self.storage.fetched)

    def begin(self, table: str = TABLE) -> None:
        self.rows("DROP TABLE IF EXISTS t; DROP SCHEMA IF EXISTS sluicegate CASCADE")
        self.rows(table)

    def kept(self, table: str = "t") -> tuple[list[Any], ...]:
        letters = "id, source, source_version, line, record, failures, key, version, status, attempts"
        counts = "read, inserted, updated, unchanged, stale, deduplicated, dead, rejected"
        return (
            self.rows(f"SELECT * FROM {table} ORDER BY 1, 2"),
            self.rows(f"SELECT {letters} FROM sluicegate.dead_letters ORDER BY source, line"),
            self.rows(f"SELECT status, source_version, config_digest, {counts} FROM sluicegate.loads ORDER BY id"),
        )


@pytest.fixture
def server(warehouse: Any, tmp_path: Path, lake: Any) -> Server:
    make_extension(warehouse.conninfo, tmp_path / "s3")
    return Server(warehouse.conninfo, tmp_path, lake)


@pytest.mark.parametrize("mode", MODES)
def test_the_server_copies_and_all_ends_as_through_a_worker(server: Server, mode: str) -> None:
    """Into an empty table, then into a full one, whose older letters are closed; and when asked again."""
    table = TABLE if MODES[mode].get("key") else TABLE.replace("PRIMARY KEY", "")
    found, fetched = [], []
    for way in (BY_WORKER, {}):
        server.begin(table)
        if mode == "replace_window":
            server.rows("INSERT INTO t (id, changed) VALUES (7, '2024-01-02'), (8, '2024-01-03')")
        reports = []
        for number in (0, 1, 0) if mode == "merge" else (0, 0):
            reports.append(server.load(f"{mode}{number}", **MODES[mode] | way).as_dict() | {"seconds": 0})
            fetched.append(server.fetched())
        found.append((reports, *server.kept()))
    assert found[1] == found[0]
    assert [report["status"] for report in found[0][0]][-2:] == ["loaded", "skipped"]
    assert {"passed", "replaced"}.isdisjoint(fetched[len(fetched) // 2])


def test_records_of_another_window_are_looked_for_here(server: Server) -> None:
    day = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))
    found = []
    for way in (BY_WORKER, {}):
        server.begin(TABLE.replace("PRIMARY KEY", ""))
        origin = replace(ORIGIN, window=day)
        report = server.load("replace_window0", **MODES["replace_window"] | way, origin=origin).as_dict()
        found.append((report | {"seconds": 0}, *server.kept()))
    assert found[1] == found[0]
    assert found[1][0]["reasons"]["outside_window"] == 2
    assert "passed" in server.fetched()


def test_a_value_is_the_same_by_both_ways(server: Server) -> None:
    typed = ", ".join(f'"{kind}" {type_}' for kind, type_ in TYPES.items())
    found = []
    for way in (BY_WORKER, {}):
        server.begin(f"CREATE TABLE t (id bigint PRIMARY KEY, {typed})")
        assert server.load("values", mode="insert_only", **VALUED | way).counts.inserted == 3
        texts = ", ".join(f'"{kind}"::text' for kind in TYPES)
        found.append(server.rows(f"SELECT {texts} FROM t ORDER BY id"))
    assert "passed" not in server.fetched()
    assert found[1] == found[0]
    assert [row[-2] for row in found[1]] == VALUES["text"]


def test_of_a_record_that_deletes_the_cluster_asks_what_a_worker_asks(server: Server, tmp_path: Path) -> None:
    """No more than its key and its types; how many break a rule that holds by its `mostly` is counted without it."""
    found = []
    for way in (BY_WORKER, {}):
        server.begin("CREATE TABLE t (id bigint PRIMARY KEY, at bigint, v text, n bigint, ref text)")
        server.rows("INSERT INTO t SELECT id, CASE id WHEN 7 THEN 9 ELSE 1 END, 'old' FROM generate_series(1, 8) AS id")
        report = server.load("gone", **GONE | way, results=f"{tmp_path}/results/").as_dict() | {"seconds": 0}
        seen = results(tmp_path / "results")
        for one in seen:  # of records that are not set aside the job keeps no samples
            one["result"].pop("partial_unexpected_list", None)
        found.append((report, *server.kept(), seen))
        assert server.load("gone", **GONE | way).status == "skipped"
    assert found[1] == found[0]
    report = found[0][0]
    assert (report["deleted"], report["stale"], report["dead"]) == (2, 1, 4)
    assert report["reasons"] == {"matches:v": 1, "between:id": 1, "unique:ref": 2}


def test_what_is_of_the_scope_is_copied_and_times_are_taken_as_the_texts_that_they_are(server: Server) -> None:
    found = []
    for way in (BY_WORKER, {}):
        server.begin("CREATE TABLE t (id bigint PRIMARY KEY, code varchar(2), at time(3), since timestamp(0))")
        report = server.load("scoped", **SCOPED | way).as_dict() | {"seconds": 0}
        found.append((report, *server.kept()))
    assert found[1] == found[0]
    assert (found[1][0]["read"], found[1][0]["inserted"]) == (5, 1)
    assert "passed" not in server.fetched()


def test_json_is_read_by_the_worker_and_blanks_behind_a_char_do_not_count(server: Server) -> None:
    found = []
    for way in (BY_WORKER, {}):
        server.begin("CREATE TABLE t (code char(3) PRIMARY KEY, n bigint, doc jsonb, ref uuid)")
        report = server.load("odd", **ODD | way).as_dict() | {"seconds": 0}
        found.append((report, *server.kept()))
    assert found[1] == found[0]
    assert [row[:2] for row in found[0][1]] == [("a  ", 2), ("b  ", 3)]
    assert found[0][0]["reasons"] == {
        "type:code": 1, "type:doc": 3, "type:ref": 1, "required:doc": 1, "in:ref": 1,
    }  # fmt: skip
    assert "passed" in server.fetched()


def test_what_the_table_refuses_becomes_a_dead_letter_by_way_of_the_worker(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sluicegate.load")
    table = TABLE.replace("note text", "note text CHECK (note <> 'newest')")
    found = []
    for way in (BY_WORKER, {}):
        server.begin(table)
        report = server.load("merge0", **CONTRACT | way).as_dict() | {"seconds": 0}
        found.append((report, *server.kept()))
    assert found[1] == found[0]
    assert found[1][0]["reasons"]["constraint:t_note_check"] == 1
    assert "refused a record" in caplog.text


def test_a_server_that_cannot_copy_gets_the_records_through_the_worker(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """And a user without the grant is told which to ask for."""
    bigint = ColumnType("bigint")
    records: Any = SimpleNamespace(stored=Stored("s3://lake/x/", {"id": bigint}), rows=1)
    merge = Merge(records, {"id": bigint}, (), Mode.APPEND)
    table, place = Table("public.t", "public", "t"), sql.Identifier("public", "t")
    with psycopg.connect(server.conninfo, options="-c role=pg_monitor") as connection:
        assert import_stored(connection, table, place, merge, print) is None
    assert "GRANT USAGE ON SCHEMA aws_s3, aws_commons TO pg_monitor" in caplog.text
    server.begin()
    server.rows("DROP SCHEMA aws_s3 CASCADE")
    assert server.load("merge0", **CONTRACT).counts.inserted == 2
    assert "passed" in server.fetched()
    assert "through this worker: it has no extension aws_s3" in caplog.text


HARMS: dict[str, tuple[str, str, str]] = {
    "s3": ("IMPORT_REFUSED", "RAISE EXCEPTION 'HTTP 403. Permission denied' USING ERRCODE = 'XX000'", "HTTP 403"),
    "busy": ("NETWORK", "RAISE EXCEPTION 'HTTP 503. Slow Down' USING ERRCODE = 'XX000'", "HTTP 503"),
    "count": ("CONSTRAINT_VIOLATED", "RETURN '1 rows imported into relation'", "took 1 of 3 records"),
    "words": ("WAREHOUSE_ERROR", "RETURN 'done'", "'done'"),
}


def test_a_copy_that_fails_changes_nothing_and_says_why(server: Server) -> None:
    """And works when it is tried again."""
    server.begin()
    server.load("merge0", **CONTRACT)
    before = server.kept()
    body = server.one("SELECT prosrc FROM pg_proc WHERE proname = 'table_import_from_s3'")
    replace = (
        "CREATE OR REPLACE FUNCTION aws_s3.table_import_from_s3(table_name text, column_list text, options text, "
        "s3_info aws_commons._s3_uri_1) RETURNS text LANGUAGE plpgsql AS $own$"
    )
    for code, harm, words in HARMS.values():
        server.rows(f"{replace} BEGIN {harm}; END $own$")
        failed = server.fails("merge1", **CONTRACT)
        assert (failed.code, words in failed.detail) == (code, True), failed.detail
        assert server.kept() == before
    server.rows(f"{replace}{body}$own$")
    [text] = (server.lake / "merge1/_checked/load_orders/text").glob("part-*")
    hidden = text.rename(text.with_name("_hidden"))
    assert server.fails("merge1", **CONTRACT).code == "CHECKS_OUTDATED"
    hidden.rename(text)
    assert server.load("merge1", **CONTRACT).counts.stale == 1


def test_a_load_that_is_killed_ends_right_when_it_is_tried_again(server: Server) -> None:
    """Into a full table, by way of the stage."""
    found = []
    dying = Dying("tests.targets.on_cluster.loader")
    try:
        for point in (None, *loader.POINTS):
            server.begin()
            server.load("merge0", **CONTRACT)
            before = server.kept()
            words = {"source": "s3://lake/merge1/", "conninfo": server.conninfo, "endpoint_url": server.s3.endpoint_url}
            ended = dying.load(**words, options=CONTRACT, point=point)
            assert ended == (0 if point is None else signal.SIGKILL)
            if point != "all is committed" and point is not None:
                assert server.kept() == before
            wanted = "loaded" if server.kept() == before else "skipped"
            assert server.load("merge1", **CONTRACT).status == wanted
            found.append(server.kept())
    finally:
        dying.end()
    assert all(one == found[0] for one in found)

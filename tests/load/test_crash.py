"""Loaders that die, hang or run at once: no partial rows, no row twice, counts that are right."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.load.loading import result, start_loader

COLUMNS = {"id": "bigint", "v": "text", "at": "bigint"}
SUM = "inserted + updated + unchanged + stale + deduplicated + dead + rejected"
BALANCED = f"SELECT bool_and(read = {SUM}) FROM sluicegate.loads"
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"


def start(warehouse: Any, source: Path, run: str = "r", **words: object) -> subprocess.Popen[str]:
    facts = {
        "conninfo": warehouse.conninfo,
        "source": str(source),
        "table": "t",
        "run": run,
        "columns": COLUMNS,
        **words,
    }
    return start_loader(facts)


def rows_of(version: int, count: int) -> list[list[object]]:
    rows: list[list[object]] = [[n, f"v{version}", version] for n in range(count)]
    random.Random(version).shuffle(rows)
    return [*rows, ["bad", "x", 1], [5, "older", 0]]


def test_a_loader_killed_anywhere_leaves_all_or_nothing_and_the_retry_is_right(warehouse: Any) -> None:
    count = 20_000
    before = warehouse.csv("0.csv", ["id", "v", "at"], rows_of(0, count // 2)[:-2])
    warehouse.load(before, key="id", newest_by="at", columns=COLUMNS)
    source = warehouse.csv("1.csv", ["id", "v", "at"], rows_of(1, count))
    alone = start(warehouse, source, newest_by="at", table="probe")
    began = time.monotonic()
    result(alone)
    whole = time.monotonic() - began
    killed = 0
    for step in range(8):
        process = start(warehouse, source, f"r{step}", newest_by="at")
        time.sleep(whole * step / 8)  # the first at once: that one cannot have ended
        process.kill()
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
        # The server may not have noticed the death yet, and commit at this moment: all is asked for at once.
        [seen] = warehouse.rows(
            "SELECT (SELECT count(*) FROM sluicegate.loads WHERE target = 'public.t') - 1,"
            " (SELECT count(*) FROM t WHERE v = 'v1'),"
            " (SELECT count(*) FROM sluicegate.dead_letters WHERE target = 'public.t')"
        )
        assert seen in {(0, 0, 0), (1, count, 1)}
    assert killed, "no process was caught in the act"
    report = result(start(warehouse, source, "last", newest_by="at"))
    assert (report["read"], report["inserted"], report["updated"], report["dead"], report["deduplicated"]) == (
        count + 2, count // 2, count // 2, 1, 1,
    )  # fmt: skip
    assert warehouse.rows("SELECT count(*), count(DISTINCT id), min(v), max(v) FROM t") == [(count, count, "v1", "v1")]
    assert warehouse.one("SELECT count(*) FROM sluicegate.loads WHERE target = 'public.t'") == 2
    assert warehouse.one("SELECT count(*) FROM sluicegate.dead_letters WHERE target = 'public.t'") == 1
    assert warehouse.one(BALANCED)


def test_a_retry_waits_for_a_hung_holder_and_completes_when_it_is_killed(warehouse: Any) -> None:
    """The first loader is stopped in its transaction: it holds the lock and has written rows that nobody sees."""
    warehouse.load(warehouse.csv("0.csv", ["id", "v", "at"], [[1, "old", 0]]), key="id", columns=COLUMNS)
    source = warehouse.csv("1.csv", ["id", "v", "at"], rows_of(1, 3_000))
    with psycopg.connect(warehouse.conninfo) as row_lock:
        # A row lock of somebody else holds the first loader in its upsert.
        row_lock.execute("SELECT * FROM t WHERE id = 1 FOR UPDATE")
        first = start(warehouse, source, "first")
        waiting = f"{SESSIONS} AND wait_event_type = 'Lock' AND query LIKE 'MERGE INTO%'"
        warehouse.until(waiting)
        first.send_signal(signal.SIGSTOP)
        second = start(warehouse, source, "second")
        warehouse.until(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'",
        )
        assert second.poll() is None
        row_lock.rollback()
    time.sleep(0.3)
    assert second.poll() is None, "the first is stopped and its transaction still open"
    assert warehouse.one("SELECT count(*) FROM t") == 1
    first.kill()
    first.communicate()
    report = result(second)
    assert (report["status"], report["inserted"], report["updated"], report["dead"]) == ("loaded", 2_999, 1, 1)
    assert warehouse.one("SELECT count(*) FROM t") == 3_000


def test_the_server_notices_a_killed_client_in_a_statement_that_waits(warehouse: Any) -> None:
    warehouse.load(warehouse.csv("0.csv", ["id", "v", "at"], [[1, "old", 0]]), key="id", columns=COLUMNS)
    source = warehouse.csv("1.csv", ["id", "v", "at"], rows_of(1, 100))
    with psycopg.connect(warehouse.conninfo) as row_lock:
        row_lock.execute("SELECT * FROM t WHERE id = 1 FOR UPDATE")
        first = start(warehouse, source, "first")
        running = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'MERGE INTO%'"
        )
        warehouse.until(running)
        first.kill()
        first.communicate()
        warehouse.until(f"SELECT ({running}) = 0")


def test_three_loaders_at_once_on_the_same_keys_and_a_table_that_does_not_exist(warehouse: Any) -> None:
    sources = [warehouse.csv(f"{v}.csv", ["id", "v", "at"], rows_of(v, 3_000)) for v in (1, 2, 3)]
    reports = [result(each) for each in [start(warehouse, source, newest_by="at") for source in sources]]
    assert warehouse.rows("SELECT count(*), min(v), max(v) FROM t") == [(3_000, "v3", "v3")]
    assert sum(report["inserted"] for report in reports) == 3_000
    assert sum(report["inserted"] + report["updated"] + report["stale"] for report in reports) == 9_000
    assert warehouse.one("SELECT count(*) FROM sluicegate.loads") == 3
    assert warehouse.one(BALANCED)


def test_the_same_source_three_times_at_once_is_loaded_once(warehouse: Any) -> None:
    source = warehouse.csv("1.csv", ["id", "v", "at"], rows_of(1, 3_000))
    reports = [result(each) for each in [start(warehouse, source) for _ in range(3)]]
    assert sorted(report["status"] for report in reports) == ["loaded", "skipped", "skipped"]
    assert {report["inserted"] for report in reports} == {3_000}
    assert warehouse.one("SELECT count(*) FROM sluicegate.loads") == 1


def test_a_writer_without_our_lock_turns_a_copy_into_a_merge(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (id bigint PRIMARY KEY, v text, at bigint)")
    source = warehouse.csv("1.csv", ["id", "v", "at"], rows_of(1, 100))
    with psycopg.connect(warehouse.conninfo) as foreign:
        foreign.execute("INSERT INTO t VALUES (7, 'foreign', 9)")
        loader = start(warehouse, source)
        warehouse.until(
            f"{SESSIONS} AND query LIKE 'COPY%' AND wait_event_type = 'Lock'",
        )
        foreign.commit()
    report = result(loader)
    assert (report["inserted"], report["updated"]) == (99, 1)
    assert warehouse.one("SELECT count(*) FROM t") == 100


def test_a_waiting_load_says_for_whom_it_waits(warehouse: Any, caplog: pytest.LogCaptureFixture) -> None:
    from sluicegate.load.load import load
    from sluicegate.storage import Storage
    from sluicegate.targets.postgres.target import lock_of

    caplog.set_level("INFO", "sluicegate.load")
    source = warehouse.csv("1.csv", ["id", "v", "at"], [[1, "a", 1]])
    target = warehouse.target(watch_seconds=0.2)
    with psycopg.connect(f"{warehouse.conninfo} application_name='the night job'") as holder:
        holder.execute("SELECT pg_advisory_xact_lock(%s)", [lock_of(target.inspect())])
        import threading

        thread = threading.Thread(target=load, args=(warehouse.request(source, key="id"), Storage(), target))
        thread.start()
        while thread.is_alive() and "the night job" not in caplog.text:
            time.sleep(0.02)
        holder.rollback()
        thread.join()
    assert "waiting for the lock on public.t" in caplog.text
    assert "the night job" in caplog.text
    assert warehouse.one("SELECT count(*) FROM t") == 1


def test_cancel_stops_a_load_and_nothing_is_kept(warehouse: Any) -> None:
    import threading

    from sluicegate.load.load import Loader
    from sluicegate.storage import Storage
    from sluicegate.targets.postgres.target import lock_of

    target = warehouse.target()
    loader = Loader(warehouse.request(warehouse.csv("1.csv", ["id"], [[1]]), key="id"), Storage(), target)
    raised: list[BaseException] = []

    def run() -> None:
        try:
            loader.run()
        except BaseException as error:
            raised.append(error)

    with psycopg.connect(warehouse.conninfo) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(%s)", [lock_of(target.inspect())])
        thread = threading.Thread(target=run)
        thread.start()
        warehouse.until(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'",
        )
        loader.cancel()
        thread.join(120)
    assert isinstance(raised[0], psycopg.errors.QueryCanceled)
    assert warehouse.one("SELECT to_regclass('t') IS NULL")

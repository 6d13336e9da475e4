"""kill -9 of a worker in the middle of a load: no partial rows, the retry completes, the counts are right."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import psycopg
import pytest

from sluicegate.testing.airflow import wait_until
from tests.airflow.conftest import Airflow

PIPELINE = """\
sluicegate: 1
owner: tests
schedule: none
retries: {count: 3, delay: 1s, max_delay: 2s}
steps:
  load_it:
    load: s3://landing/NAME.csv
    into: table://warehouse/NAME
    key: id
    columns: {id: integer, value: {type: text, required: true}}
"""


def rows(count: int, value: str) -> bytes:
    """A bad record among `count` good ones."""
    lines = [f"{number},{value}" for number in range(count)]
    return "\n".join(["id,value", *lines, f"{count},", ""]).encode()


def waits_for_table(airflow: Airflow) -> bool:
    """Whether a load, with its transaction open, waits for its table."""
    query = (
        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND wait_event = 'relation' "
        "AND application_name LIKE 'sluicegate%%'"
    )
    return bool(airflow.sql(query))


@contextmanager
def table_locked(airflow: Airflow, table: str) -> Iterator[None]:
    """Until the end of the block every write to the table waits."""
    with psycopg.connect(airflow.stack.warehouse_dsn) as connection:
        connection.execute(f"LOCK TABLE {table} IN SHARE MODE")  # type: ignore[arg-type]
        yield


def waiting_for_load(airflow: Airflow) -> bool:
    """Whether a second attempt waits for the first one's lock on the target."""
    query = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'advisory' AND application_name LIKE 'sluicegate%%'"
    return bool(airflow.sql(query))


@pytest.mark.parametrize("victim", ["task", "worker"])
def test_a_load_is_whole_whoever_is_killed(airflow: Airflow, victim: str) -> None:
    name = f"killed_{victim}"
    airflow.put("landing", f"{name}.csv", rows(100, "old"))
    airflow.write(f"{name}.yaml", PIPELINE.replace("NAME", name))
    airflow.wait_for_dag(name)
    first = airflow.trigger(name)
    assert airflow.wait(name, first, "load_it") == "success"

    airflow.put("landing", f"{name}.csv", rows(1000, "new"))
    with table_locked(airflow, name):
        run = airflow.trigger(name)
        wait_until(lambda: waits_for_table(airflow), 180, "the load to wait for its table")
        # Asked of Airflow: its tasks hide their connections from all users but root.
        loader = airflow.task(name, run, "load_it")["pid"]
        if victim == "task":
            os.kill(loader, signal.SIGKILL)
            wait_until(lambda: airflow.task(name, run, "load_it")["try_number"] == 2, 180, "the retry")
        else:
            # The loader lives on as an orphan with its transaction open; the retry must wait for it.
            parent = psutil.Process(loader).parent()
            assert parent is not None
            parent.kill()
            wait_until(lambda: waiting_for_load(airflow), 180, "the retry to wait for the orphan")
        assert airflow.sql(f"SELECT count(*), max(value) FROM {name}") == [(100, "old")]
    assert airflow.wait(name, run, "load_it") == "success"
    assert airflow.task(name, run, "load_it")["try_number"] >= 2
    assert airflow.sql(f"SELECT count(*), min(value), max(value) FROM {name}") == [(1000, "new", "new")]
    ledger = "SELECT status, read, inserted, updated, dead FROM sluicegate.loads WHERE pipeline = %s ORDER BY id"
    assert airflow.sql(ledger, name) == [("loaded", 101, 100, 0, 1), ("loaded", 1001, 900, 100, 1)]
    letters = "SELECT source_version, status, count(*) FROM sluicegate.dead_letters WHERE pipeline = %s GROUP BY 1, 2"
    assert [count for _, _, count in airflow.sql(letters, name)] == [1, 1]

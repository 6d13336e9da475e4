"""All kinds of steps, waits and dry runs in pipelines of the tests' own, in a real Airflow."""

from __future__ import annotations

from sluicegate.runtime.marks import RECOVERY_KEY
from sluicegate.testing.airflow import wait_until
from tests.airflow.conftest import Airflow

CODE = '''\
import pyarrow as pa
import pyarrow.compute as pc


def total(orders: pa.Table, factor: int) -> pa.Table:
    """Amounts by customer, times a factor."""
    sums = orders.group_by("customer").aggregate([("amount", "sum")]).sort_by("customer")
    return pa.table({"customer": sums["customer"], "total": pc.multiply(sums["amount_sum"], factor)})


def announce(reads: dict, window, greeting: str) -> str:
    return f"{greeting} {reads['totals']} of {window.ds}"
'''
PRODUCER = """\
sluicegate: 1
owner: tests
schedule: {cron: "@daily", start: 2026-03-01, end: 2026-03-02, catchup: true}
datasets:
  totals: s3://lake/totals/{{ ds }}.parquet
steps:
  sum_up:
    transform: steps_code:total
    reads: {orders: "s3://landing/steps/{{ ds }}.csv"}
    writes: totals
    with: {factor: 2}
    wait: 1h
  load_totals:
    load: totals
    into: table://warehouse/steps.totals
    key: customer
  announce:
    python: steps_code:announce
    reads: totals
    with: {greeting: hello}
    after: load_totals
  shout:
    operator: airflow.providers.standard.operators.bash.BashOperator
    with: {bash_command: "echo window {{ window.start.isoformat() }} to {{ window.end.isoformat() }}"}
    after: announce
"""
CONSUMER = """\
sluicegate: 1
owner: tests
schedule: {cron: "0 5 * * *", start: 2026-03-01, end: 2026-03-02, catchup: true}
steps:
  load_again:
    load: steps_producer.totals
    into: table://warehouse/steps.copies
    key: customer
"""


def test_a_file_that_comes_late_goes_all_the_way_through(airflow: Airflow) -> None:
    airflow.write("steps_code.py", CODE)
    airflow.write("steps_producer.yaml", PRODUCER)
    airflow.write("steps_consumer.yaml", CONSUMER)
    for dag in ("steps_producer", "steps_consumer"):
        airflow.wait_for_dag(dag)
    run = airflow.first_run("steps_producer")
    reader = airflow.first_run("steps_consumer")
    waits = [task for task in airflow.states("steps_producer", run) if task.startswith("wait_for")]
    assert len(waits) == 1
    airflow.wait_for_deferred("steps_producer", run, waits[0])
    assert airflow.task("steps_producer", run, "sum_up")["state"] is None

    airflow.put("landing", "steps/2026-03-01.csv", b"customer,amount\nann,1\nbob,2\nann,3\n")
    for dag, its_run, task in (
        ("steps_producer", run, "shout"),
        ("steps_consumer", reader, "load_again"),
    ):
        assert airflow.wait(dag, its_run, task, timeout=300) == "success"
    assert airflow.sql("SELECT customer, total FROM steps.totals ORDER BY 1") == [("ann", 8), ("bob", 4)]
    assert airflow.sql("SELECT customer, total FROM steps.copies ORDER BY 1") == [("ann", 8), ("bob", 4)]
    assert (
        airflow.result("steps_producer", run, "announce") == "hello s3://lake/totals/2026-03-01.parquet of 2026-03-01"
    )
    assert "window 2026-03-01T00:00:00+00:00 to 2026-03-02T00:00:00+00:00" in airflow.log(
        "steps_producer", run, "shout"
    )


DRY_PRODUCER = """\
sluicegate: 1
owner: tests
schedule: {cron: "@daily", start: 2026-03-01}
datasets: {file: "s3://landing/dry/{{ ds }}.csv"}
steps:
  make:
    python: dry_code:make
    writes: file
  load_it:
    load: file
    into: table://warehouse/dry.rows
    key: day
"""
DRY_CONSUMER = """\
sluicegate: 1
owner: tests
schedule: {cron: "@daily", start: 2026-03-01}
steps:
  read_it: {load: dry_producer.file, into: table://warehouse/dry.copies, key: day}
"""
DRY_CODE = """\
from airflow.providers.amazon.aws.hooks.s3 import S3Hook


def make(writes, window, dry_run):
    if not dry_run:
        bucket, key = S3Hook.parse_s3_url(writes["file"])
        S3Hook("aws_default").load_bytes(f"day\\n{window.ds}\\n".encode(), key, bucket, replace=True)
"""
DAY = "2026-03-05T00:00:00+00:00"


def test_a_dry_run_changes_nothing_and_no_reader_counts_it(airflow: Airflow) -> None:
    airflow.write("dry_code.py", DRY_CODE)
    airflow.write("dry_producer.yaml", DRY_PRODUCER)
    airflow.write("dry_consumer.yaml", DRY_CONSUMER)
    for dag in ("dry_producer", "dry_consumer"):
        airflow.wait_for_dag(dag)
    reader = backfill(airflow, "dry_consumer", dry_run=False)
    dry = backfill(airflow, "dry_producer", dry_run=True)
    assert airflow.wait("dry_producer", dry, "make") == "success"
    airflow.wait("dry_producer", dry, "load_it")
    # Other days are the scheduler's, and real.
    if airflow.sql("SELECT to_regclass('dry.rows')") != [(None,)]:
        assert airflow.sql("SELECT count(*) FROM dry.rows WHERE day = %s", DAY[:10]) == [(0,)]
    wait = next(task for task in airflow.states("dry_consumer", reader) if task.startswith("wait_for"))
    wait_until(lambda: "dry run" in airflow.log("dry_consumer", reader, wait), 180, "the wait to see a dry run")
    assert airflow.task("dry_consumer", reader, wait)["state"] == "deferred"

    # The same window for real: the reader goes on.
    backfill(airflow, "dry_producer", dry_run=False)
    assert airflow.wait("dry_consumer", reader, "read_it", timeout=300) == "success"
    for table in ("rows", "copies"):
        assert airflow.sql(f"SELECT count(*) FROM dry.{table} WHERE day = %s", DAY[:10]) == [(1,)]


def backfill(airflow: Airflow, dag_id: str, *, dry_run: bool) -> str:
    """A run of the window that begins on DAY, as a person starts one; its id."""
    body = {
        "dag_id": dag_id, "from_date": DAY, "to_date": DAY,
        "reprocess_behavior": "completed", "dag_run_conf": {"dry_run": dry_run},
    }  # fmt: skip
    # Airflow takes up to half a minute to see that an earlier backfill is over.
    wait_until(lambda: airflow.api.post("/backfills", json=body).status_code != 409, 180, "the earlier backfill")
    return airflow.run_of(dag_id, DAY[:10])


def test_force_loads_again_what_the_ledger_knows_and_afterwards_the_ledger_is_asked(airflow: Airflow) -> None:
    airflow.put("inbox", "forced.csv", b"id,name\n1,Ann\n")
    runs = [(False, "loaded"), (False, "skipped"), (True, "loaded"), (False, "skipped")]
    for number, (force, status) in enumerate(runs):
        run = airflow.trigger("inbox", file="forced.csv", table="forced", force=force)
        assert airflow.wait("inbox", run, "load_file") == "success"
        assert airflow.result("inbox", run, "load_file")["status"] == status, number
        assert airflow.sql("SELECT * FROM inbox.forced") == [(1, "Ann")] * (2 if number >= 2 else 1)


def test_force_can_be_asked_for_before_a_clear_and_holds_once(airflow: Airflow) -> None:
    airflow.put("inbox", "asked.csv", b"id,name\n1,Ann\n")
    run = airflow.trigger("inbox", file="asked.csv", table="asked")
    assert airflow.wait("inbox", run, "load_file") == "success"
    mark = f"/dags/inbox/dagRuns/{run}/taskInstances/load_file/state-store/{RECOVERY_KEY}"
    airflow.api.put(mark, json={"value": {"plan": "p", "force": True}}).raise_for_status()
    for status, rows in (("loaded", 2), ("skipped", 2)):
        airflow.clear("inbox", run, "load_file")
        assert airflow.ended("inbox", run) == "success"
        assert airflow.result("inbox", run, "load_file")["status"] == status
        assert airflow.sql("SELECT * FROM inbox.asked") == [(1, "Ann")] * rows
        assert airflow.api.get(mark).status_code == 404

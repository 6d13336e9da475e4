"""Mapped steps of every sort, groups, setup and teardown, and every kind of wait, in a real Airflow."""

from __future__ import annotations

import psycopg

from tests.airflow.conftest import Airflow

CODE = """\
import pyarrow as pa


def regions():
    return ["eu", "us"]


def shape(orders: pa.Table, item) -> pa.Table:
    return orders.append_column("region", pa.array([item] * len(orders)))


def boom():
    raise ValueError("meant to fail")


def tell(window, item=None):
    return f"{item} of {window.ds}"
"""
DAILY = 'sluicegate: 1\nowner: tests\nschedule: {cron: "@daily", start: 2026-03-01, end: 2026-03-02, catchup: true}\n'
BASH = "operator: airflow.providers.standard.operators.bash.BashOperator"
REACH = (
    DAILY
    + f"""\
datasets:
  part: s3://lake/reach/{{{{ ds }}}}/{{{{ item }}}}.parquet
  whole: s3://lake/reach/{{{{ ds }}}}/
steps:
  create: {{{BASH}, with: {{bash_command: "echo created"}}, group: work}}
  regions: {{python: "reach_code:regions", after: create, group: work.plan}}
  shape:
    transform: reach_code:shape
    for_each: {{output_of: regions, max_active: 1}}
    reads: {{orders: "s3://landing/reach/{{{{ ds }}}}/{{{{ item }}}}.csv"}}
    writes: {{out: part}}
    after: bring
    group: work
  load_all: {{load: whole, into: table://warehouse/reach.totals, key: [region, customer]}}
  bring:
    for_each: {{files: "s3://landing/reach/{{{{ ds }}}}/*.csv"}}
    load: "{{{{ item }}}}"
    into: table://warehouse/reach.orders
    key: customer
    columns: {{amount: integer}}
    wait: 1h
  say:
    {BASH}
    for_each: {{items: [{{word: hello, n: 1}}, {{word: bye, n: 2}}], label: "{{{{ item.word }}}}"}}
    with:
      bash_command: echo {{{{ item.word }}}} no {{{{ item.n }}}} of {{{{ window.start.date() }}}}
      execution_timeout: 1m
    after: create
  nothing:
    {BASH}
    with: {{bash_command: "echo {{{{ item }}}}"}}
    for_each: {{files: "s3://landing/none/*", empty: skip}}
  boom: {{python: "reach_code:boom", after: create, retries: 0}}
  delete: {{{BASH}, with: {{bash_command: "echo deleted"}}, teardown_of: create}}
"""
)
READER = DAILY.replace('"@daily"', '"0 5 * * *"') + (
    "steps: {copy: {load: reach.whole, into: table://warehouse/reach.copies, key: [region, customer]}}\n"
)
AFTER = DAILY + (
    "steps:\n"
    "  after_task: {python: 'reach_code:tell', after: {dag: reach, task: say}, wait: 1h}\n"
    "  after_dag: {python: 'reach_code:tell', after: {dag: reach_once}, wait: 1h}\n"
)
REFERENCE = (
    "sluicegate: 1\nowner: tests\ndatasets: {codes: 's3://lake/reach_codes.csv'}\n"
    f"steps: {{make: {{{BASH}, with: {{bash_command: 'true'}}, writes: codes}}}}\n"
)
LATEST = (
    "sluicegate: 1\nowner: tests\nsteps:\n"
    "  look: {python: 'reach_code:tell', reads: {c: {dataset: reach_codes.codes, latest: true}}}\n"
)
SKIPS = (
    DAILY
    + """\
datasets: {nothing: table://warehouse/reach.nothing}
steps:
  bring:
    load: "{{ item }}"
    for_each: {files: "s3://landing/none/*.csv", empty: skip}
    into: nothing
    key: customer
"""
)
SKIPPED = (
    DAILY
    + """\
steps:
  follows: {python: "reach_code:tell", reads: {n: reach_skips.nothing}}
  goes_on:
    python: "reach_code:tell"
    reads: {n: {dataset: reach_skips.nothing, on_upstream_skipped: run}}
    pool: reach
"""
)
ROW = (
    "sluicegate: 1\nowner: tests\nsteps:\n"
    "  look: {python: 'reach_code:tell', reads: {s: 'table://warehouse/reach.signals'}, wait: 1h}\n"
)


def test_mapped_steps_groups_setups_and_teardowns_run(airflow: Airflow) -> None:
    airflow.put("landing", "there", b"")  # a bucket that is missing is not waited for
    airflow.write("reach_code.py", CODE)
    airflow.write("reach.yaml", REACH)
    airflow.write("reach_reader.yaml", READER)
    for dag in ("reach", "reach_reader"):
        airflow.wait_for_dag(dag)
    run = airflow.first_run("reach")
    reader = airflow.first_run("reach_reader")
    airflow.wait_for_deferred("reach", run, "wait_for__bring")
    airflow.wait_for_deferred("reach_reader", reader, "wait_for__reach__shape")
    airflow.put("landing", "reach/2026-03-01/us.csv", b"customer,amount\nbob,2\n")
    airflow.put("landing", "reach/2026-03-01/eu.csv", b"customer,amount\nann,1\ncid,3\n")
    airflow.wait_for_all("reach", run, "delete", "load_all", "bring", timeout=300)
    seen = airflow.states("reach", run)
    assert seen["shape"] == seen["bring"] == seen["say"] == ["success"] * 2
    assert seen["nothing"] == ["skipped"]
    assert seen["boom"] == ["failed"]
    assert seen["delete"] == ["success"], "a teardown runs although something failed"
    rows = [("ann", 1, "eu"), ("cid", 3, "eu"), ("bob", 2, "us")]
    assert airflow.sql("SELECT customer, amount, region FROM reach.totals ORDER BY region, customer") == rows
    assert airflow.sql("SELECT customer, amount FROM reach.orders ORDER BY 1") == [("ann", 1), ("bob", 2), ("cid", 3)]
    loads = "SELECT source FROM sluicegate.loads WHERE step = 'bring' AND pipeline = 'reach' ORDER BY 1"
    assert [source for (source,) in airflow.sql(loads)] == [
        f"s3://landing/reach/2026-03-01/{region}.csv" for region in ("eu", "us")
    ]
    labels = {task["task_id"]: set[str]() for task in airflow.instances("reach", run)}
    for task in airflow.instances("reach", run):
        labels[task["task_id"]].add(task["rendered_map_index"])
    assert labels["say"] == {"hello", "bye"}
    assert labels["bring"] == {"eu.csv", "us.csv"}
    assert labels["shape"] == {"eu", "us"}
    assert "bye no 2 of 2026-03-01" in airflow.log("reach", run, "say", map_index=1)

    # All instances of the mapped step are there: who reads the folder goes on.
    airflow.wait_for_all("reach_reader", reader, "copy", timeout=300)
    assert airflow.sql("SELECT count(*) FROM reach.copies") == [(3,)]


def test_a_dag_and_a_task_of_another_dag_are_waited_for(airflow: Airflow) -> None:
    airflow.write("reach_after.yaml", AFTER)
    airflow.wait_for_dag("reach_after")
    run = airflow.first_run("reach_after")
    # The mapped task has run for this window; the DAG that is not there yet keeps its reader waiting.
    airflow.wait_for_all("reach_after", run, "after_task", timeout=300)
    assert airflow.states("reach_after", run)["after_task"] == ["success"]
    airflow.wait_for_deferred("reach_after", run, "wait_for__reach_once")
    airflow.write("reach_once.yaml", DAILY + f"steps: {{a: {{{BASH}, with: {{bash_command: 'true'}}}}}}\n")
    airflow.wait_for_all("reach_after", run, "after_dag", timeout=300)
    assert airflow.states("reach_after", run)["after_dag"] == ["success"]


def test_latest_asks_for_one_success_ever(airflow: Airflow) -> None:
    airflow.write("reach_codes.yaml", REFERENCE)
    airflow.write("reach_latest.yaml", LATEST)
    for dag in ("reach_codes", "reach_latest"):
        airflow.wait_for_dag(dag)
    run = airflow.trigger("reach_latest")
    airflow.wait_for_deferred("reach_latest", run, "wait_for__reach_codes__make")
    airflow.trigger("reach_codes", logical_date="2020-01-01T00:00:00Z")
    assert airflow.wait("reach_latest", run, "look") == "success"


def test_a_row_in_a_table_is_waited_for(airflow: Airflow) -> None:
    airflow.write("reach_row.yaml", ROW)
    airflow.wait_for_dag("reach_row")
    run = airflow.trigger("reach_row")
    airflow.wait_for_deferred("reach_row", run, "wait_for__look")
    write_signal(airflow)
    assert airflow.wait("reach_row", run, "look") == "success"


def write_signal(airflow: Airflow) -> None:
    with psycopg.connect(airflow.stack.warehouse_dsn, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS reach")
        connection.execute("CREATE TABLE reach.signals (ready integer)")
        connection.execute("INSERT INTO reach.signals VALUES (1)")


def test_a_reader_of_a_skipped_step_is_skipped_or_goes_on_at_once(airflow: Airflow) -> None:
    airflow.put("landing", "there", b"")
    airflow.write("reach_code.py", CODE)
    airflow.write("reach_skips.yaml", SKIPS)
    airflow.write("reach_skipped.yaml", SKIPPED)
    for dag in ("reach_skips", "reach_skipped"):
        airflow.wait_for_dag(dag)
    reader = airflow.first_run("reach_skipped")
    airflow.wait_for_all("reach_skipped", reader, "follows", "goes_on", timeout=300)
    seen = airflow.states("reach_skipped", reader)
    assert (seen["wait_for__reach_skips__bring"], seen["follows"]) == (["skipped"], ["skipped"])
    assert (seen["wait_for__reach_skips__bring_2"], seen["goes_on"]) == (["success"], ["success"])
    # Airflow starts no task in a pool that is not there: the stack has made it, because a file names it.
    assert airflow.get("/pools/reach")["slots"] == 8

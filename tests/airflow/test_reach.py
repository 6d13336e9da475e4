"""Mapped steps of every sort, groups, setup and teardown, and every kind of wait, in a real Airflow."""

from __future__ import annotations

from typing import Any

import psycopg

from tests.airflow.conftest import FINISHED, Airflow, wait_until

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
ROW = (
    "sluicegate: 1\nowner: tests\nsteps:\n"
    "  look: {python: 'reach_code:tell', reads: {s: 'table://warehouse/reach.signals'}, wait: 1h}\n"
)


def test_mapped_steps_groups_setups_and_teardowns_run(airflow: Airflow) -> None:
    airflow.write("reach_code.py", CODE)
    airflow.write("reach.yaml", REACH)
    airflow.write("reach_reader.yaml", READER)
    for dag in ("reach", "reach_reader"):
        airflow.wait_for_dag(dag)
    run = wait_until(lambda: first_run(airflow, "reach"), 60, "the run")
    reader = wait_until(lambda: first_run(airflow, "reach_reader"), 60, "the reader's run")
    wait_until(lambda: states(airflow, "reach", run).get("wait_for__bring") == ["deferred"], 60, "a wait for files")
    wait_until(
        lambda: states(airflow, "reach_reader", reader).get("wait_for__reach__shape") == ["deferred"], 60, "a wait"
    )
    airflow.put("landing", "reach/2026-03-01/us.csv", b"customer,amount\nbob,2\n")
    airflow.put("landing", "reach/2026-03-01/eu.csv", b"customer,amount\nann,1\ncid,3\n")
    wait_until(lambda: all_ended(airflow, "reach", run, "delete", "load_all", "bring"), 180, "the run to end")
    seen = states(airflow, "reach", run)
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
    labels = {task["task_id"]: set[str]() for task in instances(airflow, "reach", run)}
    for task in instances(airflow, "reach", run):
        labels[task["task_id"]].add(task["rendered_map_index"])
    assert labels["say"] == {"hello", "bye"}
    assert labels["bring"] == {"eu.csv", "us.csv"}
    assert labels["shape"] == {"eu", "us"}
    assert "bye no 2 of 2026-03-01" in log_of(airflow, "reach", run, "say", 1)

    # All instances of the mapped step are there: who reads the folder goes on.
    wait_until(lambda: all_ended(airflow, "reach_reader", reader, "copy"), 120, "the reader")
    assert airflow.sql("SELECT count(*) FROM reach.copies") == [(3,)]


def test_a_dag_and_a_task_of_another_dag_are_waited_for(airflow: Airflow) -> None:
    airflow.write("reach_after.yaml", AFTER)
    airflow.wait_for_dag("reach_after")
    run = wait_until(lambda: first_run(airflow, "reach_after"), 60, "the run")
    # The mapped task has run for this window; the DAG that is not there yet keeps its reader waiting.
    wait_until(lambda: all_ended(airflow, "reach_after", run, "after_task"), 90, "the wait for a task")
    assert states(airflow, "reach_after", run)["after_task"] == ["success"]
    wait_until(lambda: states(airflow, "reach_after", run)["wait_for__reach_once"] == ["deferred"], 60, "a wait")
    airflow.write("reach_once.yaml", DAILY + f"steps: {{a: {{{BASH}, with: {{bash_command: 'true'}}}}}}\n")
    wait_until(lambda: all_ended(airflow, "reach_after", run, "after_dag"), 120, "the wait for a whole DAG")
    assert states(airflow, "reach_after", run)["after_dag"] == ["success"]


def test_latest_asks_for_one_success_ever(airflow: Airflow) -> None:
    airflow.write("reach_codes.yaml", REFERENCE)
    airflow.write("reach_latest.yaml", LATEST)
    for dag in ("reach_codes", "reach_latest"):
        airflow.wait_for_dag(dag)
    run = airflow.trigger("reach_latest")
    wait_until(
        lambda: states(airflow, "reach_latest", run)["wait_for__reach_codes__make"] == ["deferred"], 60, "a wait"
    )
    airflow.trigger("reach_codes", logical_date="2020-01-01T00:00:00Z")
    assert airflow.wait("reach_latest", run, "look") == "success"


def test_a_row_in_a_table_is_waited_for(airflow: Airflow) -> None:
    airflow.write("reach_row.yaml", ROW)
    airflow.wait_for_dag("reach_row")
    run = airflow.trigger("reach_row")
    wait_until(lambda: states(airflow, "reach_row", run)["wait_for__look"] == ["deferred"], 60, "a wait")
    write_signal(airflow)
    assert airflow.wait("reach_row", run, "look") == "success"


def write_signal(airflow: Airflow) -> None:
    with psycopg.connect(airflow.stack.warehouse_dsn, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS reach")
        connection.execute("CREATE TABLE reach.signals (ready integer)")
        connection.execute("INSERT INTO reach.signals VALUES (1)")


def first_run(airflow: Airflow, dag_id: str) -> str | None:
    found = airflow.api.post("/dags/~/dagRuns/list", json={"dag_ids": [dag_id]}).raise_for_status().json()["dag_runs"]
    return str(found[0]["dag_run_id"]) if found else None


def instances(airflow: Airflow, dag_id: str, run_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = airflow.get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", limit=100)[
        "task_instances"
    ]
    return found


def states(airflow: Airflow, dag_id: str, run_id: str) -> dict[str, list[str | None]]:
    """By task id, the states of its instances."""
    found: dict[str, list[str | None]] = {}
    for task in instances(airflow, dag_id, run_id):
        found.setdefault(task["task_id"], []).append(task["state"])
    return found


def all_ended(airflow: Airflow, dag_id: str, run_id: str, *task_ids: str) -> bool:
    seen = states(airflow, dag_id, run_id)
    return all(state in FINISHED for task in task_ids for state in seen.get(task, [None]))


def log_of(airflow: Airflow, dag_id: str, run_id: str, task_id: str, index: int) -> str:
    path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/1"
    answer = airflow.api.get(path, params={"map_index": index}, headers={"Accept": "application/json"})
    content = answer.raise_for_status().json()["content"]
    return "\n".join(str(entry["event"]) if isinstance(entry, dict) else str(entry) for entry in content)

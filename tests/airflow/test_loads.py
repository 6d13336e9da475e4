"""Loads of every kind in a real Airflow: modes and scopes, folders, Iceberg, fetches, results, dead letters again.

All runs are started at once; each test looks at what came of its own.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow.parquet as pq
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.airflow.conftest import Airflow
from tests.webserver import Answer, Asked, web_server

YEAR = datetime.now(UTC).year - 1
DAY = f"{YEAR}-01-01"
"""Where the window of all runs begins, the last whole year: one run starts by itself, and one by hand has it too."""
HEAD = f'sluicegate: 1\nowner: tests\nschedule: {{cron: "@yearly", start: {DAY}}}\n'
MODES = (
    HEAD
    + """\
params: {region: {type: ["null", string], default: null}}
steps:
  replace:
    load: s3://landing/loads/sales/{{ ds }}.csv
    into: table://warehouse/loads.sales
    mode: replace_window
    window_by: day
    scope: {region: "{{ params.region }}"}
    columns: {day: date}
  add: {load: s3://landing/loads/events.csv, into: table://warehouse/loads.events, mode: append}
  first_only: {load: s3://landing/loads/people.csv, into: table://warehouse/loads.people, mode: insert_only, key: id}
  delete:
    load: s3://landing/loads/changes.csv
    into: table://warehouse/loads.current
    key: id
    newest_by: at
    delete_when: {op: D}
    columns: {id: integer, at: integer}
"""
)
LAKE = (
    HEAD
    + """\
datasets: {orders: s3://lake/loads/orders/}
steps:
  to_folder:
    load: s3://landing/loads/orders.csv
    into: orders
    key: id
    columns: {id: {type: integer, between: [0, 9]}}
    dead_letters: {max: 50%}
    results: s3://lake/loads/checks/{{ ds }}/
    data_docs: true
  to_iceberg: {load: orders, into: iceberg://loads_ice/loads.orders, key: id}
"""
)
FETCHED = (
    HEAD
    + """\
datasets:
  shop: s3://raw/loads/shop/{{ ds }}/
  tickets: s3://raw/loads/tickets/{{ ds }}/
steps:
  fetch_shop:
    fetch: {sql: "SELECT id, amount, changed FROM loads.shop", connection: warehouse, watermark: changed}
    into: shop
  load_shop: {load: shop, into: table://warehouse/loads.shop_copy, key: id, newest_by: changed}
  fetch_tickets:
    fetch: {api: "URL/tickets", params: {day: "{{ ds }}"}, records: items, pages: {by: cursor, path: next}}
    into: tickets
  load_tickets: {load: tickets, into: table://warehouse/loads.tickets, key: id}
"""
)
BY_HAND = """\
from airflow.sdk import DAG
from sluicegate.load import DeadLettersOperator, LoadOperator

with DAG("loads_by_hand", schedule=None, params={"most": 99}):
    load = LoadOperator(
        task_id="load", source="s3://landing/loads/hand.csv", into="table://warehouse/loads.hand", key="id",
        columns={"n": {"type": "integer", "between": [0, 9]}}, dead_letters={"max": "90%"},
    )
    replay = DeadLettersOperator(
        task_id="replay", into="table://warehouse/loads.hand", action="replay", load_task_id="load", key="id",
        columns={"n": {"type": "integer", "between": [0, 99]}}, select={"rule": "between"}, reason="{{ run_id }}",
    )
    load >> replay
"""
FILES = {
    f"sales/{DAY}.csv": f"id,day,region,amount\n1,{DAY},EU,10\n2,{DAY},US,20\n",
    "events.csv": "what\nseen\nseen\n",
    "people.csv": "id,name\n1,Ann of the file\n2,Bob\n",
    "changes.csv": "id,at,op,v\n1,2,D,\n2,2,U,new\n",
    "orders.csv": "id,item\n1,tea\n2,milk\n50,gold\n",
    "hand.csv": "id,n\n1,5\n2,50\n3,x\n",
}
TABLES = f"""\
CREATE SCHEMA IF NOT EXISTS loads;
CREATE TABLE loads.sales (id bigint, day date, region text, amount bigint);
INSERT INTO loads.sales VALUES (7, '{DAY}', 'EU', 1), (8, '{YEAR - 1}-12-31', 'EU', 2);
CREATE TABLE loads.people (id bigint PRIMARY KEY, name text);
INSERT INTO loads.people VALUES (1, 'Ann');
CREATE TABLE loads.current (id integer PRIMARY KEY, at integer, v text);
INSERT INTO loads.current VALUES (1, 1, 'old'), (2, 1, 'old');
CREATE TABLE loads.shop (id bigint, amount numeric(8,2), changed timestamptz);
INSERT INTO loads.shop VALUES (1, 1.50, '2026-03-01 08:00+00'), (2, 2.25, '2026-03-01 09:00+00'), (3, 9, NULL);
"""


def tickets(asked: Asked) -> Answer:
    """Two pages, of the day that is asked for."""
    assert f"day={DAY}" in asked.path
    second = "cursor=2" in asked.path
    items = [{"id": 3, "text": "c"}] if second else [{"id": 1, "text": "a"}, {"id": 2, "text": "b"}]
    return Answer(json.dumps({"items": items, "next": None if second else 2}).encode())


@dataclass(frozen=True)
class Loads:
    """What ran. `runs` are the first runs, by DAG; `narrowed` is the second one of the modes, for one region."""

    airflow: Airflow
    runs: Mapping[str, str]
    narrowed: str
    catalog: Mapping[str, str]

    def counts(self, dag: str, task: str, run: str | None = None) -> dict[str, Any]:
        """What the task returned that is not zero, once the ledger says the same of each count."""
        report = self.airflow.result(dag, run or self.runs[dag], task)
        names = ("read", "inserted", "updated", "unchanged", "stale", "deduplicated", "deleted", "dead", "rejected")
        [row] = self.airflow.sql(
            f"SELECT {', '.join(names)}, removed FROM sluicegate.loads "
            "WHERE pipeline = %s AND step = %s AND run_id = %s",
            dag, task, run or self.runs[dag],
        )  # fmt: skip
        ledger = dict(zip((*names, "removed"), row, strict=True))
        said = report.get("counts", report)
        assert {name: said[name] for name in names} == {name: ledger[name] for name in names}
        assert ledger["read"] == sum(ledger[name] for name in names[1:])
        return {name: count for name, count in ledger.items() if count}


def faults(airflow: Airflow, dag: str, run: str) -> list[Any]:
    """What went wrong in a run."""
    failed = [task for task, states in airflow.states(dag, run).items() if "failed" in states]
    return [(task, airflow.fault(dag, run, task)) for task in failed]


@pytest.fixture(scope="module")
def loads(airflow: Airflow, tmp_path_factory: pytest.TempPathFactory) -> Loads:
    words = conninfo_to_dict(airflow.stack.warehouse_dsn)
    place = f"{words['user']}:{words['password']}@{words['host']}:{words['port']}/{words['dbname']}"
    catalog = {
        "type": "sql", "uri": f"postgresql+psycopg://{place}",
        "warehouse": f"file://{tmp_path_factory.mktemp('iceberg')}",
    }  # fmt: skip
    connection = {"connection_id": "loads_ice", "conn_type": "generic", "extra": json.dumps(catalog)}
    airflow.api.post("/connections", json=connection).raise_for_status()
    airflow.sql(TABLES)
    for name, text in FILES.items():
        airflow.put("landing", f"loads/{name}", text.encode())
    for bucket in ("lake", "raw"):
        airflow.put(bucket, "_made", b"")
    with web_server() as site:
        site.script = tickets
        airflow.write("loads/defaults.yaml", "connections: {ledger: warehouse}\n")
        airflow.write("loads/loads_modes.yaml", MODES)
        airflow.write("loads/loads_lake.yaml", LAKE)
        airflow.write("loads/loads_fetched.yaml", FETCHED.replace("URL", site.url))
        (airflow.workspace.by_hand / "loads_by_hand.py").write_text(BY_HAND)
        airflow.wait_for_dag("loads_by_hand")
        airflow.trigger("loads_by_hand")
        dags = ("loads_modes", "loads_lake", "loads_fetched", "loads_by_hand")
        runs = {dag: airflow.first_run(dag) for dag in dags}
        assert airflow.ended("loads_modes", runs["loads_modes"]) == "success"
        text = f"id,day,region,amount\n9,{DAY},EU,90\n2,{DAY},US,21\n"
        airflow.put("landing", f"loads/sales/{DAY}.csv", text.encode())
        narrowed = airflow.trigger("loads_modes", logical_date=datetime.now(UTC).isoformat(), region="EU")
        for dag in dags[1:]:
            assert airflow.ended(dag, runs[dag]) == "success", faults(airflow, dag, runs[dag])
        assert airflow.ended("loads_modes", narrowed) == "success", faults(airflow, "loads_modes", narrowed)
    return Loads(airflow, runs, narrowed, catalog)


def test_a_window_is_replaced_and_by_a_param_only_its_part(loads: Loads) -> None:
    assert loads.counts("loads_modes", "replace") == {"read": 2, "inserted": 2, "removed": 1}
    assert loads.counts("loads_modes", "replace", loads.narrowed) == {"read": 1, "inserted": 1, "removed": 1}
    rows = "SELECT id, region, amount FROM loads.sales ORDER BY 1"
    assert loads.airflow.sql(rows) == [(2, "US", 20), (8, "EU", 2), (9, "EU", 90)]


def test_events_are_added_once_the_first_stays_and_a_tombstone_deletes(loads: Loads) -> None:
    assert loads.counts("loads_modes", "add") == {"read": 2, "inserted": 2}
    assert loads.airflow.sql("SELECT what FROM loads.events") == [("seen",), ("seen",)]
    assert loads.counts("loads_modes", "first_only") == {"read": 2, "inserted": 1, "unchanged": 1}
    assert loads.airflow.sql("SELECT * FROM loads.people ORDER BY 1") == [(1, "Ann"), (2, "Bob")]
    assert loads.counts("loads_modes", "delete") == {"read": 2, "updated": 1, "deleted": 1}
    assert loads.airflow.sql("SELECT * FROM loads.current") == [(2, 2, "new")]
    for task in ("add", "first_only", "delete"):
        assert loads.airflow.result("loads_modes", loads.narrowed, task)["status"] == "skipped"


def test_a_folder_and_a_table_of_iceberg_have_the_good_records_and_the_checks_their_page(loads: Loads) -> None:
    from pyiceberg.catalog import load_catalog

    assert loads.counts("loads_lake", "to_folder") == {"read": 3, "inserted": 2, "dead": 1}
    assert loads.counts("loads_lake", "to_iceberg") == {"read": 2, "inserted": 2}
    s3 = loads.airflow.stack.s3()
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket="lake", Prefix="loads/")["Contents"]]
    [part] = [key for key in keys if key.startswith("loads/orders/")]
    body = s3.get_object(Bucket="lake", Key=part)["Body"].read()
    expected = [{"id": 1, "item": "tea"}, {"id": 2, "item": "milk"}]
    assert pq.read_table(io.BytesIO(body)).to_pylist() == expected
    table = load_catalog("loads_ice", **loads.catalog).load_table("loads.orders")
    assert sorted(table.scan().to_arrow().to_pylist(), key=lambda row: row["id"]) == expected
    [page] = [key for key in keys if key.endswith(".html")]
    [document] = [key for key in keys if key.endswith(".json")]
    assert page.startswith(f"loads/checks/{DAY}/")
    found = json.loads(s3.get_object(Bucket="lake", Key=document)["Body"].read())
    assert found["statistics"]["unsuccessful_expectations"] == 1
    assert b"expect" in s3.get_object(Bucket="lake", Key=page)["Body"].read().lower()


def test_rows_of_a_database_and_records_of_an_api_are_landed_and_loaded(loads: Loads) -> None:
    assert loads.counts("loads_fetched", "load_shop") == {"read": 2, "inserted": 2}
    assert loads.airflow.sql("SELECT id, amount::text FROM loads.shop_copy ORDER BY 1") == [(1, "1.50"), (2, "2.25")]
    assert loads.airflow.sql("SELECT count(*) FROM sluicegate.watermarks WHERE pipeline = 'loads_fetched'") == [(1,)]
    assert loads.counts("loads_fetched", "load_tickets") == {"read": 3, "inserted": 3}
    assert loads.airflow.sql("SELECT id, text FROM loads.tickets ORDER BY 1") == [(1, "a"), (2, "b"), (3, "c")]


def test_a_hand_written_dag_loads_and_replays_what_a_wider_rule_takes(loads: Loads) -> None:
    assert loads.counts("loads_by_hand", "load") == {"read": 3, "inserted": 1, "dead": 2}
    again = loads.airflow.result("loads_by_hand", loads.runs["loads_by_hand"], "replay")
    assert (again["replayed"], again["still_bad"]) == (1, 0)
    assert loads.airflow.sql("SELECT id, n FROM loads.hand ORDER BY 1") == [(1, 5), (2, 50)]
    letters = "SELECT line, status, reason FROM sluicegate.dead_letters WHERE pipeline = 'loads_by_hand' ORDER BY 1"
    assert loads.airflow.sql(letters) == [(3, "replayed", loads.runs["loads_by_hand"]), (4, "open", None)]
    assert loads.counts("loads_by_hand", "replay") == {"read": 1, "inserted": 1}


def test_airflow_knows_what_loads_read_and_write(loads: Loads) -> None:
    def tasks(name: str) -> list[tuple[str, str, str]]:
        """The side, DAG and task of each task that has the asset."""
        found = loads.airflow.get("/assets", name_pattern=name)["assets"]
        sides = ("producing_tasks", "consuming_tasks")
        return [(side, one["dag_id"], one["task_id"]) for asset in found for side in sides for one in asset[side]]

    assert tasks("s3://landing/loads/hand.csv") == [("consuming_tasks", "loads_by_hand", "load")]
    made_by = [("producing_tasks", "loads_by_hand", task) for task in ("load", "replay")]
    assert sorted(tasks("table://warehouse/loads.hand")) == made_by
    assert tasks("loads_lake.orders") == [
        ("producing_tasks", "loads_lake", "to_folder"), ("consuming_tasks", "loads_lake", "to_iceberg"),
    ]  # fmt: skip

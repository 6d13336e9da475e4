"""A pipeline fetches and loads, as Airflow's task runner does it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from airflow.sdk import DAG

from sluicegate.faults import FaultError
from sluicegate.sources import FetchOperator
from sluicegate.testing.pipelines import Pipelines
from sluicegate.testing.s3 import ScratchS3
from sluicegate.testing.step import StepInstance
from sluicegate.testing.warehouse import Warehouse
from tests.sources.conftest import day
from tests.webserver import Answer, WebServer

BY_SQL = """
sluicegate: 1
schedule: {cron: "@daily", start: 2026-01-01}
steps:
  load_orders:
    load: s3://raw/orders/{{ ds }}/
    into: table://warehouse/orders
    key: id
  fetch_orders:
    fetch: {sql: "SELECT * FROM shop.orders", connection: shop, watermark: changed_at}
    into: s3://raw/orders/{{ ds }}/
"""
BY_API = """
sluicegate: 1
schedule: {cron: "@daily", start: 2026-01-01}
datasets: {raw: "s3://raw/rates/{{ ds }}/"}
steps:
  fetch_rates:
    fetch: {api: URL, connection: partner, params: {day: "{{ ds }}"}, records: rates}
    into: raw
  load_rates: {load: raw, into: table://warehouse/rates, key: currency}
"""


@pytest.fixture
def write(tmp_path: Path, warehouse: Warehouse, s3: ScratchS3) -> Callable[..., Pipelines]:
    root = tmp_path / "dags"
    root.mkdir()
    (root / "defaults.yaml").write_text("connections: {ledger: ledger}\n")
    s3.make_bucket("raw")

    def write(**files: str) -> Pipelines:
        for name, text in files.items():
            (root / f"{name}.yaml").write_text(text)
        made = Pipelines(root, warehouse, s3)
        made.connections |= {"shop": warehouse.connection, "partner": "http://me:geheim@127.0.0.1"}
        return made

    return write


def test_rows_of_a_database_are_loaded_window_by_window(write: Callable[..., Pipelines], warehouse: Warehouse) -> None:
    with psycopg.connect(warehouse.conninfo) as shop:
        shop.execute("CREATE SCHEMA shop")
        shop.execute("CREATE TABLE shop.orders (id int, price numeric(8,2), changed_at timestamptz)")
        shop.execute(
            "INSERT INTO shop.orders VALUES (1, 1.50, '2026-01-01 10:00+00'), (2, 2.00, '2026-01-01 11:00+00')"
        )
    pipelines = write(orders=BY_SQL)
    run = pipelines.run("orders", "2026-01-01")
    assert run.states == {"fetch_orders": "success", "load_orders": "success"}
    assert run["load_orders"].inserted == 2
    with psycopg.connect(warehouse.conninfo) as shop:
        shop.execute("UPDATE shop.orders SET price = 9, changed_at = '2026-01-02 10:00+00' WHERE id = 2")
    run = pipelines.run("orders", "2026-01-02")
    assert (run["load_orders"].read, run["load_orders"].updated) == (1, 1)
    assert pipelines.rows("SELECT id, price FROM orders ORDER BY id")[1][1] == 9
    assert pipelines.one("SELECT count(*) FROM sluicegate.watermarks") == 2


def test_records_of_an_api_are_loaded(write: Callable[..., Pipelines], site: WebServer) -> None:
    site.answers = [Answer(json.dumps({"rates": [{"currency": "EUR", "rate": 1.10}]}).encode())]
    pipelines = write(rates=BY_API.replace("URL", f"{site.url}/rates"))
    assert pipelines.run("rates", "2026-01-01")["load_rates"].inserted == 1
    assert str(pipelines.one("SELECT rate FROM rates")) == "1.1"
    assert site.asked[0].path == "/rates?day=2026-01-01"
    assert site.asked[0].headers["Authorization"].startswith("Basic ")


def instance(folder: str, fetch: dict[str, Any], **words: Any) -> StepInstance:
    with DAG("by_hand"):
        operator = FetchOperator(task_id="fetch", fetch=fetch, into=folder, **words)
    return StepInstance(operator, day(1))


def test_a_hand_written_dag_fetches_too(tmp_path: Path, site: WebServer) -> None:
    site.answers = [Answer(b'[{"id": 1}]')]
    found = instance(f"{tmp_path}/raw/{{{{ ds }}}}/", {"api": f"{site.url}/x"}).execute()
    assert (found["status"], found["rows"]) == ("fetched", 1)
    assert (tmp_path / "raw" / "2026-01-01" / "part-00000.jsonl.gz").exists()


def test_a_hand_written_fetch_has_its_api_and_its_folder_as_inlet_and_outlet() -> None:
    with DAG("by_hand"):
        api = FetchOperator(
            task_id="a", fetch={"api": "https://h.example.com/v1/x?key={{ params.key }}"}, into="s3://raw/x/{{ ds }}/"
        )
        rows = FetchOperator(task_id="b", fetch={"sql": "SELECT 1", "connection": "shop"}, into="s3://raw/y/")
        mapped = FetchOperator.partial(task_id="c", into="s3://raw/{{ item }}/", outlets=[]).expand(
            fetch=[{"api": "https://h.example.com/v1/x"}]
        )
        with pytest.raises(ValueError, match="`fetch`: what another task returns is known in `into` alone"):
            FetchOperator(task_id="d", fetch={"api": "https://h/x", "params": {"id": api.output}}, into="s3://raw/y/")
    assert [one.name for one in api.inlets] == ["https://h.example.com/v1/x"]
    assert [one.name for one in api.outlets] == ["s3://raw/x/"]
    assert (rows.inlets, [one.name for one in rows.outlets]) == ([], ["s3://raw/y/"])
    assert mapped.operator_class is FetchOperator


@pytest.mark.parametrize(
    ("folder", "fetch", "words"),
    [
        ("x", {"api": "http://127.0.0.1/x"}, "end it in a slash"),
        ("x/", {"sql": "SELECT '{{ ds }}'", "connection": "shop"}, "leave the quotes"),
        ("x/", {"sql": "SELECT 1 AS a", "connection": "shop", "watermark": "a"}, "kept in the ledger"),
        ("x/", {"sql": "SELECT 1", "connection": "no_such"}, "CONNECTION_MISSING"),
        (
            "x/",
            {"sql": "SELECT 1", "connection": "strange"},
            "is of type 'nosuchkind', which none of the providers here",
        ),
        ("x/", {"sql": "SELECT 1", "connection": "web"}, "is of type 'http', not a database"),
    ],
)
def test_what_cannot_be_fetched_is_said(
    tmp_path: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, folder: str, fetch: Any, words: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", warehouse.connection)
    monkeypatch.setenv("AIRFLOW_CONN_STRANGE", "nosuchkind://x")
    monkeypatch.setenv("AIRFLOW_CONN_WEB", "http://x")
    with pytest.raises(FaultError, match=words):
        instance(f"{tmp_path}/{folder}", fetch).execute()

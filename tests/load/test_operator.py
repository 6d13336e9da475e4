"""The load step in a task: connection, window, dry run and force, report and faults."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk import DAG
from psycopg.conninfo import conninfo_to_dict

from sluicegate.faults import FaultError
from sluicegate.graph.window import Window
from sluicegate.ledger.conninfo import conninfo_of
from sluicegate.load.operator import LoadOperator
from sluicegate.runtime.step import StepContext
from sluicegate.targets.connection import parse_table
from sluicegate.targets.open import place_in


class TaskInstance:
    def __init__(self) -> None:
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


@pytest.fixture
def connection(warehouse: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    words = conninfo_to_dict(warehouse.conninfo)
    uri = f"postgres://{words['user']}@{words['host']}:{words['port']}/{words['dbname']}?sslmode=disable&cursor=x"
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", uri)
    return "warehouse"


def run(operator: LoadOperator, **words: Any) -> tuple[Any, TaskInstance]:
    ti = TaskInstance()
    window = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))
    step = StepContext("orders", "load_orders", "run-1", 2, -1, window, **words)
    return operator.run({"ti": ti}, step), ti  # type: ignore[typeddict-item]


@pytest.mark.usefixtures("connection")
def test_a_step_loads_and_returns_its_report(warehouse: Any) -> None:
    operator = LoadOperator(
        task_id="load_orders",
        source=str(warehouse.csv("o.csv", ["id", "n"], [[1, 1], [2, ""], *[[n, 1] for n in range(3, 30)]])),
        into="table://warehouse/sales.orders",
        key="id",
        columns={"id": "integer", "n": {"type": "integer", "required": True}},
        checks=[{"expect_column_values_to_be_between": {"column": "n", "min_value": 0}}],
    )
    result, _ = run(operator)
    report = result.value
    assert (report["status"], report["read"], report["inserted"], report["dead"]) == ("loaded", 29, 28, 1)
    assert result.line == "loaded 28 of 29 into sales.orders: 28 inserted, 1 dead (required:n 1)"
    ledger = warehouse.rows("SELECT pipeline, step, run_id, try_number, window_start FROM sluicegate.loads")
    assert ledger == [("orders", "load_orders", "run-1", 2, datetime(2024, 1, 1, tzinfo=UTC))]
    assert run(operator)[0].value["status"] == "skipped"
    assert run(operator, force=True)[0].value["unchanged"] == 28
    assert run(operator, force=True, dry_run=True)[0].value["status"] == "dry_run"


@pytest.mark.usefixtures("connection")
def test_a_failed_step_raises_its_fault_and_still_gives_its_report(warehouse: Any) -> None:
    operator = LoadOperator(
        task_id="load_orders", source=str(warehouse.csv("o.csv", ["id"], [[1], [""]])), into="table://warehouse/t",
        key="id", dead_letters={"max": 0},
    )  # fmt: skip
    ti = TaskInstance()
    window = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))
    with pytest.raises(FaultError, match="TOO_MANY_DEAD_LETTERS"):
        operator.run({"ti": ti}, StepContext("p", "s", "r", 1, -1, window))  # type: ignore[typeddict-item]
    assert ti.pushed["return_value"]["status"] == "failed"


def test_only_a_table_of_a_postgres_connection_is_a_target(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_table("table://Ware-House/public.Orders") == ("Ware-House", "public.Orders")
    for uri in ("s3://bucket/folder/", "table://warehouse", "table://warehouse/a/b"):
        with pytest.raises(FaultError, match="WRONG_USE"):
            parse_table(uri)
    monkeypatch.setenv("AIRFLOW_CONN_FILES", "ftp://host")
    with pytest.raises(FaultError, match="WRONG_USE"):
        conninfo_of("files")


def test_importing_the_operator_is_light() -> None:
    heavy = "{'duckdb', 'pandas', 'pyarrow', 'boto3', 'great_expectations', 'psycopg'}"
    program = f"import sys, sluicegate.load.operator; assert not (found := {heavy} & set(sys.modules)), found"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.usefixtures("connection")
def test_a_column_may_refer_to_a_table_of_a_connection(warehouse: Any) -> None:
    source = str(warehouse.csv("a.csv", ["faa"], [["JFK"]]))
    run(LoadOperator(task_id="a", source=source, into="table://warehouse/airports", key="faa"))
    operator = LoadOperator(
        task_id="load_trips",
        source=str(warehouse.csv("t.csv", ["id", "dest"], [[1, "JFK"], [2, "XXX"]])),
        into="table://warehouse/trips",
        key="id",
        columns={"dest": {"references": "flights.airports.faa"}},
        references={"flights.airports": "table://warehouse/airports"},
        dead_letters={"max": 1},
    )
    assert run(operator)[0].value["reasons"] == {"references:dest": 1}


@pytest.mark.usefixtures("connection")
def test_results_go_to_the_folder_of_the_run(warehouse: Any) -> None:
    operator = LoadOperator(
        task_id="load_orders",
        source=str(warehouse.csv("t.csv", ["id"], [[1]])),
        into="table://warehouse/orders",
        key="id",
        results=f"{warehouse.folder}/{{{{ ds }}}}/",
    )
    run(operator)
    assert (warehouse.folder / "2024-01-01" / "orders.load_orders.2024-01-01T00-00-00Z.json").is_file()


@pytest.mark.usefixtures("connection")
def test_a_step_loads_into_a_folder_whose_ledger_is_in_a_postgres(warehouse: Any) -> None:
    source = str(warehouse.csv("o.csv", ["id"], [[1], [2]]))
    words: dict[str, Any] = {"task_id": "load", "source": source, "into": f"{warehouse.folder}/lake/", "key": "id"}
    assert run(LoadOperator(**words, ledger_conn_id="warehouse"))[0].value["inserted"] == 2
    assert warehouse.one("SELECT target FROM sluicegate.loads") == f"file://{warehouse.folder}/lake/"
    with pytest.raises(FaultError, match=r"connections: \{ledger: <connection>\}"):
        run(LoadOperator(**words))


def test_a_template_does_not_choose_another_folder() -> None:
    assert place_in("s3://lake/AA/orders/", "s3://lake/{{ params.carrier }}/orders/") == "s3://lake/AA/orders/"
    with pytest.raises(FaultError, match="only the file chooses"):
        place_in("s3://lake/AA/x/orders/", "s3://lake/{{ params.carrier }}/orders/")
    with pytest.raises(FaultError, match="only the file chooses"):
        place_in("iceberg://ice/lake.a.orders", "iceberg://ice/lake.{{ params.table }}")


@pytest.mark.usefixtures("connection")
@pytest.mark.parametrize(("carrier", "read"), [(None, 3), ("AA", 1), (["AA", "O'H"], 2), ([], 0)])
def test_a_scope_is_filled_in_from_params_of_any_type(warehouse: Any, carrier: object, read: int) -> None:
    operator = LoadOperator(
        task_id="load_flights",
        source=str(warehouse.csv("f.csv", ["id", "carrier"], [[1, "AA"], [2, "BA"], [3, "O'H"]])),
        into="table://warehouse/flights",
        key="id",
        scope={"carrier": "{{ params.carrier }}"},
    )
    assert run(operator, params={"carrier": carrier})[0].value["read"] == read


@pytest.mark.parametrize(
    ("place", "asset"),
    [
        ("table://warehouse/orders", "table://warehouse/orders"), ("/data/orders.csv", "/data/orders.csv"),
        ("iceberg://ice/lake.orders", "iceberg://ice/lake.orders"), ("s3://b/o/{{ ds }}/x.csv", "s3://b/o/"),
        ("s3://b/{{ ds }}.csv", "s3://b/"), ("table://warehouse/{{ params.table }}", None), ("s3://{{ ds }}/x", None),
        ("{{ params.file }}", None), ("https://h.example.com/a.csv?token=x&day={{ ds }}", "https://h.example.com/a.csv"),
        ("https://h.example.com/{{ ds }}/a.csv?token=x", "https://h.example.com/"),
    ],
)  # fmt: skip
def test_a_hand_written_load_has_what_it_reads_and_writes_as_inlets_and_outlets(place: str, asset: str | None) -> None:
    expected = [] if asset is None else [asset]
    load = LoadOperator(task_id="a", source=place, into="table://w/t")
    assert [one.name for one in load.inlets] == expected
    assert [one.name for one in load.outlets] == ["table://w/t"]
    load = LoadOperator(task_id="b", source=["s3://b/1.csv"], into=place, references={"other": "table://w/other"})
    assert [one.name for one in load.inlets] == ["s3://b/1.csv", "table://w/other"]
    assert [one.name for one in load.outlets] == expected
    assert LoadOperator(task_id="c", source=place, into=place, inlets=[], outlets=[]).outlets == []


@pytest.mark.parametrize("words", [{"scope": {"region": None}}, {"columns": {"a": {"in": [None]}}}, {"key": None}])
def test_the_result_of_a_task_is_refused_where_airflow_does_not_fill_it_in(words: dict[str, Any]) -> None:
    def filled(value: Any, result: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(each, result) for key, each in value.items()}
        return [filled(each, result) for each in value] if isinstance(value, list) else result

    with DAG("by_hand"):
        result = LoadOperator(task_id="first", source="s3://b/a.csv", into="table://w/t").output
        [name] = words
        with pytest.raises(ValueError, match=f"`{name}`: what another task returns is known in `source`, `into`"):
            LoadOperator(task_id="a", source="s3://b/a.csv", into="table://w/t", **filled(words, result))
        assert LoadOperator(task_id="b", source=result, into="table://w/t").upstream_task_ids == {"first"}

"""Names that Postgres would cut or has itself are refused on the first day; case is matched where there is no doubt."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from sluicegate.faults import FaultError
from sluicegate.graph.location import Location
from sluicegate.graph.window import Window
from sluicegate.load.operator import LoadOperator
from sluicegate.runtime.operator import StepContext
from sluicegate.targets.connection import parse_table

LONG = "average_daily_temperature_in_degrees_celsius_at_two_metres_above_ground"


def test_a_column_whose_name_would_be_cut_is_refused_on_the_first_day(warehouse: Any) -> None:
    path = warehouse.csv("a.csv", ["id", LONG], [[1, 5]])
    failed = warehouse.fails(path, key="id")
    assert failed.code == "SCHEMA_MISMATCH"
    assert f"the column {LONG!r} has 71 bytes, and Postgres cuts names to 63: rename it in the source" in failed.detail
    assert warehouse.one("SELECT to_regclass('t') IS NULL")
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY)")
    assert "has 71 bytes" in warehouse.fails(path, key="id", on_schema_change="add_columns").detail
    assert warehouse.load(path, key="id", on_schema_change="ignore").counts.inserted == 1


def test_bytes_count_and_not_letters(warehouse: Any) -> None:
    assert warehouse.load(warehouse.csv("a.csv", ["id", "n" * 63], [[1, 5]]), key="id").counts.inserted == 1
    assert "has 64 bytes" in warehouse.fails(warehouse.csv("b.csv", ["id", "ä" * 32], [[1, 5]]), "u", key="id").detail


def test_tables_whose_names_would_be_cut_to_one_are_refused(warehouse: Any) -> None:
    for end in ("one", "two"):
        with pytest.raises(FaultError, match=r"the table 'n+one' has 66 bytes|the table 'n+two' has 66 bytes"):
            warehouse.target("n" * 63 + end)
    with pytest.raises(FaultError, match=r"the schema 's+' has 64 bytes"):
        warehouse.target("s" * 64 + ".t")
    with pytest.raises(FaultError, match="has 64 bytes"):
        parse_table(f"table://warehouse/{'t' * 64}")
    assert warehouse.load(warehouse.csv("a.csv", ["id"], [[1]]), "t" * 63, key="id").target == f"public.{'t' * 63}"


@pytest.mark.parametrize("name", ["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"])
def test_a_column_called_like_a_system_column_is_refused_in_a_sentence(warehouse: Any, name: str) -> None:
    failed = warehouse.fails(warehouse.csv("a.csv", ["id", name], [[1, 5]]), key="id")
    assert failed.code == "SCHEMA_MISMATCH"
    assert f"the column {name!r} has the name of a system column" in failed.detail


def test_a_header_in_another_case_is_the_only_candidate_of_the_table(
    warehouse: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "sluicegate.load")
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL, n int CHECK (n > 0), at int)")
    path = warehouse.csv("a.csv", ["ID", "Name", "N", "At"], [[1, "a", 1, 1], [2, "", 1, 1], [3, "c", -1, 1]])
    report = warehouse.load(path, key="ID", newest_by="At", columns={"Name": "text"})
    assert report.reasons == {"required:Name": 1, "constraint:t_n_check": 1}
    assert "public.t has in another case: 'ID' is 'id', 'Name' is 'name', 'N' is 'n', 'At' is 'at'" in caplog.text
    assert warehouse.letters()[1][2] == [{"rule": "constraint:t_n_check", "column": "N", "value": "-1"}]
    again = warehouse.csv("b.csv", ["ID", "Name", "N", "At"], [[1, "b", 2, 2], [3, "c", 3, 3]])
    report = warehouse.load(again, key="ID", newest_by="At")
    assert (report.counts.updated, report.counts.inserted, report.resolved) == (1, 1, 1)
    assert warehouse.rows("SELECT * FROM t ORDER BY 1") == [(1, "b", 2, 2), (3, "c", 3, 3)]


def test_a_name_with_two_candidates_is_not_guessed(warehouse: Any) -> None:
    warehouse.rows('CREATE TABLE t (id int PRIMARY KEY, "Name" text, name text)')
    failed = warehouse.fails(warehouse.csv("a.csv", ["id", "NAME"], [[1, "a"]]), key="id")
    assert "has no column 'NAME'" in failed.detail
    warehouse.rows("CREATE TABLE u (id int PRIMARY KEY, name text)")
    failed = warehouse.fails(warehouse.csv("b.csv", ["id", "NAME", "Name"], [[1, "a", "b"]]), "u", key="id")
    assert "has no column 'NAME'" in failed.detail


def test_a_mismatch_lists_the_columns_of_the_source_and_a_remedy_that_can_help(warehouse: Any) -> None:
    path = warehouse.csv("a.csv", ["id", "v"], [[1, "a"]])
    failed = warehouse.fails(path, key="nr")
    assert failed.detail == "the source has no column 'nr', which key: names; the source has 'id', 'v'"
    assert "on_schema_change" not in failed.fault.remedy
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY)")
    assert "`on_schema_change: add_columns` or `ignore`" in warehouse.fails(path, key="id").detail


def run(operator: LoadOperator, params: dict[str, Any]) -> Any:
    window = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))
    assert isinstance(operator.into, Location)
    [into] = operator.into.render(window, params)
    operator.into = into
    return operator.run({"ti": None}, StepContext("p", "s", "r", 1, -1, window))  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("template", "table", "target"),
    [
        ("table://warehouse/{{ params.table }}", "orders", "public.orders"),
        ("table://warehouse/sales.{{ params.table }}", "orders", "sales.orders"),
        ("table://warehouse/{{ params.table.split('/')[0] }}.{{ params.table.split('/')[1] }}", "a/b", "a.b"),
        ("table://warehouse/{{ params.table }}", "other.orders", None),
        ("table://warehouse/{{ params.table }}", "a.b.c", None),
        ("table://warehouse/sales.{{ params.table }}", "a.b", None),
        ("table://warehouse/{{ params.table }}.orders", "a.b", None),
        ("table://warehouse/{{ params.table }}", "a/b", None),
    ],
)
def test_a_param_reaches_the_tables_name_and_a_schema_only_where_the_file_has_one(
    warehouse: Any, monkeypatch: pytest.MonkeyPatch, template: str, table: str, target: str | None
) -> None:
    words = conninfo_to_dict(warehouse.conninfo)
    uri = f"postgres://{words['user']}@{words['host']}:{words['port']}/{words['dbname']}?sslmode=disable"
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", uri)
    source = str(warehouse.csv("a.csv", ["id"], [[1]]))
    operator = LoadOperator(task_id="x", source=source, into=Location("into", template), key="id")
    if target is not None:
        assert run(operator, {"table": table}).value["target"] == target
        return
    with pytest.raises(FaultError, match="WRONG_USE"):
        run(operator, {"table": table})
    schemas = "SELECT count(*) FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
    assert warehouse.one(schemas) == 1


def test_a_record_in_place_of_a_header_is_not_shown_where_a_column_is_sensitive(warehouse: Any) -> None:
    words: dict[str, Any] = {"key": "id", "columns": {"iban": {"sensitive": True}}}
    warehouse.load(warehouse.csv("1.csv", ["id", "iban"], [[1, "DE11"]]), **words)
    failed = warehouse.fails(warehouse.csv("2.csv", ["2", "DE22"], [[3, "DE33"]]), **words)
    assert "DE22" not in failed.detail
    assert failed.detail.endswith("has '***', '***'")
    renamed = warehouse.fails(warehouse.csv("3.csv", ["id", "ibn"], [[3, "DE33"]]), **words)
    assert "the source has no column 'iban', which columns: names" in renamed.detail
    assert renamed.detail.endswith("; the source has 'id', '***'")

"""Which circuits a step needs, and which of them its fault is about."""

from __future__ import annotations

import pytest

from sluicegate.circuits.names import circuits_of, concerned
from sluicegate.faults import fault
from sluicegate.load.operator import LoadOperator

LOAD = ("aws:aws_default", "connection:warehouse")
WEB = ("connection:warehouse", "host:api.example.com")


@pytest.mark.parametrize(
    ("fields", "values", "expected"),
    [
        ({}, ["s3://landing/x.csv", "table://warehouse/public.orders"], LOAD),
        ({"aws_conn_id": "lake"}, [["s3://a/1", "s3://a/2"]], ("aws:lake",)),
        ({"aws_conn_id": "lake"}, ["file:///x"], ()),
        ({}, [{"in": "https://u:p@API.example.com/v1?x=1"}, "table://warehouse/t"], WEB),
        ({"postgres_conn_id": "erp", "retries": 3}, ["SELECT 'https://x'"], ("connection:erp",)),
        ({"conn_id": None}, [None, 5], ()),
    ],
)  # fmt: skip
def test_a_step_needs_what_its_fields_name(
    fields: dict[str, object], values: list[object], expected: tuple[str, ...]
) -> None:
    assert circuits_of(fields, values) == expected


@pytest.mark.parametrize(
    ("names", "code", "facts", "expected"),
    [
        (LOAD, "WAREHOUSE_UNREACHABLE", {}, ("connection:warehouse",)),
        (LOAD, "AWS_THROTTLED", {}, ("aws:aws_default",)),
        (LOAD, "WAREHOUSE_BUSY", {"sqlstate": "53300"}, ("connection:warehouse",)),
        (LOAD, "WAREHOUSE_BUSY", {"sqlstate": "40P01"}, ()),  # a deadlock is no outage
        (LOAD, "SCHEMA_MISMATCH", {}, ()),
        (LOAD, "UNKNOWN", {}, ()),
        (WEB, "SOURCE_UNAVAILABLE", {"uri": "https://api.example.com/v1"}, ("host:api.example.com",)),
        (WEB, "NETWORK", {"uri": "https://api.example.com/v1"}, ("host:api.example.com",)),
        (WEB, "NETWORK", {}, ("host:api.example.com",)),  # the warehouse's has another code
        (WEB, "TIMED_OUT", {}, ()),  # the step's own limit
        (("host:a", "host:b"), "SOURCE_UNAVAILABLE", {}, ()),
        (("connection:erp",), "NETWORK", {}, ()),  # code that writes a table may ask any server besides
    ],
)
def test_a_fault_counts_where_it_is_known_what_it_is_about(
    names: tuple[str, ...], code: str, facts: dict[str, object], expected: tuple[str, ...]
) -> None:
    assert concerned(names, fault(code, **facts)) == expected


def test_what_calls_aws_needs_it_though_none_of_its_values_is_in_s3() -> None:
    assert circuits_of({"aws_conn_id": "lake"}, [], needs_aws=True) == ("aws:lake",)
    assert circuits_of({"aws_conn_id": None}, [], needs_aws=True) == ("aws:aws_default",)


def test_a_connection_that_an_operator_of_others_names_may_be_any_server() -> None:
    assert concerned(("connection:shop",), fault("SOURCE_UNAVAILABLE", status=503), foreign=True) == (
        "connection:shop",
    )
    assert concerned(("connection:a", "connection:b"), fault("NETWORK"), foreign=True) == ()


@pytest.mark.parametrize(
    ("into", "expected"),
    [
        ("table://warehouse/public.orders", ("aws:aws_default", "connection:warehouse")),
        ("s3://lake/orders/", ("aws:aws_default", "connection:books")),
        ("iceberg://catalog/shop.orders", ("aws:aws_default", "connection:books", "connection:catalog")),
    ],
)
def test_a_load_needs_its_ledger_where_that_is_beside_the_target(into: str, expected: tuple[str, ...]) -> None:
    load = LoadOperator(task_id="load", source="s3://landing/x.csv", into=into, key="id", ledger_conn_id="books")
    assert load.circuits() == expected

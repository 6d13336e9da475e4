"""The pipelines of the page on targets, carried out: loads into folders of an S3, and a reader of one."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from sluicegate.testing.pipelines import Pipelines
from tests.docs.pages import page, write_dags


@pytest.fixture
def shop(warehouse: Any, s3: Any, airflow_home: None, tmp_path: Path) -> Pipelines:
    return Pipelines(write_dags(page("targets.md"), tmp_path), warehouse, s3)


def test_loads_go_into_folders_and_a_pipeline_reads_one_of_them(shop: Pipelines) -> None:
    head = "order_id,amount,changed_at\n"
    shop.put(
        "s3://landing/orders/2026-01-01.csv",
        head + "1,10.50,2026-01-01\n2,-1,2026-01-01\n" + "".join(f"{n},1,2026-01-01\n" for n in range(3, 60)),
    )
    shop.put("s3://landing/visits/2026-01-01.csv", "day,page\n2026-01-01,/\n")
    first = shop.run("shop", "2026-01-01")
    assert first.states == {"load_orders": "success", "load_visits": "success"}
    shop.put("s3://landing/orders/2026-01-02.csv", head + "1,11,2026-01-02\n2,1,2026-01-02\n")
    shop.put("s3://landing/visits/2026-01-02.csv", "day,page\n2026-01-02,/a\n2026-01-02,/b\n")
    assert shop.run("shop", "2026-01-02").states == {"load_orders": "success", "load_visits": "success"}
    assert shop.s3.uris("s3://lake/") == [
        "s3://lake/orders/part-0.parquet",
        "s3://lake/visits/window-20260101-20260102.parquet",
        "s3://lake/visits/window-20260102-20260103.parquet",
    ]
    table = pq.read_table(io.BytesIO(shop.get("s3://lake/orders/part-0.parquet")))
    assert str(table.schema.field("amount").type) == "decimal128(12, 2)"
    assert [str(row["amount"]) for row in table.slice(0, 2).to_pylist()] == ["11.00", "1.00"]
    assert [letter.status for letter in shop.dead_letters("s3://lake/orders/")] == ["resolved"]
    assert shop.run("report", "2026-01-02").states["load_report"] == "success"
    assert shop.one("SELECT count(*) FROM reported_orders") == 59

"""A pipeline whose records are checked on its cluster: a real spark-submit on the local EMR, then its load."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from airflow.sdk.exceptions import TaskDeferred

from sluicegate.discovery.settings import environment
from sluicegate.factory.build import build_dag
from sluicegate.faults import FaultError
from sluicegate.graph.window import Window
from sluicegate.local.aws import LocalAws
from sluicegate.local.aws.objects import Objects
from sluicegate.pipeline import read_tree
from sluicegate.testing.s3 import ScratchS3
from sluicegate.testing.step import StepInstance
from sluicegate.testing.supervisor import Run
from sluicegate.testing.warehouse import Warehouse
from tests.emr.conftest import fire
from tests.targets.on_cluster.aws_s3 import make_extension

WINDOW = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))
JOB = """
import argparse
from pyspark.sql import SparkSession

parser = argparse.ArgumentParser()
parser.add_argument("--out")
spark = SparkSession.builder.getOrCreate()
rows = spark.range(1000).selectExpr(
    "id", "CAST(id AS DOUBLE) / 4 AS amount", "timestamp_seconds(1704067200 + id * 60) AS at",
    "concat('code ', id % 7) AS code", "CASE WHEN id % 100 = 0 THEN 'a b' ELSE 'c' END AS kind",
    "date_add(DATE'2024-01-01', CAST(id % 3 AS INT)) AS day",
    "CASE WHEN id % 90 = 0 THEN 'noon' ELSE concat(id div 60, ':', id % 60, ':0', id % 10, '.50') END AS clock",
)
rows.repartition(3, "id").write.mode("overwrite").partitionBy("kind").parquet(parser.parse_args().out)
"""
PIPELINE = """\
sluicegate: 1
schedule: {cron: "0 0 * * *", start: 2024-01-01}
datasets:
  orders: {uri: "s3://lake/orders/{{ ds }}/", format: parquet}
steps:
  make: {spark: job.py, cluster: small, writes: {out: orders}}
  load_orders:
    load: orders
    into: table://warehouse/orders
    check_on: cluster
    copy_from: s3
    key: id
    columns: &contract
      id: bigint
      amount: {type: "numeric(12,2)", between: [0, 249]}
      at: {type: timestamptz, required: true}
      code: {type: varchar(6), matches: "^code [0-5]$"}
      kind: text
      day: date
      clock: text
    checks: [{expect_table_row_count_to_be_between: {min_value: 500}}]
    dead_letters: {max: 20%}
  by_worker: {load: orders, into: table://warehouse/others, key: id, columns: *contract, dead_letters: {max: 20%}}
"""
SCOPED = """\
sluicegate: 1
schedule: {cron: "0 0 * * *", start: 2024-01-01}
params: {kind: c}
datasets:
  orders: {uri: "s3://lake/orders/{{ ds }}/", format: parquet}
steps:
  make: {spark: job.py, cluster: small, writes: {out: orders}}
"""
LOAD = """\
  NAME:
    load: orders
    into: INTO
    check_on: WHERE
    key: id
    scope: {kind: ["{{ params.kind }}", null], day: "{{ ds }}"}
    batch_rows: 100
    columns:
      id: bigint
      amount: {type: "numeric(12,2)", between: [0, 200]}
      kind: text
      day: {type: date, required: true}
      clock: {type: time, unique: true}
      at: timestamptz(3)
    checks: [{expect_table_row_count_to_be_between: {min_value: 100, max_value: 300}}]
    dead_letters: {max: 90%}
"""
INTO = {"table": "table://warehouse/NAME", "folder": "s3://lake/copies/NAME/", "ice": "iceberg://ice/lake.NAME"}
DEFAULTS = """\
connections: {ledger: warehouse}
artifacts: s3://code/artifacts/
clusters:
  small: {release: emr-7.13.0, instances: {primary: m7g.xlarge}, log_uri: s3://logs/}
"""


class Pipeline:
    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "job.py").write_text(JOB)
        (root / "defaults.yaml").write_text(DEFAULTS)
        self.says(PIPELINE)
        self.run = Run("orders", "scheduled__2024-01-01", WINDOW.start)
        self.instances: dict[str, StepInstance] = {}

    def says(self, text: str) -> None:
        (self.root / "orders.yaml").write_text(text)
        tree = read_tree(self.root, environment())
        self.dag = build_dag(tree.pipelines["orders"], tree.upstreams)

    def execute(self, step: str, *, clear: bool = False, params: dict[str, Any] | None = None) -> Any:
        """One more try of a step, its deferral included."""
        last = self.instances.get(step)
        instance = StepInstance(self.dag.get_task(step), WINDOW, run=self.run, params=params)
        if last is not None:
            instance.id, instance.supervisor = last.id, last.supervisor
            instance.try_number = last.try_number + 1
            instance.max_tries = last.max_tries + (last.try_number if clear else 0)
        self.instances[step] = instance
        try:
            return instance.execute()
        except TaskDeferred as deferred:
            return instance.resume(deferred.method_name, (deferred.kwargs or {}) | {"event": fire(deferred)})


@pytest.fixture
def pipeline(tmp_path: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    with LocalAws(tmp_path / "s3", buckets=["lake", "code", "logs"], memory="512m") as aws:
        s3 = ScratchS3(Objects(aws.root), aws.endpoint_url)
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", s3.connection)
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", warehouse.connection)
        ice = json.loads(warehouse.connection) | {"extra": {"warehouse": f"file://{tmp_path}/ice"}}
        monkeypatch.setenv("AIRFLOW_CONN_ICE", json.dumps(ice))
        make_extension(warehouse.conninfo, tmp_path / "s3")
        (tmp_path / "dags").mkdir()
        yield Pipeline(tmp_path / "dags")


def test_a_pipeline_checks_on_its_cluster_and_loads_what_passed(
    pipeline: Pipeline, warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    """Its server copies that from S3."""
    caplog.set_level(logging.INFO, "sluicegate.load")
    done = pipeline.execute("make")
    assert [step["name"] for step in done["steps"]] == ["job.py", "check.py"]
    assert pipeline.execute("make")["cluster_id"] == done["cluster_id"]  # A retry goes on with it.
    report = pipeline.execute("load_orders")
    assert (report["status"], report["read"], report["reasons"]) == (
        "loaded", 1000, {"between:amount": 3, "matches:code": 142},
    )  # fmt: skip
    assert f"{report['inserted']} records were copied by the server" in caplog.text
    by_worker = pipeline.execute("by_worker")
    assert {**by_worker, "target": "", "seconds": 0} == {**report, "target": "", "seconds": 0}
    tables = [warehouse.rows(f"SELECT * FROM {table} ORDER BY id") for table in ("orders", "others")]
    letters = [
        warehouse.rows(
            "SELECT source, source_version, line, record, key, failures FROM sluicegate.dead_letters "
            "WHERE target = %s ORDER BY 1, 3", f"public.{table}",
        )
        for table in ("orders", "others")
    ]  # fmt: skip
    assert tables[0] == tables[1]
    assert letters[0] == letters[1]
    assert len(letters[0]) == report["dead"]

    assert pipeline.execute("load_orders")["status"] == "skipped"
    pipeline.says(PIPELINE.replace("[0, 249]", "[0, 248]"))
    with pytest.raises(FaultError, match="CHECKS_OUTDATED"):
        pipeline.execute("load_orders", clear=True)


def rows_of(name: str, warehouse: Warehouse, s3: Path) -> list[tuple[Any, ...]]:
    """What is in a table, a folder or a table of Iceberg."""
    if name.startswith("ice"):
        from sluicegate.targets.iceberg.catalog import open_catalog

        records = open_catalog("ice").load_table(f"lake.{name}").scan().to_arrow().to_pylist()
        return sorted(tuple(record.values()) for record in records)
    if name.startswith("folder"):
        return duckdb.sql(f"SELECT * FROM '{s3}/lake/copies/{name}/*.parquet' ORDER BY id").fetchall()
    return warehouse.rows(f"SELECT * FROM {name} ORDER BY id")


def test_a_run_is_narrowed_on_the_cluster_as_by_a_worker_into_every_target(
    pipeline: Pipeline, warehouse: Warehouse, tmp_path: Path
) -> None:
    """Times of the day are read there too."""
    pytest.importorskip("pyiceberg")
    loads = {f"{target}_{where}": (target, where) for where in ("cluster", "worker") for target in INTO}
    texts = (
        LOAD.replace("INTO", INTO[target]).replace("NAME", name).replace("WHERE", where)
        for name, (target, where) in loads.items()
    )
    pipeline.says(SCOPED + "".join(texts))
    steps = pipeline.execute("make")["steps"]
    assert [step["name"] for step in steps] == ["job.py", *["check.py"] * 3]
    kept = {}
    for name, (target, _) in loads.items():
        report = pipeline.execute(name)
        letters = warehouse.rows(
            "SELECT id, source, source_version, line, record, key, failures FROM sluicegate.dead_letters "
            "WHERE target LIKE %s ORDER BY source, line", f"%{name}%",
        )  # fmt: skip
        rows = rows_of(name, warehouse, tmp_path / "s3")
        identities = [letter[1:] for letter in letters]
        kept.setdefault(target, []).append(({**report, "target": "", "seconds": 0}, identities, rows))
        assert (report["status"], report["read"]) == ("loaded", 330)
        assert len(letters) == report["dead"] > 0
        assert len(rows) == report["inserted"]
        assert pipeline.execute(name)["status"] == "skipped"
    for by_cluster, by_worker in kept.values():
        assert by_cluster == by_worker
    with pytest.raises(FaultError, match="CHECKS_OUTDATED"):
        pipeline.execute("table_cluster", clear=True, params={"kind": "a b"})

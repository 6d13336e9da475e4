"""A pipeline whose records are checked on its cluster: a real spark-submit on the local EMR, then its load."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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
    checks: [{expect_table_row_count_to_be_between: {min_value: 500}}]
    dead_letters: {max: 20%}
  by_worker: {load: orders, into: table://warehouse/others, key: id, columns: *contract, dead_letters: {max: 20%}}
"""
DEFAULTS = """\
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

    def execute(self, step: str, *, clear: bool = False) -> Any:
        """One more try of a step, its deferral included."""
        last = self.instances.get(step)
        instance = StepInstance(self.dag.get_task(step), WINDOW, run=self.run)
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

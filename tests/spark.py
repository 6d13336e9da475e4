"""A Spark in the test's own process, and the job that checks records there."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sluicegate.checks.dialect import PARSES, SEARCH
from sluicegate.checks.functions import parses, search
from sluicegate.checks.spark import spark_job
from sluicegate.local.aws.spark import java_home

_SETTINGS = {
    "spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "1", "spark.sql.session.timeZone": "UTC",
    "spark.driver.memory": "1g", "spark.driver.host": "127.0.0.1", "spark.sql.codegen.wholeStage": "false",
    "spark.sql.adaptive.enabled": "false",
    # It does not run for long enough to be worth compiling well.
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}  # fmt: skip


@contextmanager
def spark_session() -> Iterator[Any]:
    # It says goodbye when Python ends, to a stream that pytest has closed by then.
    logging.getLogger("py4j").setLevel(logging.WARNING)
    os.environ.setdefault("JAVA_HOME", str(java_home()))
    os.environ["PYSPARK_PYTHON"] = sys.executable
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[1]")
    for name, value in _SETTINGS.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.udf.register(SEARCH, search, "boolean")
    session.udf.register(PARSES, parses, "boolean")
    yield session
    session.stop()
    if "PYTEST_XDIST_WORKER" not in os.environ:  # one of a worker ends with it, and until then is warm for the next
        _end_java()


def _end_java() -> None:
    from pyspark import SparkContext

    gateway: Any = SparkContext._gateway
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait(60)
    SparkContext._gateway = SparkContext._jvm = None


class CheckJob:
    """The job as it is uploaded, in a session of the test's own."""

    def __init__(self, spark: Any) -> None:
        self.spark = spark
        self._names: dict[str, Any] = {"__name__": "check"}
        exec(compile(spark_job(), "check.py", "exec"), self._names)
        self._names["begin"](spark)

    def run(self, plan: str, source: str, to: str) -> dict[str, Any]:
        report: dict[str, Any] = self._names["carry_out"](self.spark, plan, source, to)
        return report


def spark_folder(folder: Path, tables: Sequence[Any]) -> Path:
    """A folder as Spark leaves it, with a part for each of some Arrow tables."""
    from pyarrow import parquet

    folder.mkdir(parents=True, exist_ok=True)
    for number, table in enumerate(tables):
        name = f"part-{number:05}-0a1b2c3d-0000-4000-8000-0123456789ab-c000.snappy.parquet"
        parquet.write_table(table, folder / name)
    (folder / "_SUCCESS").touch()
    return folder

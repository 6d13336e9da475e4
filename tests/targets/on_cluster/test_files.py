"""What a cluster has checked goes into folders of Parquet and tables of Iceberg as what a worker has checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sluicegate.load.load import load
from sluicegate.storage import Storage
from sluicegate.targets.parquet.target import ParquetTarget
from tests.load.conftest import LoadWarehouse
from tests.targets.on_cluster.left import BY_WORKER, COPIED, MODES, ODD, SCOPED, VALUED
from tests.targets.on_cluster.test_redshift import Fetching

LOADS = [*((["merge0", "merge1", "merge0"], MODES["merge"]), (["append0", "append0"], MODES["append"])),
         (["replace_window0"], MODES["replace_window"]), (["values"], VALUED), (["odd"], ODD),
         (["scoped"], SCOPED)]  # fmt: skip


class Lake:
    """Tables of one kind of files, by name, with their ledger in a Postgres."""

    def __init__(self, warehouse: Any, folder: Path, s3: Any) -> None:
        self.house = LoadWarehouse(warehouse.conninfo, folder)
        self.storage: Any = Fetching(Storage(client=s3.client()))
        self.target: Callable[[str], Any]
        self.rows: Callable[[str], list[tuple[Any, ...]]]

    def load(self, source: str, table: str, **words: Any) -> dict[str, Any]:
        request = self.house.request(f"s3://lake/{source}/", **COPIED | words)
        report = load(request, self.storage, self.target(table)).as_dict()
        return {**report, "seconds": 0, "target": ""}

    def kept(self, table: str) -> tuple[list[tuple[Any, ...]], ...]:
        letters = "source, source_version, line, record, failures, key, version, status, attempts"
        counts = "read, inserted, updated, unchanged, stale, deduplicated, dead, rejected"
        target = self.target(table).name
        return (
            self.rows(table),
            self.house.rows(
                f"SELECT {letters} FROM sluicegate.dead_letters WHERE target = %s ORDER BY source, line", target
            ),
            self.house.rows(
                f"SELECT status, source_version, {counts} FROM sluicegate.loads WHERE target = %s ORDER BY id", target
            ),
        )


def parquet(lake: Lake, folder: Path) -> None:
    import duckdb

    lake.target = lambda table: ParquetTarget(f"{folder}/tables/{table}/", lake.house.conninfo, lake.storage)

    def rows(table: str) -> list[tuple[Any, ...]]:
        files = f"read_parquet('{folder}/tables/{table}/*.parquet', union_by_name = true)"
        return duckdb.sql(f"SELECT * FROM {files} ORDER BY ALL").fetchall()

    lake.rows = rows


def iceberg(lake: Lake, folder: Path) -> None:
    pytest.importorskip("pyiceberg")
    from psycopg.conninfo import conninfo_to_dict
    from pyiceberg.catalog.sql import SqlCatalog

    from sluicegate.targets.iceberg.target import IcebergTarget

    words = conninfo_to_dict(lake.house.conninfo)
    uri = f"postgresql+psycopg://{words['user']}@{words['host']}:{words['port']}/{words['dbname']}"
    catalog = SqlCatalog("ice", uri=uri, warehouse=f"file://{folder}/ice")
    lake.target = lambda table: IcebergTarget(f"iceberg://ice/lake.{table}", catalog, lake.house.conninfo)

    def rows(table: str) -> list[tuple[Any, ...]]:
        found = catalog.load_table(f"lake.{table}").scan().to_arrow().to_pylist()
        return sorted((tuple(row.values()) for row in found), key=str)

    lake.rows = rows


@pytest.mark.parametrize("kind", [parquet, iceberg])
def test_it_ends_as_a_load_that_checks_by_itself(
    warehouse: Any, lake: Any, tmp_path: Path, kind: Callable[[Lake, Path], None]
) -> None:
    """In all modes; loaded twice it is there once, and older letters are closed."""
    tables = Lake(warehouse, tmp_path, lake)
    kind(tables, tmp_path)
    for number, (sources, words) in enumerate(LOADS):
        found = []
        for name, way in ((f"worker{number}", BY_WORKER), (f"cluster{number}", {})):
            reports = [tables.load(source, name, **words | way) for source in sources]
            found.append((reports, *tables.kept(name)))
            assert way or "passed" in tables.storage.fetched
        assert str(found[1]) == str(found[0])  # NaN is not itself
        assert [report["status"] for report in found[0][0]][:1] == ["loaded"]
        assert found[0][1]

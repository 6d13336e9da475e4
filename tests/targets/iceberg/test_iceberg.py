"""Loads into tables of Iceberg, through a SQL catalog: what readers see, and what a killed load leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyiceberg")

from sluicegate.faults import FaultError
from sluicegate.ledger.entries import Origin
from sluicegate.load.load import load
from sluicegate.load.request import LoadRequest
from sluicegate.storage import Storage
from sluicegate.targets.iceberg.catalog import properties_of
from sluicegate.targets.iceberg.table import LOAD, IcebergFiles
from sluicegate.targets.iceberg.target import IcebergTarget
from sluicegate.targets.open import place_in
from sluicegate.targets.parquet import session as sessions

COLUMNS = {"id": "integer", "v": "varchar(5)", "at": "smallint", "day": "date", "n": "numeric(10,2)", "op": "text"}
HEADER = list(COLUMNS)
BEFORE = [[n, "old", n % 3, "2026-01-01", "1.50", "I"] for n in range(8)]
AFTER = [[n, "new", 1, "2026-01-02", "2.50", "D" if n == 6 else "I"] for n in range(4, 12)]
AFTER += [["x", "bad", 1, "2026-01-02", "1", "I"]]
MERGE = {"mode": "merge", "key": "id", "newest_by": "at", "delete_when": {"op": "D"}}


class Ice:
    """A catalog in a database that has the ledger too, and a warehouse of files."""

    def __init__(self, warehouse: Any, folder: Path) -> None:
        from psycopg.conninfo import conninfo_to_dict
        from pyiceberg.catalog.sql import SqlCatalog

        self.warehouse, self.folder = warehouse, folder
        words = conninfo_to_dict(warehouse.conninfo)
        uri = f"postgresql+psycopg://{words['user']}@{words['host']}:{words['port']}/{words['dbname']}"
        self.catalog = SqlCatalog("ice", uri=uri, warehouse=f"file://{folder}/warehouse")

    def target(self, name: str = "t") -> IcebergTarget:
        return IcebergTarget(f"iceberg://ice/lake.{name}", self.catalog, self.warehouse.conninfo)

    def load(self, rows: list[list[object]], name: str = "t", **words: Any) -> Any:
        import csv

        path = self.folder / f"{name}.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([HEADER, *rows])
        request = LoadRequest(
            sources=(str(path),), table=name, columns=COLUMNS, dead_letters={"max": "100%"},
            origin=Origin("p", "s", "r", 1), **words,
        )  # fmt: skip
        return load(request, Storage(), self.target(name))

    def rows(self, name: str = "t") -> list[tuple[Any, ...]]:
        found = self.catalog.load_table(f"lake.{name}").scan().to_arrow().to_pylist()
        return sorted(tuple(row.values()) for row in found)


@pytest.fixture
def ice(warehouse: Any, tmp_path: Path) -> Ice:
    return Ice(warehouse, tmp_path)


def test_a_load_is_one_snapshot_that_names_it(ice: Ice) -> None:
    assert ice.load(BEFORE, **MERGE).counts.inserted == 8
    report = ice.load(AFTER, **MERGE)
    counts = report.counts
    assert (counts.inserted, counts.deleted, counts.dead, counts.balanced) == (4, 1, 1, True)
    assert counts.updated + counts.stale == 3
    table = ice.catalog.load_table("lake.t")
    assert len(table.snapshots()) == 2
    assert LOAD in table.current_snapshot().summary.additional_properties
    assert [row[0] for row in ice.rows()] == [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11]
    assert ice.load(AFTER, **MERGE).status == "skipped"
    types = {name: str(column.type) for name, column in ice.target().inspect().columns.items()}
    assert types == COLUMNS
    assert len(ice.warehouse.dead_letters("iceberg://ice/lake.t")) == 1


def test_what_is_appended_leaves_the_files_that_are_there(ice: Ice) -> None:
    ice.load(BEFORE, mode="append")
    before = {task.file.file_path for task in ice.catalog.load_table("lake.t").scan().plan_files()}
    assert ice.load(AFTER, mode="append").counts.inserted == 8
    after = {task.file.file_path for task in ice.catalog.load_table("lake.t").scan().plan_files()}
    assert before < after
    assert len(ice.rows()) == 16


def test_a_column_is_added(ice: Ice) -> None:
    ice.load(BEFORE, **MERGE)
    path = ice.folder / "w.csv"
    path.write_text("id,at,op,w\n1,9,I,x\n")
    columns = {"id": "integer", "at": "smallint", "op": "text", "w": "text"}
    request = LoadRequest(sources=(str(path),), table="t", columns=columns, on_schema_change="add_columns", **MERGE)
    assert load(request, Storage(), ice.target()).drift["added"] == ["w"]
    assert next(row for row in ice.rows() if row[-1] == "x")[:2] == (1, "old")


@pytest.mark.parametrize("point", ["before the commit", "after it"])
def test_a_load_that_dies_around_its_commit_is_finished_once(
    ice: Ice, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ice.load(BEFORE, **MERGE)
    whole = IcebergFiles.switch

    def dying(self: IcebergFiles, *arguments: Any) -> bool:
        if point == "after it":
            whole(self, *arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(IcebergFiles, "switch", dying)
        with pytest.raises(KeyboardInterrupt):
            ice.load(AFTER, **MERGE)
    assert ice.warehouse.one("SELECT count(*) FROM sluicegate.intents") == 1
    assert ice.load(AFTER, **MERGE).status == "skipped"
    assert len(ice.catalog.load_table("lake.t").snapshots()) == 2
    assert len(ice.rows()) == 11
    assert ice.warehouse.one("SELECT count(*) FROM sluicegate.intents") == 0


def test_what_somebody_else_committed_meanwhile_is_not_undone(ice: Ice, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow as pa

    ice.load(BEFORE, **MERGE)
    with monkeypatch.context() as patch:
        patch.setattr(sessions, "carry_out", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            ice.load(AFTER, **MERGE)
    table = ice.catalog.load_table("lake.t")
    foreign = pa.Table.from_pylist([{"id": 99, "v": "them"}], schema=table.schema().as_arrow())
    table.append(foreign)
    assert ice.load(AFTER, **MERGE).status == "loaded"
    assert len(ice.rows()) == 12
    statuses = ice.warehouse.rows("SELECT status FROM sluicegate.loads ORDER BY id")
    assert statuses == [("loaded",), ("failed",), ("loaded",)]


class _Connection:
    conn_type, login, password, host, port, schema = "postgres", "u", "p@", "h", None, "d"
    extra_dejson = {"warehouse": "s3://lake/w"}  # noqa: RUF012


def test_a_postgres_connection_with_a_warehouse_is_a_sql_catalog() -> None:
    assert properties_of(_Connection, "ice") == {
        "type": "sql", "uri": "postgresql+psycopg://u:p%40@h:5432/d", "warehouse": "s3://lake/w",
    }  # fmt: skip
    _Connection.extra_dejson = {}
    with pytest.raises(FaultError, match="whose extra has `warehouse`"):
        properties_of(_Connection, "ice")
    assert place_in("iceberg://ice/lake.t") == "iceberg://ice/lake.t"
    with pytest.raises(FaultError, match="is not an Iceberg table"):
        place_in("iceberg://ice/t")

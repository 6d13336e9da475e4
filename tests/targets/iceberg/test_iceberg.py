"""Loads into tables of Iceberg, through a SQL catalog: what readers see, and what a killed load leaves."""

from __future__ import annotations

import csv
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyiceberg")

from sluicegate.faults import FaultError
from sluicegate.graph.window import Window
from sluicegate.ledger.entries import Origin
from sluicegate.load.load import load
from sluicegate.load.request import LoadRequest
from sluicegate.storage import Storage
from sluicegate.targets.iceberg.catalog import properties_of
from sluicegate.targets.iceberg.table import LOAD
from sluicegate.targets.iceberg.target import IcebergTarget
from sluicegate.targets.open import place_in
from tests.targets.dying import Dying
from tests.targets.iceberg import loader

COLUMNS = {"id": "integer", "v": "varchar(5)", "at": "smallint", "day": "date", "n": "numeric(10,2)", "op": "text"}
HEADER = list(COLUMNS)
BEFORE = [[n, "old", n % 3, "2026-01-01", "1.50", "I"] for n in range(8)]
AFTER = [[n, "new", 1, "2026-01-02", "2.50", "D" if n == 6 else "I"] for n in range(4, 12)]
AFTER += [["x", "bad", 1, "2026-01-02", "1", "I"]]
MERGE = {"mode": "merge", "key": "id", "newest_by": "at", "delete_when": {"op": "D"}}
MODES: dict[str, dict[str, Any]] = {
    "merge": MERGE, "append": {"mode": "append"}, "replace_window": {"mode": "replace_window", "window_by": "day"},
}  # fmt: skip
DAY = (datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC))
POINTS = {
    "merge": [*loader.POINTS], "append": ["the ledger is committed"], "replace_window": ["the catalog has committed"],
}  # fmt: skip


class Ice:
    """A catalog in a database that has the ledger too, and a warehouse of files."""

    def __init__(self, warehouse: Any, folder: Path) -> None:
        from psycopg.conninfo import conninfo_to_dict
        from pyiceberg.catalog.sql import SqlCatalog

        self.warehouse, self.folder = warehouse, folder
        words = conninfo_to_dict(warehouse.conninfo)
        self.uri = f"postgresql+psycopg://{words['user']}@{words['host']}:{words['port']}/{words['dbname']}"
        self.files = f"file://{folder}/warehouse"
        self.catalog = SqlCatalog("ice", uri=self.uri, warehouse=self.files)

    def target(self, name: str = "t") -> IcebergTarget:
        return IcebergTarget(f"iceberg://ice/lake.{name}", self.catalog, self.warehouse.conninfo)

    def csv(self, rows: list[list[object]], name: str = "t") -> Path:
        path = self.folder / f"{name}.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([HEADER, *rows])
        return path

    def load(self, rows: list[list[object]], name: str = "t", **words: Any) -> Any:
        request = LoadRequest(
            sources=(str(self.csv(rows, name)),), table=name, columns=COLUMNS, dead_letters={"max": "100%"},
            origin=Origin("p", "s", "r", 1, Window(*DAY)), **words,
        )  # fmt: skip
        return load(request, Storage(), self.target(name))

    def kill(self, dying: Dying, point: str, rows: list[list[object]], name: str = "t", **options: Any) -> None:
        """The same in a process that dies at `point`."""
        ended = dying.load(
            point=point, source=str(self.csv(rows, name)), uri=f"iceberg://ice/lake.{name}", options=options,
            conninfo=self.warehouse.conninfo, columns=COLUMNS, catalog=self.uri, files=self.files,
            window=[moment.isoformat() for moment in DAY],
        )  # fmt: skip
        assert ended == signal.SIGKILL, f"{name} was not killed when {point}"

    def outcome(self, name: str) -> tuple[Any, ...]:
        """Rows, snapshots, ledger, dead letters."""
        target = f"iceberg://ice/lake.{name}"
        loads = self.warehouse.rows(
            "SELECT status, read, inserted, updated, unchanged, stale, deduplicated, deleted, dead, rejected, removed "
            "FROM sluicegate.loads WHERE target = %s ORDER BY id", target,
        )  # fmt: skip
        letters = self.warehouse.rows(
            "SELECT line, record, status FROM sluicegate.dead_letters WHERE target = %s ORDER BY position", target
        )
        return self.rows(name), len(self.catalog.load_table(f"lake.{name}").snapshots()), loads, letters

    def rows(self, name: str = "t") -> list[tuple[Any, ...]]:
        found = self.catalog.load_table(f"lake.{name}").scan().to_arrow().to_pylist()
        return sorted(tuple(row.values()) for row in found)


@pytest.fixture(scope="module")
def dying() -> Iterator[Dying]:
    process = Dying("tests.targets.iceberg.loader")
    yield process
    process.end()


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


@pytest.mark.parametrize("mode", MODES)
def test_the_retry_of_a_load_that_was_killed_is_right(ice: Ice, dying: Dying, mode: str) -> None:
    """`kill -9` at each point of a merge, and on one side of the catalog's commit in the other modes."""
    options = MODES[mode]
    before = MERGE if "key" in options else {"mode": "append"}
    ice.load(BEFORE, "whole", **before)
    assert ice.load(AFTER, "whole", **options).status == "loaded"
    for number, point in enumerate(POINTS[mode]):
        name = f"t{number}"
        ice.load(BEFORE, name, **before)
        ice.kill(dying, point, AFTER, name, **options)
        assert ice.load(AFTER, name, **options).status in {"loaded", "skipped"}
        assert ice.outcome(name) == ice.outcome("whole"), point
    assert ice.load(AFTER, name, **options).status == "skipped"
    assert ice.warehouse.one("SELECT count(*) FROM sluicegate.intents") == 0


def test_what_somebody_else_committed_meanwhile_is_not_undone(ice: Ice, dying: Dying) -> None:
    import pyarrow as pa

    ice.load(BEFORE, **MERGE)
    ice.kill(dying, "the ledger is committed", AFTER, **MERGE)
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

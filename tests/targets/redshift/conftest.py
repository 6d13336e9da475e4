"""Short ways to load into tables of the stand-in, with the ledger in the same database."""

from __future__ import annotations

import csv
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from sluicegate.faults import FaultError
from sluicegate.ledger.entries import Origin
from sluicegate.load.load import load
from sluicegate.load.report import LoadReport
from sluicegate.load.request import LoadRequest
from sluicegate.storage import Storage
from sluicegate.targets.redshift.place import RedshiftTable
from sluicegate.targets.redshift.target import RedshiftTarget
from sluicegate.testing.warehouse import Warehouse
from tests.targets.redshift import standin


class RedshiftHouse(Warehouse):
    """A database of tables, an S3 for what is staged, and loads out of files of a folder."""

    def __init__(self, conninfo: str, folder: Path, s3: Any) -> None:
        super().__init__(conninfo)
        self.folder, self.s3 = folder, s3
        self.storage = Storage(client=s3.client())
        self.cluster = standin.cluster_of(conninfo)

    def csv(self, name: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
        path = self.folder / name
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([header, *rows])
        return path

    def target(self, table: str = "t", **words: Any) -> RedshiftTarget:
        place = RedshiftTable.at(f"table://warehouse/{table}")
        return RedshiftTarget(place, self.cluster, self.conninfo, self.storage, **words)

    def request(self, source: str | Path, table: str = "t", **words: Any) -> LoadRequest:
        words["dead_letters"] = {"max": words.pop("max_dead", "100%")}
        words.setdefault("origin", Origin("p", "s", uuid.uuid4().hex[:8], 1))
        return LoadRequest(sources=(str(source),), table=table, **words)

    def load(self, source: str | Path, table: str = "t", **words: Any) -> LoadReport:
        return load(self.request(source, table, **words), self.storage, self.target(table))

    def fails(self, source: str | Path, table: str = "t", **words: Any) -> FaultError:
        with pytest.raises(FaultError) as caught:
            self.load(source, table, **words)
        return caught.value


@pytest.fixture
def house(warehouse: Warehouse, tmp_path: Path, s3: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedshiftHouse]:
    monkeypatch.setattr(standin.driver.Connection, "execute", standin.driver.Connection.execute)
    monkeypatch.setattr(standin.driver, "socket", standin.driver.socket)
    s3.make_bucket("stage")
    standin.stand_in(s3.client())
    standin.make_functions(warehouse.conninfo)
    return RedshiftHouse(warehouse.conninfo, tmp_path, s3)

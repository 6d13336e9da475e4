"""Short ways to load into folders of Parquet files, with the ledger in a database of a test's own."""

from __future__ import annotations

import csv
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from sluicegate.faults import FaultError
from sluicegate.ledger.entries import Origin
from sluicegate.ledger.letters import Selection
from sluicegate.load.load import load
from sluicegate.load.replay.replay import Replay
from sluicegate.load.report import LoadReport
from sluicegate.load.request import LoadRequest
from sluicegate.storage import Storage
from sluicegate.targets.parquet.target import ParquetTarget
from sluicegate.testing.warehouse import Warehouse


class LakeHouse(Warehouse):
    """A folder of tables, the database of their ledger, and loads out of files of another folder."""

    def __init__(self, conninfo: str, folder: Path) -> None:
        super().__init__(conninfo)
        self.folder, self.lake = folder, f"{folder}/lake"
        self.storage = Storage()
        self.endpoint_url: str | None = None
        self.s3: Any = None

    def csv(self, name: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
        path = self.folder / name
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)
        return path

    def uri(self, table: str = "t") -> str:
        return f"{self.lake}/{table}/"

    def target(self, table: str = "t", **words: Any) -> ParquetTarget:
        return ParquetTarget(self.uri(table), self.conninfo, self.storage, **words)

    def request(self, source: str | Path | Sequence[str], table: str = "t", **words: Any) -> LoadRequest:
        sources = (str(source),) if isinstance(source, (str, Path)) else tuple(source)
        words["dead_letters"] = {"max": words.pop("max_dead", "100%")}
        words.setdefault("origin", Origin("p", "s", uuid.uuid4().hex[:8], 1))
        return LoadRequest(sources=sources, table=self.uri(table), **words)

    def load(self, source: str | Path | Sequence[str], table: str = "t", **words: Any) -> LoadReport:
        return load(self.request(source, table, **words), self.storage, self.target(table))

    def fails(self, source: str | Path | Sequence[str], table: str = "t", **words: Any) -> FaultError:
        with pytest.raises(FaultError) as caught:
            self.load(source, table, **words)
        return caught.value

    def replay(self, table: str = "t", **words: Any) -> Any:
        how = {name: words.pop(name) for name in ("mending", "overwrite") if name in words}
        target = self.target(table)
        replay = Replay(
            self.request("nowhere", table, **words), self.storage, lambda name: self.target(table), target.ledger,
            who="ingrid", **how,
        )  # fmt: skip
        return replay.run(Selection(target=target.name))

    def to_s3(self, s3: Any) -> None:
        """Keep the tables in an S3 from now on."""
        s3.make_bucket("lake")
        self.s3, self.lake, self.endpoint_url = s3, "s3://lake", s3.endpoint_url
        self.storage = Storage(client=s3.client())

    def place(self, table: str) -> Path:
        """The folder of a table; what is in S3 as a copy."""
        if self.s3 is None:
            return Path(self.uri(table))
        folder = self.folder / "copies" / uuid.uuid4().hex
        for uri in self.s3.uris(self.uri(table)):
            path = folder / uri.removeprefix(self.uri(table))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.s3.get(uri))
        return folder

    def files(self, table: str = "t") -> list[str]:
        folder = self.place(table)
        return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())

    def table(self, table: str = "t", columns: str = "*") -> list[tuple[Any, ...]]:
        """The rows as any reader of the folder's files sees them, in order."""
        query = f"SELECT {columns} FROM read_parquet('{self.place(table)}/*.parquet', union_by_name=true) ORDER BY ALL"
        with duckdb.connect() as duck:
            duck.execute("SET TimeZone = 'UTC'")
            return duck.execute(query).fetchall()

    def rules(self) -> list[tuple[int, list[str]]]:
        return [(one.line, list(one.rules)) for one in self.dead_letters()]


@pytest.fixture
def house(warehouse: Warehouse, tmp_path: Path) -> LakeHouse:
    return LakeHouse(warehouse.conninfo, tmp_path)

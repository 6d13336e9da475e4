"""One real Postgres for the tests of loads, and short ways to load into it and to look at what is there."""

from __future__ import annotations

import csv
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sluicegate.faults import FaultError
from sluicegate.ledger.entries import Origin
from sluicegate.load.load import load
from sluicegate.load.report import LoadReport
from sluicegate.load.request import LoadRequest
from sluicegate.local.stack.scratch import scratch_postgres
from sluicegate.storage import Storage
from sluicegate.targets.postgres.target import PostgresTarget


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The connection string of a Postgres on a port of its own, without a database name."""
    with scratch_postgres(tmp_path_factory.mktemp("server")) as conninfo:
        yield conninfo


class Warehouse:
    """A database of a test's own."""

    def __init__(self, conninfo: str, folder: Path) -> None:
        self.conninfo, self.folder = conninfo, folder
        self.storage: Any = Storage()

    def rows(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            cursor = connection.execute(query, arguments)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def one(self, query: str, *arguments: object) -> Any:
        return self.rows(query, *arguments)[0][0]

    def file(self, name: str, text: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def csv(self, name: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
        path = self.folder / name
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)
        return path

    def request(self, source: str | Path | Sequence[str], table: str = "t", **words: Any) -> LoadRequest:
        sources = (str(source),) if isinstance(source, (str, Path)) else tuple(source)
        words["dead_letters"] = {"max": words.pop("max_dead", "100%")}
        if "suite" in words:
            words["suite"] = str(words["suite"])
        words.setdefault("origin", Origin("p", "s", uuid.uuid4().hex[:8], 1))
        return LoadRequest(sources=sources, table=table, **words)

    def target(self, table: str = "t", **words: Any) -> PostgresTarget:
        return PostgresTarget(self.conninfo, table, **words)

    def load(self, source: str | Path | Sequence[str], table: str = "t", **words: Any) -> LoadReport:
        return load(self.request(source, table, **words), self.storage, self.target(table))

    def fails(self, source: str | Path | Sequence[str], table: str = "t", **words: Any) -> FaultError:
        with pytest.raises(FaultError) as caught:
            self.load(source, table, **words)
        return caught.value

    def letters(self) -> list[tuple[Any, ...]]:
        return self.rows(
            "SELECT line, record, failures, key, status FROM sluicegate.dead_letters ORDER BY source, line"
        )

    def rules(self) -> list[tuple[int, list[str]]]:
        return [(line, [f["rule"] for f in failures]) for line, _, failures, *_ in self.letters()]


@pytest.fixture
def warehouse(server: str, tmp_path: Path) -> Warehouse:
    name = f"w{uuid.uuid4().hex[:12]}"
    with psycopg.connect(f"{server} dbname=postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")  # type: ignore[call-overload]
    return Warehouse(f"{server} dbname={name}", tmp_path)


Loads = Callable[..., LoadReport]

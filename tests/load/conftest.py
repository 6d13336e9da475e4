"""Short ways to load into a database of a test's own."""

from __future__ import annotations

import csv
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from sluicegate.faults import FaultError
from sluicegate.ledger.entries import Origin
from sluicegate.ledger.letters import Selection
from sluicegate.load.load import load
from sluicegate.load.replay.replay import Replay
from sluicegate.load.replay.report import ReplayReport
from sluicegate.load.report import LoadReport
from sluicegate.load.request import LoadRequest
from sluicegate.storage import Storage
from sluicegate.targets.postgres.target import PostgresTarget
from sluicegate.testing.warehouse import Warehouse


class LoadWarehouse(Warehouse):
    """A database, and loads into it out of files of a folder."""

    def __init__(self, conninfo: str, folder: Path) -> None:
        super().__init__(conninfo)
        self.folder = folder
        self.storage: Any = Storage()

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

    def until(self, query: str) -> None:
        """Wait until the answer is neither nothing nor 0."""
        limit = time.monotonic() + 120
        while not self.one(query):
            assert time.monotonic() < limit, f"never became true: {query}"
            time.sleep(0.02)

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

    def replay(self, table: str = "t", **words: Any) -> ReplayReport:
        """All open letters of the table, by the configuration that `words` say."""
        selection = words.pop("selection", Selection(target=f"public.{table}"))
        how = {name: words.pop(name) for name in ("mending", "overwrite", "reason") if name in words}
        limit, edited = words.pop("limit", None), words.pop("edited", None)
        replay = Replay(
            self.request("nowhere", table, **words), self.storage, lambda name: self.target(name),
            self.target(table).ledger, who="ingrid", **how,
        )  # fmt: skip
        return replay.run(selection, limit) if edited is None else replay.run_edited(edited, selection)

    def states(self) -> list[tuple[Any, ...]]:
        """Line, status and attempts of each letter, in their order."""
        return self.rows("SELECT line, status, attempts FROM sluicegate.dead_letters ORDER BY position")

    def letters(self) -> list[tuple[Any, ...]]:
        return [(one.line, one.record, list(one.failures), one.key, one.status) for one in self.dead_letters()]

    def rules(self) -> list[tuple[int, list[str]]]:
        return [(one.line, list(one.rules)) for one in self.dead_letters()]


@pytest.fixture
def warehouse(warehouse: Warehouse, tmp_path: Path) -> LoadWarehouse:
    return LoadWarehouse(warehouse.conninfo, tmp_path)


Loads = Callable[..., LoadReport]

"""Short ways to fetch into a folder of a test's own."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sluicegate.graph.window import Window
from sluicegate.ledger.watermarks import Reader
from sluicegate.pipeline.keys.fetch import Fetched
from sluicegate.sources.fetch import FetchRequest
from tests.webserver import WebServer, web_server


def day(number: int) -> Window:
    start = datetime(2026, 1, number, tzinfo=UTC)
    return Window(start, start + timedelta(days=1))


class Folder:
    """Where it lands, and what is there."""

    def __init__(self, path: Path) -> None:
        self.path = path / "raw"
        self.work = path / "work"
        self.work.mkdir()

    def request(
        self, fetched: Mapping[str, Any], number: int = 1, params: Mapping[str, Any] | None = None, **words: Any
    ) -> FetchRequest:
        made = Fetched.model_validate(fetched)
        return FetchRequest(made, f"{self.path}/", day(number), params or {}, {}, Reader("p", "s"), "run", **words)

    @property
    def names(self) -> list[str]:
        return sorted(path.relative_to(self.path).as_posix() for path in self.path.rglob("*") if path.is_file())

    @property
    def lines(self) -> list[str]:
        parts = sorted(self.path.glob("part-*.jsonl.gz"))
        return [line for part in parts for line in gzip.decompress(part.read_bytes()).decode().splitlines()]

    @property
    def records(self) -> list[Any]:
        return [json.loads(line) for line in self.lines]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def site() -> Iterator[WebServer]:
    with web_server() as server:
        yield server

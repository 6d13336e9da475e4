"""The commands of the page on receipts, run on the runs that it speaks of, print what it shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sluicegate.cli import app
from sluicegate.factory.build import build_dag
from sluicegate.graph.window import Window
from sluicegate.pipeline import read_together
from sluicegate.runtime import journal
from sluicegate.testing.step import StepInstance
from sluicegate.testing.warehouse import Warehouse
from tests.docs.pages import page, write_dags

_TIMES = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "NOW"),
    (re.compile(r"\b\d+(\.\d+)? (ms|s)\b"), "SHORT"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "DIGEST"),
    (re.compile(r"(  packages +).*"), r"\1"),
)


@pytest.fixture
def landing(tmp_path: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The page's dags folder after the runs of Tuesday and of Wednesday, when the limit was lowered."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", warehouse.connection)
    root = write_dags(page("receipts.md"), tmp_path)
    file = root / "orders.yaml"
    wednesday = file.read_text().replace("/data/landing", str(tmp_path))
    for day, rows, text in ((6, 100, wednesday.replace("500]", "100000]")), (7, 90, wednesday)):
        file.write_text(text)
        start = datetime(2026, 1, day, tzinfo=UTC)
        lines = [f"{day}{number:03},{number * 6}.00\n" for number in range(rows)]
        (tmp_path / f"{start:%Y-%m-%d}.csv").write_text("".join(["order_id,amount\n", *lines]))
        together = read_together(file, root)
        dag = build_dag(together.pipelines[0], together.upstreams)
        StepInstance(dag.get_task("load_orders"), Window(start, start + timedelta(days=1))).execute()
    yield tmp_path
    journal._spare._drop()


def test_the_commands_of_the_page_print_what_it_shows(landing: Path) -> None:
    blocks = page("receipts.md").blocks("sh", "text")
    pairs = [(one.text, two.text) for one, two in pairwise(blocks) if two.language == "text"]
    assert len(pairs) == 3
    for command, shown in pairs:
        said = CliRunner().invoke(app, command.split()[1:]).output.replace(str(landing), "/data/landing")
        assert _timeless(said) == _timeless(shown), said


def _timeless(text: str) -> list[Any]:
    for pattern, word in _TIMES:
        text = pattern.sub(word, text)
    return [line.rstrip() for line in text.strip().splitlines()]

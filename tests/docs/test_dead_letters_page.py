"""The commands of the page on dead letters, run one after the other, on letters like those it speaks of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sluicegate.cli import app
from sluicegate.ledger.entries import Origin
from sluicegate.load.load import load
from sluicegate.load.replay.of_step import request_of_step
from sluicegate.pipeline import read_tree
from sluicegate.pipeline.keys.model import LoadStep
from sluicegate.storage import Storage
from sluicegate.targets.postgres.target import PostgresTarget
from sluicegate.testing.warehouse import Warehouse
from tests.docs.pages import page, write_dags

ROWS = [
    "1,10,a@x", "2,200000,b@x", '3,"12,50",c@x', "4,many,d@x", "5,few,e@x", "6,1,f@x", "7,1,g@x", *(
        f"{number},1,x@x" for number in range(100, 400)
    ),
]  # fmt: skip


@pytest.fixture
def shop(tmp_path: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's dags folder, with two files of orders loaded by its pipeline."""
    root = write_dags(page("dead-letters.md"), tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", warehouse.connection)
    tree = read_tree(root)
    pipeline = tree.pipelines["orders"]
    step = pipeline.steps["load_orders"]
    assert isinstance(step, LoadStep)
    request = request_of_step(pipeline, step, tree.readable, dry_run=False)
    for name, rows in {"orders.csv": ROWS, "sandbox.csv": ["8,no,h@x", *ROWS[7:]]}.items():
        (tmp_path / name).write_text("".join(f"{row}\n" for row in ["order_id,amount,email", *rows]))
        told = {"sources": (str(tmp_path / name),), "table": "orders", "origin": Origin("orders", "load_orders", name)}
        load(request.model_copy(update=told), Storage(), PostgresTarget(warehouse.conninfo, "orders"))
    return root


def edit(file: Path) -> None:
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        line["record"]["amount"] = {"many": "7", "few": "-1"}.get(line["record"]["amount"], "no")
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def test_the_commands_of_the_page_do_what_it_says(shop: Path, warehouse: Warehouse) -> None:
    said: dict[str, list[Any]] = {}
    for _, words in page("dead-letters.md").commands():
        if words[:2] != ["sluicegate", "dead-letters"]:
            continue
        [(bad,)] = warehouse.rows("SELECT id FROM sluicegate.dead_letters WHERE record LIKE '%%few%%'")
        if "--from" in words:
            edit(Path("bad.jsonl"))
        done = CliRunner().invoke(app, [bad[:12] if word == "3f2a91c4" else word for word in words[1:]])
        said.setdefault(words[2], []).append((done.exit_code, done.output))
        if "raised" in " ".join(words) or "--dry-run" in words:
            assert done.exit_code == 1, "the file of the page has still the old limit"
    assert [code for code, _ in said["list"] + said["show"] + said["export"]] == [0, 0, 0, 0]
    assert [line.split("\t")[4] for line in said["list"][0][1].splitlines()] == [
        "between:amount", "type:amount", "type:amount", "type:amount", "type:amount",
    ]  # fmt: skip
    assert "would replay 0 of 1" in said["replay"][0][1]
    assert "replayed 1 of 5" in said["replay"][2][1]
    assert "replayed 1 of 4" in said["replay"][3][1], (
        "that of the sandbox, `few` and the one above the limit are still bad"
    )
    assert said["discard"] == [(0, "1 dead letters are discarded\n")]
    assert said["resolve"] == [(0, "1 dead letters are resolved\n")]
    rows = warehouse.rows("SELECT order_id, amount::text, email FROM orders WHERE order_id < 9 ORDER BY 1")
    assert rows == [
        (1, "10.00", "a@x"), (3, "12.50", "c@x"), (4, "7.00", "d@x"), (6, "1.00", "f@x"), (7, "1.00", "g@x"),
    ]  # fmt: skip
    assert "@x" not in str(warehouse.rows("SELECT * FROM sluicegate.dead_letters"))

"""Dead letters of folders: the command and the operator bring them in, and close them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from typer.testing import CliRunner

from sluicegate.cli import app
from sluicegate.graph.window import Window
from sluicegate.ledger.entries import Origin
from sluicegate.load.dead_letters_operator import DeadLettersOperator
from sluicegate.runtime.step import StepContext

PIPELINE = """\
sluicegate: 1
owner: shop
schedule: {cron: "0 6 * * *", start: 2026-01-01}
steps:
  load_orders:
    load: file://FOLDER/orders.csv
    into: file://FOLDER/lake/t/
    key: id
    dead_letters: {max: 100%}
    columns: {n: {type: integer, between: [0, 99]}}
"""
COLUMNS = {"n": {"type": "integer", "between": [0, 9]}}


@pytest.fixture
def shop(house: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", house.connection)
    house.load(
        house.csv("orders.csv", ["id", "n"], [[1, 1], [2, 50], [3, 500]]), key="id", columns=COLUMNS,
        origin=Origin("orders", "load_orders", "r", 1),
    )  # fmt: skip
    return house


def test_the_command_replays_into_a_folder_by_the_ledger_of_its_pipeline(shop: Any) -> None:
    dags = shop.folder / "dags"
    dags.mkdir()
    (dags / "defaults.yaml").write_text("sluicegate: 1\nconnections: {ledger: warehouse}\n")
    (dags / "orders.yaml").write_text(PIPELINE.replace("FOLDER", str(shop.folder)))
    done = CliRunner().invoke(app, ["dead-letters", "replay", "-p", "orders", "--dags", str(dags)])
    assert done.exit_code == 1, done.output  # one is still bad
    assert shop.table() == [(1, 1), (2, 50)]
    assert shop.rows("SELECT status FROM sluicegate.dead_letters ORDER BY position") == [("replayed",), ("open",)]


def test_the_operator_replays_and_discards(shop: Any) -> None:
    words: dict[str, Any] = {
        "task_id": "a", "into": shop.uri(), "ledger_conn_id": "warehouse", "load_dag_id": "orders",
    }  # fmt: skip
    now = datetime(2026, 1, 1, tzinfo=UTC)
    step = StepContext("p", "s", "r", 1, -1, Window(now, now))
    replay = DeadLettersOperator(
        **words, action="replay", key="id", columns={"n": {"type": "integer", "between": [0, 99]}}
    )
    assert replay.run({}, step).value["replayed"] == 1  # type: ignore[typeddict-item]
    discard = DeadLettersOperator(**words, action="discard", reason="a test")
    assert discard.run({}, step).value["discarded"] == 1  # type: ignore[typeddict-item]
    assert shop.table() == [(1, 1), (2, 50)]

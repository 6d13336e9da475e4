"""`sluicegate runs`: from two runs of a real pipeline to why its number changed."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from sluicegate.cli import app
from sluicegate.factory.build import build_dag
from sluicegate.faults import FaultError
from sluicegate.graph.window import Window
from sluicegate.pipeline import read_together
from sluicegate.testing.step import StepInstance
from sluicegate.testing.supervisor import Run
from tests.load.conftest import warehouse

__all__ = ["warehouse"]

PIPELINE = """\
sluicegate: 1
owner: shop
schedule: {cron: "0 6 * * *", start: 2026-01-01}
datasets:
  raw: file://FOLDER/{{ ds }}.csv
steps:
  load_orders:
    load: raw
    into: table://warehouse/orders
    key: id
    dead_letters: {max: 50%}
    columns: {n: {type: integer, between: [0, 9]}}
"""


class Shop:
    """A dags root with a pipeline, its days, and the command."""

    def __init__(self, warehouse: Any) -> None:
        self.folder = warehouse.folder
        self.dags = self.folder / "dags"
        self.dags.mkdir()
        self.write(PIPELINE)

    def write(self, text: str) -> None:
        (self.dags / "orders.yaml").write_text(text.replace("FOLDER", str(self.folder)))

    def day(self, number: int, rows: list[list[object]], hour: int = 6) -> str:
        """Load a day; the id of its run."""
        start = datetime(2026, 1, number, hour, tzinfo=UTC)
        lines = "\n".join(",".join(map(str, row)) for row in [["id", "n"], *rows])
        (self.folder / f"{start:%Y-%m-%d}.csv").write_text(lines + "\n")
        file = self.dags / "orders.yaml"
        together = read_together(file, self.dags)
        dag = build_dag(together.pipelines[0], together.upstreams)
        window = Window(start, start + timedelta(days=1))
        # As Airflow does, the id has the end of the window.
        step = StepInstance(
            dag.get_task("load_orders"), window, run=Run("orders", f"scheduled__{window.end:%Y-%m-%dT%X}", start)
        )
        with suppress(FaultError):  # its receipt says it
            step.execute()
        return step.run.run_id

    def run(self, *words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, ["runs", *words, "--dags", str(self.dags)])
        assert done.exit_code == code, done.output
        return done.output


@pytest.fixture
def shop(warehouse: Any, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", warehouse.connection)
    monkeypatch.chdir(warehouse.folder)
    return Shop(warehouse)


def test_a_journal_without_receipts_has_no_runs(shop: Shop) -> None:
    assert "No run matches." in shop.run("list")
    assert json.loads(shop.run("list", "--json")) == []
    assert "there is no run latest" in shop.run("show", "latest", code=2)


def test_a_list_has_the_latest_first_and_is_narrowed(shop: Shop) -> None:
    one = shop.day(1, [[1, 1], [2, 50]])
    two = shop.day(2, [[3, 1], [4, 50], [5, 60]])
    assert [line.split("\t")[1:4] for line in shop.run("list").splitlines()] == [
        [two, "failed: load_orders TOO_MANY_DEAD_LETTERS", "2026-01-02 06:00 to 2026-01-03 06:00 UTC"],
        [one, "succeeded", "2026-01-01 06:00 to 2026-01-02 06:00 UTC"],
    ]
    found = {
        words: [run["run_id"] for run in json.loads(shop.run("list", "--json", *words))]
        for words in [
            ("-p", "orders"), ("--status", "failed"), ("--window", "2026-01-01"), ("--limit", "1"),
            ("--since", "2099-01-01"), ("--connection", "warehouse", "--status", "running"),
        ]
    }  # fmt: skip
    assert list(found.values()) == [[two, one], [two], [one], [two], [], []]
    assert "expected one of running" in shop.run("list", "--status", "sad", code=2)


def test_a_day_is_one_of_the_pipeline_s_time_zone_unless_another_one_is_asked_for(shop: Shop) -> None:
    shop.write(PIPELINE.replace("start: 2026-01-01}", "start: 2026-01-01, timezone: Asia/Tokyo}"))
    run = shop.day(1, [[1, 1]], hour=20)  # the second of January in Tokyo
    assert shop.run("list").split("\t")[3] == "2026-01-02 05:00 to 2026-01-03 05:00 JST"
    assert shop.run("list", "--timezone", "UTC").split("\t")[3] == "2026-01-01 20:00 to 2026-01-02 20:00 UTC"
    for options in (["2026-01-02"], ["2026-01-01", "--timezone", "UTC"]):
        assert json.loads(shop.run("show", *options, "--json"))["run_id"] == run
        assert run in shop.run("list", "--window", *options)
    shop.run("show", "2026-01-01", code=2)
    assert "No run matches" in shop.run("list", "--window", "2026-01-01")
    assert "window      2026-01-02 05:00 to 2026-01-03 05:00 JST" in shop.run("show", "latest")
    assert "(2026-01-02 05:00 to 2026-01-03 05:00 JST)" in shop.run("diff", "latest", "latest")
    assert "--window takes two" in shop.run("list", "--since", "2026-01-01..2026-01-02", code=2)
    assert "expected the IANA name" in shop.run("list", "--timezone", "Mars", code=2)


def test_show_says_what_made_a_run(shop: Shop) -> None:
    shop.day(1, [[1, 1], [2, 50]])
    text = shop.run("show", "2026-01-01")
    assert "load_orders  succeeded" in text
    assert "2 read, 1 inserted, 1 dead" in text
    assert f"raw: file://{shop.folder}/2026-01-01.csv, 2 records, 14 bytes, version " in text
    assert "dead     between:n 1" in text
    found = json.loads(shop.run("show", "latest", "--json"))
    assert found["configuration"]["keys"]["steps.load_orders.columns.n.between"] == [0, 9]
    assert found["files"]["file"] == "orders.yaml"
    assert found["steps"][0]["facts"]["inputs"][0]["rows"] == 2


def test_diff_says_why_a_number_changed(shop: Shop) -> None:
    one = shop.day(1, [[1, 1], [2, 5]])
    shop.write(PIPELINE.replace("between: [0, 9]", "between: [0, 4]").replace("owner: shop", "owner: sales"))
    two = shop.day(2, [[3, 1], [4, 5]])
    text = shop.run("diff", one, two, code=1)
    assert "load_orders: inserted 2 → 1 (-1), dead 0 → 1 (+1)" in text
    reasons = [line[5:] for line in text.splitlines() if line[:3].strip().isdigit()]
    assert reasons[0] == "`steps.load_orders.columns.n.between` of the pipeline was [0, 9] and is [0, 4]"
    assert reasons[1] == "1 more records of load_orders are set aside by between:n: 0 → 1"
    assert reasons[-1] == "`owner` of the pipeline was 'shop' and is 'sales'"
    found = json.loads(shop.run("diff", one, two, "--json", code=1))
    assert found["reasons"][0]["kind"] == "configuration"


def test_diff_of_a_run_with_itself_finds_nothing(shop: Shop) -> None:
    shop.day(1, [[1, 1]])
    assert "Nothing that was recorded differs between the two runs." in shop.run("diff", "latest", "latest")


def test_runs_of_two_pipelines_are_not_compared(shop: Shop, warehouse: Any) -> None:
    one = shop.day(1, [[1, 1]])
    warehouse.rows("INSERT INTO sluicegate.receipts SELECT 'others', 'r2', step, map_index, try_number, status,"
                   " started_at, ended_at, window_start, window_end, version, configuration, document"
                   " FROM sluicegate.receipts")  # fmt: skip
    assert "the runs are of orders and others" in shop.run("diff", one, "r2", code=2)


def test_what_names_several_runs_is_asked_about(shop: Shop) -> None:
    shop.day(1, [[1, 1]])
    shop.day(2, [[2, 1]])
    assert "several runs match 2026-01" in shop.run("show", "2026-01", code=2)


def test_a_pipeline_without_a_journal_is_said_to_have_none(shop: Shop) -> None:
    (shop.dags / "post.py").write_text("def post(): ...\n")
    (shop.dags / "post.yaml").write_text("sluicegate: 1\nsteps: {post: {python: post:post}}\n")
    assert "post has no journal" in shop.run("list", "-p", "post", code=2)


def test_a_journal_out_of_reach_ends_with_three(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", "postgres://x@127.0.0.1:1/none")
    shop.run("list", code=3)

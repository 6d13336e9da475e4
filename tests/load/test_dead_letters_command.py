"""`sluicegate dead-letters`: what a person sees, edits, brings in and closes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sluicegate.cli import app

PIPELINE = """\
sluicegate: 1
owner: shop
schedule: {cron: "0 6 * * *", start: 2026-01-01}
steps:
  load_orders:
    load: file://FOLDER/orders.csv
    into: table://warehouse/orders
    key: id
    dead_letters: {max: 100%}
    columns: {n: {type: integer, between: [0, LIMIT]}}
"""


class Shop:
    """A dags root with a pipeline whose load has set records aside, and the command."""

    def __init__(self, warehouse: Any) -> None:
        self.warehouse = warehouse
        self.dags = warehouse.folder / "dags"
        self.dags.mkdir()
        self.write(9)

    def write(self, limit: int) -> None:
        text = PIPELINE.replace("FOLDER", str(self.warehouse.folder)).replace("LIMIT", str(limit))
        (self.dags / "orders.yaml").write_text(text)

    def load(self, rows: list[list[object]]) -> None:
        from sluicegate.ledger.entries import Origin

        self.warehouse.load(
            self.warehouse.csv("orders.csv", ["id", "n"], rows), "orders", key="id",
            columns={"n": {"type": "integer", "between": [0, 9]}}, origin=Origin("orders", "load_orders", "r", 1),
        )  # fmt: skip

    def run(self, *words: str, code: int = 0, answer: str | None = None) -> str:
        done = CliRunner().invoke(app, ["dead-letters", *words, "--dags", str(self.dags)], input=answer)
        assert done.exit_code == code, done.output
        return done.output

    def rows(self) -> list[tuple[Any, ...]]:
        return self.warehouse.rows("SELECT id, n FROM orders ORDER BY 1")  # type: ignore[no-any-return]


@pytest.fixture
def shop(warehouse: Any, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", warehouse.connection)
    monkeypatch.chdir(warehouse.folder)
    return Shop(warehouse)


def ids(shop: Shop) -> list[str]:
    return [row[0] for row in shop.warehouse.rows("SELECT id FROM sluicegate.dead_letters ORDER BY position")]


def test_a_list_off_a_terminal_has_a_line_each_and_json_has_all(shop: Shop) -> None:
    shop.load([[1, 1], [2, 50], [3, "x"]])
    first, second = shop.run("list", "-p", "orders").splitlines()
    assert first.split("\t")[:6] == [
        ids(shop)[0][:12], "open", "public.orders", f"{shop.warehouse.folder}/orders.csv:3", "between:n", "1",
    ]  # fmt: skip
    assert second.split("\t")[4] == "type:n"
    found = json.loads(shop.run("list", "--connection", "warehouse", "--rule", "type", "--json"))
    assert [(one["line"], one["record"], one["failures"][0]["value"]) for one in found] == [
        (4, {"id": "3", "n": "x"}, "x")
    ]
    assert json.loads(shop.run("list", "--connection", "warehouse", "--status", "replayed", "--json")) == []
    assert "1 more" in shop.run("list", "-p", "orders", "--limit", "1")


def test_a_database_without_a_ledger_has_no_letters(shop: Shop) -> None:
    assert "No dead letter matches." in shop.run("list", "-p", "orders")
    assert "Nothing was loaded there yet" in shop.run("replay", "-p", "orders")


def test_show_takes_the_beginning_of_an_id_and_says_what_is_wrong(shop: Shop) -> None:
    shop.load([[3, "x"]])
    text = shop.run("show", ids(shop)[0][:8], "-p", "orders")
    assert "type:n \"x\" ('x' is not a number)" in text
    assert f"{shop.warehouse.folder}/orders.csv line 2" in text
    assert json.loads(shop.run("show", ids(shop)[0], "-p", "orders", "--json"))["id"] == ids(shop)[0]
    assert "there is no dead letter ffff" in shop.run("show", "ffff", "-p", "orders", code=2)


def test_a_corrected_pipeline_replays_and_what_is_still_bad_ends_with_one(shop: Shop) -> None:
    shop.load([[1, 1], [2, 50], [3, "x"]])
    shop.write(99)
    assert "would replay 1 of 2" in shop.run("replay", "-p", "orders", "--dry-run", code=1)
    assert shop.rows() == [(1, 1)]
    assert "load_orders: replayed 1 of 2 dead letters: 1 inserted, 1 still bad (type:n 1)" in shop.run(
        "replay", "-p", "orders", code=1
    )
    assert shop.rows() == [(1, 1), (2, 50)]
    assert shop.run("replay", "-p", "orders", "--rule", "between").strip().endswith("no open dead letter matches")


def test_a_scope_of_the_pipeline_narrows_a_replay(shop: Shop) -> None:
    shop.load([[2, 50], [3, 60]])
    shop.write(99)
    file = shop.dags / "orders.yaml"
    file.write_text(file.read_text().replace("key: id", 'key: id\n    scope: {id: [2, 9], n: "{{ params.n }}"}'))
    file.write_text(file.read_text().replace("steps:", "params: {n: null}\nsteps:"))
    assert "1 still bad (outside_scope 1)" in shop.run("replay", "-p", "orders", code=1)
    assert shop.rows() == [(2, 50)]


def test_a_replay_takes_the_memory_that_airflow_gives_a_load(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.load([[2, 50]])
    monkeypatch.setenv("AIRFLOW__SLUICEGATE__LOAD_MEMORY_LIMIT", "much")
    assert "load_memory_limit is 'much'" in shop.run("replay", "-p", "orders", code=2)


def test_export_edit_and_replay_from(shop: Shop, tmp_path: Path) -> None:
    shop.load([[2, 50], [3, "x"]])
    file = tmp_path / "bad.jsonl"
    assert "2 dead letters are in" in shop.run("export", "-p", "orders", "-o", str(file))
    assert "is there already" in shop.run("export", "-p", "orders", "-o", str(file), code=2)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        line["record"]["n"] = 5
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    outcome = json.loads(shop.run("replay", "-p", "orders", "--from", str(file), "--by", "eva", "--json"))
    assert (outcome["load_orders"]["replayed"], outcome["load_orders"]["still_bad"]) == (2, 0)
    assert shop.rows() == [(2, 5), (3, 5)]
    assert shop.warehouse.rows("SELECT DISTINCT resolved_by FROM sluicegate.dead_letters") == [("eva",)]


def test_a_fix_is_found_from_the_dags_root_and_its_errors_name_its_line(shop: Shop) -> None:
    shop.load([[2, 50], [3, "x"]])
    (shop.dags / "shop_orders_fixes.py").write_text(
        "def cap(record):\n    return {**record, 'n': min(int(record['n']), 9)}\n\ndef none(record):\n    return 5\n"
    )
    assert "shop_orders_fixes.py:2" in shop.run("replay", "-p", "orders", "--fix", "shop_orders_fixes:cap", code=1)
    assert "shop_orders_fixes:none returned int" in shop.run(
        "replay", "-p", "orders", "--fix", "shop_orders_fixes:none", code=2
    )
    shop.run("replay", "-p", "orders", "--rule", "between", "--fix", "shop_orders_fixes:cap")
    assert shop.rows() == [(2, 9)]
    assert "did you mean cap" in shop.run("replay", "-p", "orders", "--fix", "shop_orders_fixes:cup", code=1)


def test_discard_says_how_many_and_keeps_who_and_why(shop: Shop) -> None:
    shop.load([[2, 50], [3, "x"], [4, 60]])
    words = ("discard", "-p", "orders", "--rule", "between", "--reason", "test data")
    assert "2 dead letters match; without a terminal, say --yes" in shop.run(*words, code=2)
    assert "2 dead letters would be discarded" in shop.run(*words, "--dry-run")
    assert "nothing says which" in shop.run("discard", "-p", "orders", "--reason", "x", "--yes", code=2)
    outcome = json.loads(shop.run(*words, "--yes", "--by", "eva", "--json"))
    assert outcome == {"matching": 2, "closed": 2, "status": "discarded", "by": "eva", "dry_run": False}
    shop.write(99)
    shop.run("replay", "-p", "orders", code=1)
    assert shop.rows() == [], "what was discarded is not replayed"
    kept = shop.warehouse.rows("SELECT status, resolved_by, reason FROM sluicegate.dead_letters ORDER BY position")
    assert kept == [("discarded", "eva", "test data"), ("open", None, None), ("discarded", "eva", "test data")]


def test_resolve_closes_by_id(shop: Shop) -> None:
    shop.load([[2, 50], [3, "x"]])
    shop.run("resolve", "-p", "orders", "--id", ids(shop)[1][:10], "--reason", "corrected in the table", "--yes")
    assert [state for _, state, _ in shop.warehouse.states()] == ["open", "resolved"]


def test_where_the_database_is_must_be_said_and_no_password_is_shown(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "say whose dead letters" in shop.run("list", code=2)
    assert "the pipeline order does not exist; did you mean 'orders'?" in shop.run("list", "-p", "order", code=2)
    assert "set AIRFLOW_CONN_NOWHERE" in shop.run("list", "--connection", "nowhere", code=3)
    assert "the variable SHOP_URL is not set" in shop.run("list", "--url-env", "SHOP_URL", code=2)
    monkeypatch.setenv("SHOP_URL", "postgresql://eva:s3cret@127.0.0.1:1/none")
    output = shop.run("list", "--url-env", "SHOP_URL", code=3)
    assert "s3cret" not in output
    monkeypatch.setenv("SHOP_URL", shop.warehouse.conninfo)
    assert "No dead letter matches." in shop.run("list", "--url-env", "SHOP_URL")
    assert "expected a day or two" in shop.run("list", "-p", "orders", "--window", "soon", code=2)


# --- killed -----------------------------------------------------------------------------------------------------


def start(shop: Shop) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", "from sluicegate.cli import main; main()", "dead-letters", "replay", "-p", "orders"]
    return subprocess.Popen(
        [*words, "--dags", str(shop.dags), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=dict(os.environ), cwd=shop.warehouse.folder,
    )  # fmt: skip


def as_append(shop: Shop) -> None:
    text = (shop.dags / "orders.yaml").read_text().replace("    key: id\n", "")
    (shop.dags / "orders.yaml").write_text(text)
    rows = [[n, 50] for n in range(12_000)]
    from sluicegate.ledger.entries import Origin

    shop.warehouse.load(
        shop.warehouse.csv("orders.csv", ["id", "n"], rows), "orders",
        columns={"n": {"type": "integer", "between": [0, 9]}}, origin=Origin("orders", "load_orders", "r", 1),
    )  # fmt: skip


def test_a_replay_killed_anywhere_and_run_again_appends_each_record_once(shop: Shop) -> None:
    shop.write(99)
    as_append(shop)
    total = 12_000
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    before = shop.warehouse.one(others)
    for seconds in (0.0, 0.2, 0.6, 1.2):
        process = start(shop)
        while shop.warehouse.one(others) == before:  # it has not come to the database yet
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(seconds)
        process.kill()
        process.communicate()
        assert seconds or process.returncode == -signal.SIGKILL
        shop.warehouse.until(f"SELECT ({others}) = {before}")
        brought, closed = shop.warehouse.rows(
            "SELECT (SELECT count(*) FROM orders),"
            " (SELECT count(*) FROM sluicegate.dead_letters WHERE status = 'replayed')"
        )[0]
        assert brought == closed, "records and letters are one commit"
        if brought == total:
            break
    process = start(shop)
    process.communicate(timeout=300)
    assert process.returncode == 0
    assert shop.warehouse.rows("SELECT count(*), count(DISTINCT id) FROM orders") == [(total, total)]
    assert shop.warehouse.one("SELECT sum(inserted) FROM sluicegate.loads WHERE source LIKE 'dead-letters:%%'") == total


def test_replays_at_once_append_each_record_once(shop: Shop) -> None:
    shop.write(99)
    as_append(shop)
    processes = [start(shop) for _ in range(3)]
    reports = []
    for process in processes:
        output, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        reports.append(json.loads(output))
    assert shop.warehouse.rows("SELECT count(*), count(DISTINCT id) FROM orders") == [(12_000, 12_000)]
    assert sum(report["load_orders"]["replayed"] for report in reports) == 12_000

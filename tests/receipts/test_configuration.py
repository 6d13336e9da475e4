"""What a pipeline says, key by key: short, comparable, without secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sluicegate.pipeline import read_together
from sluicegate.receipts.configuration import configuration_of, digest_of, is_digest

ORDERS = """\
sluicegate: 1
owner: shop
schedule: {cron: "@daily", start: 2026-01-01}
params: {country: DE}
datasets:
  orders: table://warehouse/orders
  raw: "s3://${env:SLUICEGATE_BUCKET}/orders/{{ ds }}.csv"
steps:
  load_orders:
    load: raw
    into: orders
    key: id
    dead_letters: {max: 7%, keep: 90d}
    columns: {amount: {type: "numeric(12,2)", between: [0, 100]}}
  announce:
    python: announce:post
    reads: [orders]
    with: {api_token: hush, limit: 7, dsn: "postgresql://me:hidden@db/x"}
"""


def said(folder: Path, text: str = ORDERS, **environment: str) -> dict[str, Any]:
    (folder / "announce.py").write_text("def post(**_): ...\n")
    file = folder / "orders.yaml"
    file.write_text(text)
    [pipeline] = read_together(file, folder).pipelines
    return configuration_of(pipeline, environment)


def test_each_key_that_is_said_has_its_value_and_no_other_has(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("SLUICEGATE_BUCKET", "landing")
    found = said(tmp_path)
    assert found["steps.load_orders.dead_letters.max"] == "7%"
    assert found["steps.load_orders.dead_letters.keep"] == "90d"
    assert found["steps.load_orders.columns.amount.between"] == [0, 100]
    assert found["schedule.cron"] == "0 0 * * *"
    assert not any("newest_by" in key or "root" in key or "after" in key for key in found)
    assert [key for key in found if key.startswith("steps.load_orders.")] == [
        "steps.load_orders.key",
        "steps.load_orders.mode",
        "steps.load_orders.columns.amount.type",
        "steps.load_orders.columns.amount.between",
        "steps.load_orders.dead_letters.max",
        "steps.load_orders.dead_letters.keep",
        "steps.load_orders.load.dataset",
        "steps.load_orders.into",
    ]
    assert digest_of(found) == digest_of(dict(reversed(found.items())))


def test_secrets_and_what_came_from_the_environment_are_not_in_it(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("SLUICEGATE_BUCKET", "canary-bucket")
    found = said(tmp_path, SLUICEGATE_BUCKET="canary-bucket")
    assert found["datasets.raw.uri"] == "s3://${env:SLUICEGATE_BUCKET}/orders/{{ ds }}.csv"
    assert found["steps.announce.with.api_token"] == "***"
    assert found["steps.announce.with.limit"] == 7
    assert not any(word in str(found) for word in ("hush", "hidden", "canary"))


def test_a_long_value_is_a_digest_and_a_large_pipeline_has_one_for_each_step(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("SLUICEGATE_BUCKET", "landing")
    columns = ", ".join(f"c{number}: {{type: integer, required: true}}" for number in range(600))
    found = said(tmp_path, ORDERS.replace("columns: {", f"columns: {{{columns}, "))
    assert is_digest(found["steps.load_orders"])
    assert found["owner"] == "shop"
    assert is_digest(said(tmp_path, ORDERS.replace("limit: 7", f"limit: {'x' * 400}"))["steps.announce.with.limit"])

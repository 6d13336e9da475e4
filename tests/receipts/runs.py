"""Runs with receipts, made of the few words that a test is about."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sluicegate.graph.window import Window
from sluicegate.ledger.receipts import Attempt, Receipt, Status
from sluicegate.receipts.run import RunReceipt

NIGHT = datetime(2026, 1, 2, tzinfo=UTC)
RAW = {"name": "raw", "uri": "s3://landing/1.csv", "version": "v1", "parts": 1, "bytes": 2_000, "rows": 100}
SAID = {"steps.load.key": ["id"], "steps.load.columns.n.between": [0, 9], "owner": "shop"}
DOCUMENT: Mapping[str, Any] = {
    "params": {"country": "DE"},
    "code": {"commit": "a" * 40, "dirty": False, "files": {"transforms.py": "1"}},
    "pipeline": {"file": "orders.yaml", "digest": "d1", "defaults": {}, "env": {"SLUICEGATE_X": "e1"}},
    "packages": {"sluicegate": "1.0", "duckdb": "1.3"},
    "worker": {"host": "w1", "pid": 1, "python": "3.11.7"},
    "trigger": {"type": "scheduled"},
    "facts": {"counts": {"read": 100, "inserted": 98, "dead": 2}, "dead_letters": {"between:n": 2}, "inputs": [RAW]},
}


def receipt(
    step: str = "load",
    run_id: str = "a",
    try_number: int = 1,
    status: Status = Status.SUCCEEDED,
    map_index: int = -1,
    **more: Any,
) -> Receipt:
    """`facts` and each other name of the document replace what is usual."""
    facts = {**DOCUMENT["facts"], **more.pop("facts", {})}
    began = NIGHT + timedelta(minutes=try_number)
    ended = None if status.is_open and status is not Status.RETRYING else began + timedelta(seconds=4)
    window = Window(NIGHT - timedelta(days=1), NIGHT)
    attempt = Attempt("orders", run_id, step, map_index, try_number)
    return Receipt(attempt, status, began, ended, window, {**DOCUMENT, **more, "facts": facts}, "c1")


def run(*receipts: Receipt, said: Mapping[str, Any] | None = SAID) -> RunReceipt:
    return RunReceipt(receipts or (receipt(),), said)

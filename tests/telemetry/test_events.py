"""The end of a step is one line for a person, with one field for machines."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from sluicegate.faults import fault
from sluicegate.graph.window import Window
from sluicegate.runtime.step import StepResult
from sluicegate.telemetry.events import FIELD, emit
from tests.telemetry.steps import FACTS, run

DAY = Window(datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC))


def events(captured: Any) -> list[Any]:
    return [entry for entry in captured if FIELD in entry]


def test_a_success_says_what_it_did() -> None:
    with structlog.testing.capture_logs() as captured:
        run(DAY, result=StepResult(facts=FACTS))
    [entry] = events(captured)
    assert re.match(r"load succeeded after \d+\.\d+ s", entry["event"])
    assert entry["log_level"] == "info"
    said = entry[FIELD]
    assert said.pop("seconds") >= 0
    assert said == {
        "event": "step.succeeded",
        "pipeline": "orders",
        "step": "load",
        "run": "manual__2026-01-02T00:00:00+00:00",
        "attempt": 1,
        "window": ["2026-01-02T00:00:00+00:00", "2026-01-03T00:00:00+00:00"],
        "phases": FACTS["seconds"],
        "counts": FACTS["counts"],
        "dead_letters": FACTS["dead_letters"],
        "clusters": ["j-1"],
    }
    assert json.loads(json.dumps(said)) == said


def test_a_failure_says_its_fault_and_no_more_of_it() -> None:
    with structlog.testing.capture_logs() as captured:
        run(DAY, error=fault("SOURCE_MISSING", "s3://landing/secret-path is not there"))
    [entry] = events(captured)
    assert entry["event"].endswith(": SOURCE_MISSING")
    assert entry["log_level"] == "error"
    assert entry[FIELD]["fault"] == {"code": "SOURCE_MISSING", "class": "data"}
    assert "secret-path" not in str(entry)  # the report above it says that


def test_no_secret_is_in_an_event() -> None:
    with structlog.testing.capture_logs() as captured:
        emit("x", "to postgresql://u:hunter2@db/w", url="postgresql://u:hunter2@db/w", password="hunter2")
    assert "hunter2" not in str(captured)


def test_where_metrics_are_off_a_number_costs_microseconds() -> None:
    from sluicegate.telemetry.metrics import count

    labels = {"pipeline": "orders", "step": "load", "outcome": "read"}

    def taken() -> float:
        began = time.process_time()
        for _ in range(100):
            count("rows", labels, 3)
        return (time.process_time() - began) / 100

    assert min(taken() for _ in range(10)) < 0.000_1


def test_what_observes_a_step_cannot_fail_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluicegate.runtime.telemetry.emit", lambda *_, **__: 1 / 0)
    run(DAY, result=StepResult())

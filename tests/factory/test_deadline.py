from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from airflow.sdk.definitions.deadline import DeadlineAlert
from airflow.serialization.encoders import encode_deadline_alert

from sluicegate.factory.build import build_dag
from sluicegate.health.late import LATE, late
from sluicegate.pipeline import read_together

STEPS = "steps: {load: {load: 's3://in/{{ ds }}.csv', into: table://warehouse/public.orders, key: id}}\n"
DAILY = "schedule: {cron: '@daily', start: 2026-01-01, end: 2027-01-01, timezone: Europe/Berlin}\n"


def deadlines(root: Path, text: str) -> list[DeadlineAlert]:
    file = root / "orders.yaml"
    file.write_text("sluicegate: 1\n" + text + STEPS)
    together = read_together(file, root)
    assert together.is_good, together.diagnostics
    return build_dag(together.pipeline, together.upstreams).deadline or []


def test_fresh_within_is_a_deadline_counted_from_the_start_of_the_window(root: Path) -> None:
    alerts = "alerts: {chat: {notifier: sluicegate.alerts.webhook.WebhookNotifier, with: {http_conn_id: chat}}}\n"
    (deadline,) = deadlines(root, DAILY + "fresh_within: 30h\nowner: sales\n" + alerts)
    encoded = encode_deadline_alert(deadline)
    assert deadline.interval == timedelta(hours=30)
    assert encoded["reference"] == {"reference_type": "DagRunLogicalDateDeadline"}
    assert encoded["callback"]["__data__"] == {
        "path": LATE,
        "kwargs": {
            "pipeline": "orders",
            "fresh_within": 108000,
            "cron": "0 0 * * *",
            "timezone": "Europe/Berlin",
            "end": "2026-12-31T23:00:00+00:00",
            "owner": "sales",
            "journal": "warehouse",
            "alerts": {
                "chat": {"notifier": "sluicegate.alerts.webhook.WebhookNotifier", "with": {"http_conn_id": "chat"}}
            },
        },
    }


def test_the_callback_is_there_and_is_a_coroutine(root: Path) -> None:
    (deadline,) = deadlines(root, DAILY + "fresh_within: 30h\n")
    assert deadline.callback.path == f"{late.__module__}.{late.__qualname__}"


@pytest.mark.parametrize("text", [DAILY, "fresh_within: 30h\n", "schedule: once\nfresh_within: 30h\n"])
def test_without_a_promise_or_without_windows_there_is_no_deadline(root: Path, text: str) -> None:
    assert deadlines(root, text) == []


def test_it_is_the_same_at_every_parse(root: Path) -> None:
    """What differs would be a new version of the DAG each time."""
    text = DAILY + "fresh_within: 30h\n"
    first, again = (encode_deadline_alert(deadlines(root, text)[0]) for _ in range(2))
    assert first == again


def test_a_channel_that_is_not_for_what_is_late_is_left_out(root: Path) -> None:
    alerts = (
        "alerts: {chat: {notifier: sluicegate.alerts.webhook.WebhookNotifier, late: false, with: {http_conn_id: c}}}\n"
    )
    (deadline,) = deadlines(root, DAILY + "fresh_within: 30h\n" + alerts)
    assert "alerts" not in deadline.callback.kwargs

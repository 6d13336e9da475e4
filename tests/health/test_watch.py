from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sluicegate.alerts.message import Alert
from sluicegate.circuits.breaker import Circuit, State
from sluicegate.circuits.store import Known
from sluicegate.factory.deadline import WATCH
from sluicegate.faults import CATALOGUE
from sluicegate.graph.window import Window
from sluicegate.health import WatchOperator
from sluicegate.health.own_airflow import LastRun
from sluicegate.health.unsent import Unsent
from sluicegate.runtime.step import StepContext, StepResult

NOW = datetime.now(UTC)
HOOK = "{notifier: sluicegate.alerts.webhook.WebhookNotifier, with: {http_conn_id: chat}}"
PIPELINE = """\
sluicegate: 1
schedule: {cron: '@daily', start: 2026-01-01}
alerts: {chat: HOOK, pager: HOOK}
steps: {load: {load: "s3://in/{{ ds }}/NAME.csv", into: table://warehouse/public.NAME, key: id}}
""".replace("HOOK", HOOK)


class FakeAirflow:
    """Has no run of `missing`, and one for everything else; says nothing of `silent`."""

    missing = "orders"
    silent = ""

    def is_paused(self, dag_id: str) -> bool:
        return False

    def count(self, dag_id: str, dates: Sequence[datetime] | None, states: Sequence[str] | None = None) -> int:
        if dag_id == self.silent:
            raise RuntimeError("the api-server is away")
        return 0 if dag_id == self.missing else 1

    def last(self, dag_id: str, before: datetime, state: str | None = None) -> LastRun | None:
        return None


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str], str | None]]:
    found: list[tuple[str, list[str], str | None]] = []

    def send(alert: Alert, channels: Any, journal: str | None = None, **_: Any) -> None:
        found.append((alert.dedupe_key, sorted(channels), journal))

    monkeypatch.setattr("sluicegate.alerts.send.send", send)
    monkeypatch.setattr("sluicegate.health.own_airflow.OwnAirflow", FakeAirflow)
    monkeypatch.setattr("sluicegate.runtime.journal.in_journal", lambda *_: [])
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("orders", "stock"):
        file = tmp_path / f"{name}.yaml"
        file.write_text(PIPELINE.replace("NAME", name))
        os.utime(file, (0, 0))
    return tmp_path


def watch(root: Path, *, dry_run: bool = False) -> StepResult:
    window = Window(NOW, NOW)
    step = StepContext("watch", "watch", "r", 1, -1, window, {}, dry_run, False, None, None)
    return WatchOperator(task_id="watch", root=str(root)).run({}, step)  # type: ignore[typeddict-item]


def test_what_did_not_run_is_alerted_by_the_pipeline_s_own_channels(root: Path, sent: list[Any]) -> None:
    result = watch(root)
    assert sent == [("orders/since the beginning/PIPELINE_STALLED", ["chat", "pager"], "warehouse")]
    assert result.value["pipelines"] == 2
    assert [each["pipeline"] for each in result.value["overdue"]] == ["orders"]


def test_a_dry_run_alerts_no_one(root: Path, sent: list[Any]) -> None:
    assert watch(root, dry_run=True).value["overdue"]
    assert sent == []


def test_a_file_that_is_new_is_given_time(root: Path, sent: list[Any]) -> None:
    (root / "orders.yaml").touch()
    assert watch(root).value["overdue"] == []


def test_what_airflow_does_not_answer_of_one_keeps_no_other_from_its_alert(
    root: Path, sent: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeAirflow, "silent", "stock")
    with pytest.raises(RuntimeError, match="away"):
        watch(root)
    assert [key for key, _, _ in sent] == ["orders/since the beginning/PIPELINE_STALLED"]


def test_an_alert_goes_again_to_the_channel_that_lacks_it_and_to_no_other(
    root: Path, sent: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeAirflow, "missing", "")
    late = Alert("stock", CATALOGUE["SCHEMA_MISMATCH"], step="load", run_id="r")
    gone = Alert("deleted", CATALOGUE["SCHEMA_MISMATCH"], run_id="r")
    unsent = {
        "unalerted": [Unsent(late), Unsent(gone)],
        "undelivered": [Unsent(late, "pager"), Unsent(late, "no_longer_there")],
    }
    monkeypatch.setattr("sluicegate.runtime.journal.in_journal", lambda _, __, read: unsent.get(read.__name__))
    result = watch(root)
    key = "stock/r/SCHEMA_MISMATCH"
    assert sent == [(key, ["chat", "pager"], "warehouse"), (key, ["pager"], "warehouse")]
    assert (result.value["unalerted"], result.value["sent_again"]) == (["r"], [key])


def test_the_factory_knows_the_operator_by_its_name() -> None:
    assert f"{WatchOperator.__module__.rpartition('.')[0]}.{WatchOperator.__name__}" == WATCH


def test_a_circuit_that_stays_open_is_alerted_once_for_all_pipelines_with_the_same_channels(
    root: Path, sent: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeAirflow, "missing", "")
    other = root / "other.yaml"
    other.write_text(PIPELINE.replace("NAME", "other").replace("pager", "night"))
    os.utime(other, (0, 0))
    circuit = Circuit("connection:shop", State.OPEN, opened_at=NOW, last_fault="WAREHOUSE_UNREACHABLE")
    known = Known(circuit, ("orders", "stock", "other", "gone"), NOW)
    monkeypatch.setattr(
        "sluicegate.runtime.journal.in_journal", lambda _, what, work: [known] if "circuits" in what else []
    )
    assert watch(root).value["circuits"] == ["connection:shop"]
    assert sorted(channels for _, channels, _ in sent) == [["chat", "night"], ["chat", "pager"]]
    assert len({key for key, _, _ in sent}) == 2
    assert all(key.startswith("connection:shop/") and key.endswith("/CIRCUIT_OPEN") for key, _, _ in sent)

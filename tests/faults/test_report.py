"""An error of a step stands in the log and in the store, once, and is never hidden by either."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    DownstreamTasksSkipped,
)

from sluicegate.faults import Fault, FaultClass, FaultError, fault
from sluicegate.faults.report import LAST_ERROR, describe, forget, reported
from sluicegate.faults.rules import FaultRule
from sluicegate.faults.section import Playbook, _docs_url, docs_section, playbook_section


class Store:
    def __init__(self, *, broken: bool = False) -> None:
        self.values: dict[str, Any] = {}
        self.broken = broken
        self.calls = 0

    def set(self, key: str, value: Any) -> None:
        self.calls += 1
        if self.broken:
            raise ConnectionError("the store is away")
        self.values[key] = json.loads(json.dumps(value))

    def delete(self, key: str) -> None:
        self.calls += 1
        if self.broken:
            raise ConnectionError("the store is away")
        self.values.pop(key, None)


def context(store: Store | None = None, try_number: int = 1) -> Mapping[str, Any]:
    return {"task_state_store": store, "ti": SimpleNamespace(try_number=try_number)}


def test_an_error_comes_out_as_its_fault_from_the_original() -> None:
    original = ConnectionRefusedError("no")
    with pytest.raises(FaultError) as caught, reported(context(), playbook=Playbook("orders")):
        raise original
    assert caught.value.code == "NETWORK"
    assert caught.value.__cause__ is original


def test_the_log_has_the_fault_its_remedy_and_the_playbooks_section(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(FaultError), reported(context(), playbook=Playbook("orders")):
        raise fault("SOURCE_MISSING", "s3://landing/orders/1.csv")
    assert len(caplog.records) == 1
    assert caplog.records[0].levelno == logging.ERROR
    text = caplog.records[0].getMessage()
    for part in ("SOURCE_MISSING (data)", "s3://landing/orders/1.csv", "clear the step",
                 "docs/faults.md#source_missing"):  # fmt: skip
        assert part in text


def test_the_store_keeps_the_fault_for_who_recovers() -> None:
    store = Store()
    with pytest.raises(FaultError), reported(context(store, try_number=2), playbook=Playbook("orders")):
        raise fault("TOO_MANY_DEAD_LETTERS", "28 of 929", dead=28)
    kept = store.values[LAST_ERROR]
    assert {name: kept[name] for name in ("code", "class", "detail", "facts", "try_number")} == {
        "code": "TOO_MANY_DEAD_LETTERS",
        "class": "data",
        "detail": "28 of 929",
        "facts": {"dead": 28},
        "try_number": 2,
    }
    assert kept["at"].endswith("+00:00")
    assert kept["read_on"] == "docs/faults.md#too_many_dead_letters"


def test_what_is_kept_stays_small_and_shows_its_end() -> None:
    store = Store()
    with pytest.raises(FaultError), reported(context(store), playbook=Playbook("p")):
        raise fault("UNKNOWN", "ä" * 100_000 + " the cause", rows=["x" * 1000] * 100)
    kept = store.values[LAST_ERROR]
    assert len(json.dumps(kept, ensure_ascii=False).encode()) < 8192
    assert kept["detail"].endswith("the cause")
    assert kept["facts"] == {"omitted": ["rows"]}


def test_no_secret_reaches_log_or_store(caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    with pytest.raises(FaultError), reported(context(store), playbook=Playbook("p")):
        raise fault("UNKNOWN", "postgresql://u:hunter2@db/w", url="postgresql://u:hunter2@db/w", password="hunter2")
    assert "hunter2" not in json.dumps(store.values)
    assert "hunter2" not in caplog.text


def test_airflows_masker_learns_the_secret_for_the_traceback_it_logs() -> None:
    from airflow.sdk._shared.secrets_masker import redact as masked

    with pytest.raises(FaultError), reported(context(), playbook=Playbook("p")):
        raise ValueError("postgresql://u:pa55-w0rd@db/w")
    assert masked("ValueError: postgresql://u:pa55-w0rd@db/w") == "ValueError: postgresql://u:***@db/w"


def test_a_store_that_fails_does_not_hide_the_error() -> None:
    with pytest.raises(FaultError) as caught, reported(context(Store(broken=True)), playbook=Playbook("p")):
        raise fault("DISK_FULL")
    assert caught.value.code == "DISK_FULL"


def test_facts_that_are_no_json_do_not_hide_the_error() -> None:
    store = Store()
    with pytest.raises(FaultError), reported(context(store), playbook=Playbook("p")):
        raise fault("DISK_FULL", "", path=object(), when={1, 2})
    assert store.values[LAST_ERROR]["code"] == "DISK_FULL"


def test_a_fault_is_reported_once_however_deep_it_was_raised(caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    surroundings = context(store)
    with (
        pytest.raises(FaultError),
        reported(surroundings, playbook=Playbook("p")),
        reported(surroundings, playbook=Playbook("p")),
    ):
        raise ValueError("once")
    assert store.calls == 1
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "control",
    [
        AirflowSkipException("skipped"),
        AirflowFailException("failed on purpose"),
        AirflowRescheduleException(None),
        DownstreamTasksSkipped(tasks=[]),
        SystemExit(1),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_control_flow_passes_untouched(control: BaseException) -> None:
    store = Store()
    with pytest.raises(type(control)) as caught, reported(context(store), playbook=Playbook("p")):
        raise control
    assert caught.value is control
    assert store.calls == 0


@pytest.mark.parametrize("timeout", [AirflowTaskTimeout("t"), AirflowSensorTimeout("t")])
def test_a_timeout_is_reported_and_stays_what_airflow_knows(timeout: BaseException) -> None:
    store = Store()
    with pytest.raises(type(timeout)), reported(context(store), playbook=Playbook("p")):
        raise timeout
    assert store.values[LAST_ERROR]["code"] == "TIMED_OUT"


def test_a_step_that_succeeds_later_forgets_its_error() -> None:
    store = Store()
    store.values[LAST_ERROR] = {"code": "NETWORK"}
    forget(context(store, try_number=2))
    assert store.values == {}


def test_a_first_try_has_nothing_to_forget() -> None:
    store = Store()
    forget(context(store, try_number=1))
    assert store.calls == 0


def test_a_store_that_fails_does_not_fail_a_success() -> None:
    forget(context(Store(broken=True), try_number=2))


def test_the_playbooks_section_is_the_code_as_an_anchor() -> None:
    assert playbook_section("orders", "TOO_MANY_DEAD_LETTERS") == "playbooks/orders.md#too_many_dead_letters"
    page = Playbook("orders", "# Playbook: orders\n\n## SOURCE_MISSING\n\nRing the shop.\n")
    assert "read on:       playbooks/orders.md#source_missing" in describe(fault("SOURCE_MISSING"), playbook=page)


def test_a_fault_that_the_playbook_does_not_treat_is_read_of_in_the_docs() -> None:
    page = Playbook("orders", "# Playbook: orders\n\nSOURCE_MISSING\n\n## SOURCE_MISSING_TOO\n")
    assert "read on:       docs/faults.md#source_missing" in describe(fault("SOURCE_MISSING"), playbook=page)


@pytest.mark.parametrize(
    ("docs", "found"),
    [
        ("https://docs.example.com/sluicegate/", "https://docs.example.com/sluicegate/faults.md#unknown"),
        ("https://docs.example.com/{page}/", "https://docs.example.com/faults/#unknown"),
    ],
)
def test_the_docs_are_where_airflows_configuration_says(docs: str, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__SLUICEGATE__DOCS_URL", docs)
    _docs_url.cache_clear()
    assert docs_section("UNKNOWN") == found
    monkeypatch.undo()
    _docs_url.cache_clear()


def test_the_tasks_timeout_is_what_the_pipelines_rule_says() -> None:
    slow = Fault("TOO_SLOW", FaultClass.FATAL, "It is too slow.", "Ask for less.", frozenset())
    ours = {**context(), "dag": SimpleNamespace(fault_rules=(FaultRule(slow, error="TIMED_OUT"),))}
    with pytest.raises(FaultError) as caught, reported(ours, playbook=Playbook("orders"), on_timeout=lambda: None):
        raise AirflowTaskTimeout("after an hour")
    assert caught.value.code == "TOO_SLOW"

"""What the factory gives to tasks, and what comes of it when one fails: the callback with Airflow's context."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowTaskTerminated
from airflow.serialization.serialized_objects import DagSerialization

from sluicegate.alerts.callback import AlertCallback
from sluicegate.faults import Fault, FaultClass, FaultError, fault
from sluicegate.faults.rules import FaultRule
from tests.alerts.servers import Http
from tests.discovery.conftest import root
from tests.factory.files import dags_of, write
from tests.fresh import FreshAirflow

__all__ = ["root"]

ORDERS = """\
sluicegate: 1
owner: sales-data
schedule: {cron: "@daily", start: 2026-01-01}
params:
  carrier: {type: string, default: AA}
  api_token: {type: string, default: canary-by-name}
  pin: {type: string, default: canary-by-format, format: password}
alerts:
  on_call: {notifier: sluicegate.alerts.webhook.WebhookNotifier, with: {http_conn_id: hook}}
steps:
  load: {load: "file:///in/{{ ds }}.csv", into: table://warehouse/orders, key: id, wait: 1h}
  each:
    operator: airflow.providers.standard.operators.bash.BashOperator
    for_each: [a, b]
    with: {bash_command: "echo {{ item }}"}
  list_files: {python: "job:work", for_each: {files: "file:///in/*.csv"}}
  own:
    operator: airflow.providers.standard.operators.bash.BashOperator
    with: {bash_command: "true", on_failure_callback: "job:told"}
    after: load
"""
JOB = "def work(): ...\ndef told(context): ...\n"
RUN = "scheduled__2026-01-02T00:00:00+00:00"


@pytest.fixture
def dag(root: Path) -> Any:
    write(root, orders=ORDERS)
    (root / "job.py").write_text(JOB)
    return dags_of(root, "orders.yaml")[0]


def context_of(dag: Any, step: str, error: object = None, **ti: Any) -> dict[str, Any]:
    """As much of Airflow's context as both the worker and the dag processor have."""
    task = dag.get_task(step)
    states = ti.pop("states", {step: "running"})
    clears = ti.pop("clear_number", 0)
    known = {
        "dag_id": dag.dag_id, "task_id": step, "run_id": RUN, "map_index": -1, "try_number": 2,
        "max_tries": task.retries, "log_url": "http://airflow/log", "hostname": "worker-1", **ti,
    }  # fmt: skip
    instance = SimpleNamespace(**known, get_task_states=lambda **_: {RUN: states})
    run = SimpleNamespace(data_interval_start=dag.start_date, data_interval_end=dag.start_date, clear_number=clears)
    params = {name: dag.params[name] for name in dag.params}
    made = {"ti": instance, "task": task, "dag": dag, "run_id": RUN, "params": params, "dag_run": run}
    return made if error is None else {**made, "exception": error}


def fail(dag: Any, step: str = "load", error: object = None, **ti: Any) -> None:
    [*_, callback] = dag.get_task(step).on_failure_callback
    callback(context_of(dag, step, error, **ti))


def test_every_task_of_a_pipeline_has_the_callback_beside_its_own(dag: Any) -> None:
    callbacks = {task.task_id: list(task.on_failure_callback) for task in dag.tasks}
    assert len(callbacks) == 6
    assert {name for name, each in callbacks.items() if not isinstance(each[-1], AlertCallback)} == set()
    assert len({id(each[-1]) for each in callbacks.values()}) == 1
    assert {name: len(each) for name, each in callbacks.items() if len(each) > 1} == {"own": 2}
    assert callbacks["own"][0].__name__ == "told"


def test_a_pipeline_without_channels_has_none(root: Path) -> None:
    write(root, orders=ORDERS.replace("on_call: {", "on_call: null\n  #"))
    (root / "job.py").write_text(JOB)
    [dag] = dags_of(root, "orders.yaml")
    assert [task.task_id for task in dag.tasks if task.on_failure_callback] == ["own"]


def test_a_serialized_dag_has_a_flag_more_for_each_task_and_nothing_else(dag: Any, root: Path) -> None:
    with_alerts = json.dumps(DagSerialization.to_dict(dag))
    write(root, orders=ORDERS.replace("on_call: {", "on_call: null\n  #"))
    without = json.dumps(DagSerialization.to_dict(dags_of(root, "orders.yaml")[0]))
    assert "hook" not in with_alerts.replace(dag.source, "")
    assert len(with_alerts) - len(without) <= len('"has_on_failure_callback": true, ') * 6


def test_building_a_dag_imports_nothing_of_sending(root: Path, fresh: FreshAirflow) -> None:
    write(root, orders=ORDERS)
    (root / "job.py").write_text(JOB)
    code = (
        "import sys; from pathlib import Path\n"
        "from sluicegate.factory.build import build_dag; from sluicegate.factory.code_path import find_code\n"
        "from sluicegate.pipeline import read_together\n"
        f"root = Path({str(root)!r}); find_code(root); together = read_together(root / 'orders.yaml', root)\n"
        "assert build_dag(together.pipeline, together.upstreams).tasks[0].on_failure_callback\n"
        "print(sorted(name for name in sys.modules if name.startswith('sluicegate.alerts.')))"
    )
    done = fresh.run(code)
    assert done.stdout.splitlines()[-1:] == ["['sluicegate.alerts.callback']"], done.stderr


def test_the_alert_of_a_load_says_what_happened_and_hides_what_is_secret(dag: Any, http: Http) -> None:
    error = fault(
        "TOO_MANY_DEAD_LETTERS",
        "12 of 100 records (12.00%) were set aside by canary-by-format and postgres://u:canary-in-words@h/d",
        report={"target": "public.orders", "dead": 12},
    )
    fail(dag, "load", error)
    [alert] = http.bodies
    assert alert["fault"]["code"] == "TOO_MANY_DEAD_LETTERS"
    assert alert["params"] == {"api_token": "***", "carrier": "AA", "pin": "***"}
    nothing, not_run = alert["written"]
    assert nothing == "Nothing of this run came into public.orders. 12 records are kept as dead letters."
    assert not_run == "Not run: own."
    assert (alert["owner"], alert["log"], alert["tries"]) == ("sales-data", "http://airflow/log", 2)
    assert alert["playbook"].endswith("#too_many_dead_letters")
    assert alert["recover"] == f"sluicegate recover plan --run orders/{RUN}"
    assert "canary" not in json.dumps(alert)


def test_an_error_with_bytes_that_are_no_text_is_delivered(dag: Any, http: Http) -> None:
    fail(dag, "own", fault("SOURCE_UNREADABLE", "/in/caf\udce9.csv has a \0"))
    [alert] = http.bodies
    assert alert["fault"]["detail"] == r"/in/caf\udce9.csv has a \x00"


def test_secrets_within_params_are_hidden_and_short_ones_garble_no_words(dag: Any, http: Http) -> None:
    context = context_of(dag, "own", fault("DISK_FULL", "3 of 13 GB are free, said canary-within"))
    context["params"] = {"max_tokens": 3, "api_token": {"of": ["canary-within"]}, "more": {"note": "canary-within"}}
    [*_, callback] = dag.get_task("own").on_failure_callback
    callback(context)
    [alert] = http.bodies
    assert alert["fault"]["detail"] == "3 of 13 GB are free, said ***"
    assert "canary" not in json.dumps(alert)


@pytest.mark.parametrize("state", ["failed", "success", "skipped", "restarting"])
def test_a_task_that_a_person_has_marked_or_cleared_sends_nothing(dag: Any, http: Http, state: str) -> None:
    fail(dag, "load", fault("TIMED_OUT", "the load was cancelled"), states={"load": state})
    assert http.requests == []


@pytest.mark.parametrize(("state", "codes"), [("failed", []), ("running", ["WORKER_LOST"])])
def test_an_interrupt_by_a_person_sends_nothing_and_a_worker_that_stops_does(
    dag: Any, http: Http, state: str, codes: list[str]
) -> None:
    fail(dag, "own", AirflowTaskTerminated("Task received SIGTERM"), states={"own": state})
    assert [alert["fault"]["code"] for alert in http.bodies] == codes


def test_a_state_that_cannot_be_asked_for_keeps_no_alert_back(dag: Any, http: Http) -> None:
    context = context_of(dag, "load", fault("DISK_FULL", "x"))
    context["ti"].get_task_states = lambda **_: 1 / 0
    [*_, callback] = dag.get_task("load").on_failure_callback
    callback(context)
    assert len(http.requests) == 1


def test_a_step_that_fails_by_decision_sends_one(dag: Any, http: Http) -> None:
    fail(dag, "own", AirflowFailException("the partner has closed"))
    [alert] = http.bodies
    assert "the partner has closed" in alert["fault"]["detail"]


def test_a_pipeline_s_own_rule_says_which_fault_and_how_bad_it_is(dag: Any, http: Http) -> None:
    closed = Fault("PARTNER_CLOSED", FaultClass.DATA, "The partner is closed.", "Ask them.", frozenset())
    dag.fault_rules = (FaultRule(matches="at six", fault=closed, severity="critical"),)
    fail(dag, "own", RuntimeError("come back at six"))
    [alert] = http.bodies
    assert (alert["fault"]["code"], alert["severity"]) == ("PARTNER_CLOSED", "critical")
    assert alert["fault"]["remedy"] == "Ask them."


def test_a_task_whose_worker_died_has_an_alert_from_the_dag_processor(dag: Any, http: Http) -> None:
    fail(dag, "load", states={"load": "failed"})
    [alert] = http.bodies
    assert alert["fault"]["code"] == "WORKER_LOST"
    assert "worker-1" in alert["fault"]["detail"]
    assert "or nothing" in alert["written"][0]


@pytest.mark.parametrize(
    ("error", "group"),
    [
        (fault("WAREHOUSE_UNREACHABLE", "x"), "WAREHOUSE_UNREACHABLE:warehouse"),
        (fault("AWS_DENIED", "x"), "AWS_DENIED:aws_default"),
        (fault("SOURCE_UNAVAILABLE", "x", uri="https://api.example.com/a?b"), "SOURCE_UNAVAILABLE:api.example.com"),
        (fault("UPSTREAM_LATE", "x", upstream="flights.land"), "UPSTREAM_LATE:flights.land"),
        (fault("DISK_FULL", "x"), "DISK_FULL"),
    ],
)
def test_alerts_are_grouped_by_what_they_are_about(dag: Any, http: Http, error: FaultError, group: str) -> None:
    fail(dag, "load", error)
    assert [alert["group_key"] for alert in http.bodies] == [group]


def test_items_of_a_mapped_step_send_one_message_that_says_which_was_first(dag: Any, http: Http) -> None:
    for index in (3, 1, 2):
        fail(dag, "each", RuntimeError("no"), map_index=index, states={f"each_{index}": "running"})
    [alert] = http.bodies
    assert alert["map_index"] == 3
    assert alert["title"].startswith("orders.each[3] failed")


def test_what_fails_again_after_a_clear_is_said_again(dag: Any, http: Http) -> None:
    fail(dag, "load", fault("DISK_FULL", "x"))
    fail(dag, "load", fault("DISK_FULL", "x"), clear_number=1)
    assert len(http.requests) == 2
    assert http.bodies[0]["dedupe_key"] == http.bodies[1]["dedupe_key"]


def test_a_step_that_had_not_run_before_the_clear_is_not_silent_after_it(dag: Any, http: Http) -> None:
    fail(dag, "load", fault("NETWORK", "x"))
    fail(dag, "own", ConnectionResetError("x"), clear_number=1)
    assert [alert["step"] for alert in http.bodies] == ["load", "own"]


def test_items_whose_numbers_of_tries_differ_are_one_message_after_a_clear_too(dag: Any, http: Http) -> None:
    for index in range(3):
        ti = {"map_index": index, "try_number": index + 4, "max_tries": index + 4}
        fail(dag, "each", RuntimeError("no"), states={f"each_{index}": "running"}, clear_number=1, **ti)
    assert len(http.requests) == 1


@pytest.mark.parametrize("context", [{}, {"ti": None, "task": None, "run_id": "x"}])
def test_whatever_goes_wrong_in_it_is_in_the_log_alone(
    dag: Any, context: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    [callback] = dag.get_task("load").on_failure_callback
    callback(context)
    assert "No alert was sent" in caplog.text


@pytest.mark.parametrize(
    ("reason", "codes"), [("timed_out", ["TIMED_OUT"]), ("all_tasks_deadlocked", ["UNKNOWN"]), ("task_failure", [])]
)
def test_a_run_that_fails_as_a_whole_has_an_alert_and_one_whose_tasks_have_theirs_none(
    dag: Any, http: Http, reason: str, codes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com/")
    [callback] = dag.on_failure_callback
    assert dag.has_on_failure_callback
    callback({"dag": dag, "run_id": RUN, "reason": reason})
    assert [alert["fault"]["code"] for alert in http.bodies] == codes
    assert [(alert["step"], alert["run_id"]) for alert in http.bodies] == [(None, RUN) for _ in codes]
    assert {alert["log"] for alert in http.bodies} <= {"https://airflow.example.com/dags/orders/runs/" + quote(RUN)}

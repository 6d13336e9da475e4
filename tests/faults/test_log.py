"""What the log of a failed task shows, by Airflow's own task runner: lines that fit, and no way through our code."""

from __future__ import annotations

import logging
import pickle
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import BaseOperator
from airflow.sdk.execution_time import comms, task_runner
from airflow.sdk.execution_time.context import set_current_context

from sluicegate.faults import FaultError, fault
from sluicegate.faults.layout import FIRST, WIDTH, block
from sluicegate.graph.window import Window
from sluicegate.runtime.dag import PipelineDAG
from sluicegate.runtime.operator import StepOperator, as_step
from sluicegate.runtime.step import StepContext, StepResult
from sluicegate.testing.step import StepInstance
from sluicegate.testing.supervisor import Supervisor
from sluicegate.transform import PythonStepOperator

DAY = Window(datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC))
CODE = """\
import time
from author_lib import ratio

def total():
    return ratio({"amount": 4, "of": 0})

def asks():
    raise RuntimeError("the partner answered with a page of maintenance: " + "<p>" * 400)

def sleeps():
    time.sleep(600)
"""
LIBRARY = """\
def ratio(order):
    return order["amount"] / order["of"]
"""
PLAYBOOK = "# Playbook: orders\n\n## SOURCE_MISSING\n\nRing the shop.\n"

FORESEEN = [
    ("SCHEMA_MISMATCH", "the source has no column 'amonut', which columns: names; did you mean 'amount'?; the source "
     "has no column 'currency', which columns: names; the source has 'order_id', 'customer', 'amount'", {}),
    ("TOO_MANY_DEAD_LETTERS", "99 of 199 records (49.75%) were set aside, and dead_letters.max is 5%: matches:customer "
     "66, between:amount 49, type:amount 49", {"dead": 99}),
    ("CHECK_FAILED", "expect_table_row_count_to_be_between does not hold: saw 2", {}),
    ("SOURCE_MISSING", "nothing is there", {"uri": "s3://landing/partners/europe/orders-of-2026-01-02.csv.gz"}),
    ("SOURCE_UNREADABLE", "s3://landing/page.csv is read as csv and looks like a web page", {}),
    ("WAREHOUSE_UNREACHABLE", 'OperationalError: connection failed: connection to server at "10.0.0.9", port 5432 '
     "failed: Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?", {}),
    ("WAREHOUSE_DENIED", 'OperationalError: password authentication failed for user "warehouse"', {}),
    ("SPARK_STEP_FAILED", "RuntimeError: only 3 rows of 10 came from the partner", {}),
    ("UPSTREAM_LATE", "after 5s of waiting still open: orders.land for 2026-01-02", {"upstream": "orders.land"}),
    ("CONNECTION_MISSING", "AirflowNotFoundException: The conn_id `warehous` isn't defined", {}),
]  # fmt: skip


class Raising(StepOperator):
    """Fails with what it is given."""

    def __init__(self, *, error: Exception, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.error = error
        self.killed = 0

    def run(self, context: Any, step: StepContext) -> StepResult:
        raise self.error


class Ears(Supervisor):
    """Takes a task's end as well."""

    def send(self, msg: Any) -> Any:
        if isinstance(msg, comms.TaskState | comms.RetryTask):
            self.asked.append(msg)
            return comms.OKResponse(ok=True)
        return super().send(msg)


class Log:
    """Keeps what the task runner logs, by method."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda event, *_, **fields: self.calls.append((name, event, fields))

    def events(self, method: str) -> list[tuple[str, dict[str, Any]]]:
        return [(event, fields) for name, event, fields in self.calls if name == method]


def ended(step: Any, *, retries_left: bool = False) -> tuple[str, Any, Log]:
    """The state in which Airflow's task runner ends `step`, the error that its callbacks get, and its log."""
    ears = Ears()
    instance = StepInstance(step, DAY, supervisor=ears)
    log = Log()
    with ears.attached():
        context = instance.context()
        ti: Any = context["ti"]
        ti.task = ti.task.prepare_for_execution()
        ti._ti_context_from_server.should_retry = retries_left
        ti._ti_context_from_server.next_method = None
        ti._ti_context_from_server.xcom_keys_to_clear = []
        ti.bundle_instance = SimpleNamespace(name="b", version=None)
        context["task"] = ti.task
        with pytest.MonkeyPatch.context() as patch, set_current_context(context):
            patch.setattr(task_runner, "_prepare", lambda *_: None)
            ti.render_templates(context, ti.task.dag.get_template_env())
            state, _, error = task_runner.run(ti, context, log)  # type: ignore[arg-type]
    return state.value, error, log


def in_dag(make: Callable[[], Any]) -> Any:
    with PipelineDAG("orders", schedule=None, doc_md=PLAYBOOK):
        return make()


def report_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    [record] = [each for each in caplog.records if each.name == "sluicegate.faults.report"]
    assert record.levelno == logging.ERROR
    return record.getMessage().splitlines()


def labels(lines: list[str]) -> list[str]:
    return [
        line.partition(":")[0].strip() for line in lines[1:] if line[2:3].strip() and line[2:17].rstrip()[-1:] == ":"
    ]


def unwrapped(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


@pytest.mark.parametrize(("code", "detail", "facts"), FORESEEN, ids=[code for code, _, _ in FORESEEN])
def test_a_foreseen_fault_is_a_report_that_fits_and_one_line_of_airflows(
    code: str, detail: str, facts: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    error = fault(code, detail, **facts)
    state, left, log = ended(in_dag(lambda: Raising(task_id="load", error=error)))
    assert state == "failed"
    assert log.events("exception") == []
    assert ("Task exited", {"exit_code": code}) in log.events("error")
    assert isinstance(left, type(error))
    assert isinstance(left, Exception)
    assert type(left).__name__ == type(error).__name__
    assert type(pickle.loads(pickle.dumps(left))) is type(error)
    assert (left.code, left.detail, left.facts) == (code, error.detail, facts)
    lines = report_in(caplog)
    assert lines[0].startswith(f"{code} ({error.fault.kind}): ")
    assert len(lines[0]) <= FIRST
    assert max(map(len, lines)) <= WIDTH
    assert [label for label in labels(lines) if label != "where"] == ["what happened", "what to do", "read on"]
    page = "playbooks/orders.md" if code == "SOURCE_MISSING" else "docs/faults.md"
    assert lines[-1] == f"  read on:       {page}#{code.lower()}"


def test_the_place_comes_first(caplog: pytest.LogCaptureFixture) -> None:
    error = fault("TOO_MANY_DEAD_LETTERS", "2 of 3 records were set aside")
    error.where = (
        "s3://landing/orders.csv line 4: type:amount 'x'",
        "s3://landing/orders.csv line 5: required:name",
    )
    ended(in_dag(lambda: Raising(task_id="load", error=error)))
    lines = report_in(caplog)
    at = next(number for number, line in enumerate(lines) if line.startswith("  where:"))
    assert lines[at] == "  where:         s3://landing/orders.csv line 4: type:amount 'x'"
    assert lines[at + 1] == "                 s3://landing/orders.csv line 5: required:name"
    assert labels(lines) == ["where", "what happened", "what to do", "read on"]


def test_a_transient_fault_is_tried_again_and_a_data_fault_is_not() -> None:
    steps = [Raising, fault("NETWORK", "reset")], [Raising, fault("SOURCE_MISSING")]
    states = [
        ended(in_dag(lambda kind=kind, error=error: kind(task_id="load", error=error, retries=2)), retries_left=True)[0]
        for kind, error in steps
    ]
    assert states == ["up_for_retry", "failed"]


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("author_code", "author_lib"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    (tmp_path / "author_code.py").write_text(CODE)
    (tmp_path / "author_lib.py").write_text(LIBRARY)
    return tmp_path


def python(root: Path, function: str, **arguments: Any) -> Any:
    return in_dag(
        lambda: PythonStepOperator(task_id="t", function=f"author_code:{function}", root=str(root), **arguments)
    )


def test_of_a_bug_the_authors_own_frames_are_shown_and_no_others(code: Path, caplog: pytest.LogCaptureFixture) -> None:
    state, _, log = ended(python(code, "total"))
    assert (state, log.events("exception")) == ("failed", [])
    lines = report_in(caplog)
    assert lines[1].strip() == "not mend."
    assert f" where: {code}/author_lib.py:2, in ratio what happened: " in unwrapped(lines)
    shown = "\n".join(lines[next(n for n, line in enumerate(lines) if line.startswith("  your code:")) :])
    assert 'return order["amount"] / order["of"]' in shown
    assert [part.partition(",")[0] for part in shown.replace(f"{code}/", "\n@").split("\n@")[1:]] == [
        "author_code.py:5", "author_lib.py:2",
    ]  # fmt: skip


def test_words_without_blanks_do_not_make_a_line_longer(code: Path, caplog: pytest.LogCaptureFixture) -> None:
    _, left, _ = ended(python(code, "asks"))
    assert left.code == "CODE_FAILED"
    assert max(len(line) for line in report_in(caplog) if str(code) not in line) <= WIDTH


def test_a_step_that_takes_too_long_is_killed_and_says_where_it_was(
    code: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ended(python(code, "asks"))  # all that is imported for it is imported now, and not in its two seconds
    caplog.clear()
    step = python(code, "sleeps", execution_timeout=timedelta(seconds=2))
    kills: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PythonStepOperator, "on_kill", lambda self: kills.append(self.task_id))
        state, left, log = ended(step)
    assert (state, left.code, kills, log.events("exception")) == ("failed", "TIMED_OUT", ["t"], [])
    lines = report_in(caplog)
    assert f" where: {code}/author_code.py:11, in sleeps what happened: not done within 0:00:02" in unwrapped(lines)


@pytest.mark.parametrize("error", [RuntimeError("?"), None], ids=["UNKNOWN", "CODE_BROKEN"])
def test_what_nobody_foresaw_keeps_its_traceback(error: Exception | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if error is None:
        monkeypatch.setattr(Raising, "run", staticmethod(int))  # a bug, and no frame of an author's
    state, left, log = ended(in_dag(lambda: Raising(task_id="load", error=error or ValueError())))
    assert (state, left.code) == ("failed", "UNKNOWN" if error else "CODE_BROKEN")
    assert [event for event, _ in log.events("exception")] == ["Task failed with exception"]


def test_an_operator_that_is_not_ours_is_described_and_keeps_its_error(caplog: pytest.LogCaptureFixture) -> None:
    class Foreign(BaseOperator):
        def execute(self, context: Any) -> None:
            raise ConnectionRefusedError(111, "Connection refused")

    state, left, log = ended(in_dag(lambda: as_step(Foreign)(task_id="shout", retries=1)), retries_left=True)
    assert (state, type(left)) == ("up_for_retry", ConnectionRefusedError)
    assert [event for event, _ in log.events("exception")] == ["Task failed with exception"]
    lines = report_in(caplog)
    assert lines[0].startswith("NETWORK (transient): ")
    assert labels(lines)[:4] == ["where", "what happened", "what to do", "read on"]


def test_a_traceback_is_there_on_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__SLUICEGATE__TRACEBACKS", "True")
    _, left, log = ended(in_dag(lambda: Raising(task_id="load", error=fault("SOURCE_MISSING", "nothing"))))
    assert [event for event, _ in log.events("exception")] == ["Task failed with exception"]
    assert not isinstance(left, SystemExit)
    assert isinstance(left, FaultError)


def test_an_address_is_not_broken() -> None:
    address = "s3://landing/" + "orders/" * 20 + "x.csv"
    assert address in block("T", [("where", f"it is not at {address} today")])

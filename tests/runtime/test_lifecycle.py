"""Observers learn how each try of a step begins, and exactly once how it ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import Context
from airflow.sdk.definitions.retry_policy import RetryAction
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTerminated,
    AirflowTaskTimeout,
    DownstreamTasksSkipped,
    TaskDeferred,
)

from sluicegate.faults import Fault, FaultClass, FaultRetryPolicy, fault
from sluicegate.faults.rules import FaultRule
from sluicegate.graph.window import Window
from sluicegate.runtime import lifecycle
from sluicegate.runtime.dag import PipelineDAG
from sluicegate.runtime.lifecycle import Deferred, Failed, Interrupted, Life, Skipped, Succeeded
from sluicegate.runtime.operator import StepOperator, as_step
from sluicegate.runtime.receipt import RECEIPT_XCOM_KEY
from sluicegate.runtime.step import StepContext, StepResult
from sluicegate.testing.step import StepInstance

DAY = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))


class Watching:
    """An observer that remembers, and raises what it is told to."""

    def __init__(self, raises: BaseException | None = None) -> None:
        self.seen: list[Any] = []
        self.raises = raises

    def began(self, life: Life) -> None:
        self.seen.append(("began", life.step.step, life.resumed))
        if self.raises is not None:
            raise self.raises

    def ended(self, life: Life, end: Any) -> None:
        self.seen.append(end)
        if self.raises is not None:
            raise self.raises


class Doing(StepOperator):
    template_fields = ("words",)

    def __init__(self, *, act: Callable[[], Any] = lambda: None, words: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.act, self.words = act, words

    def run(self, context: Context, step: StepContext) -> StepResult:
        return StepResult(self.act(), facts={"rows": 3})

    def resumed(self, context: Context) -> StepResult:
        return StepResult(self.act())


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch) -> Watching:
    observer = Watching()
    monkeypatch.setattr(lifecycle, "observers", lambda: (observer,))
    return observer


def one(operator: type[Any] = Doing, **arguments: Any) -> StepInstance:
    with PipelineDAG("orders", schedule=None):
        return StepInstance(operator(task_id="do", **arguments), DAY)


def raising(error: BaseException) -> Callable[[], Any]:
    def act() -> None:
        raise error

    return act


def test_a_success_is_observed_with_its_facts(watching: Watching) -> None:
    one().execute()
    began, end = watching.seen
    assert began == ("began", "do", False)
    assert end == Succeeded(StepResult(None, facts={"rows": 3}))


def test_what_comes_back_from_a_trigger_is_a_life_of_its_own(watching: Watching) -> None:
    one().resume("resumed", {})
    assert watching.seen[0] == ("began", "do", True)
    assert isinstance(watching.seen[1], Succeeded)


@pytest.mark.parametrize(
    ("raised", "end"),
    [
        (TaskDeferred(trigger=SimpleNamespace(serialize=lambda: ("x", {})), method_name="resumed"), Deferred),
        (AirflowSkipException("no rows"), Skipped),
        (DownstreamTasksSkipped(tasks=["b"]), Succeeded),
        (AirflowTaskTerminated("by a person"), Interrupted),
        (KeyboardInterrupt(), Interrupted),
    ],
)
def test_each_way_out_is_one_end(watching: Watching, raised: BaseException, end: type) -> None:
    with pytest.raises(type(raised)):
        one(act=raising(raised)).execute()
    assert [type(each) for each in watching.seen[1:]] == [end]


def test_a_failure_is_observed_as_its_fault(watching: Watching) -> None:
    with pytest.raises(Exception, match="WAREHOUSE_BUSY"):
        one(act=raising(fault("WAREHOUSE_BUSY", "a lock"))).execute()
    [_, end] = watching.seen
    assert isinstance(end, Failed)
    assert (end.error.code, end.will_retry) == ("WAREHOUSE_BUSY", False)


@pytest.mark.parametrize(
    ("error", "should_retry", "again"),
    [
        (fault("WAREHOUSE_BUSY"), True, True),
        (fault("WAREHOUSE_BUSY"), False, False),
        (fault("SCHEMA_MISMATCH"), True, False),
    ],
)
def test_a_failure_says_whether_airflow_tries_again(error: Exception, should_retry: bool, again: bool) -> None:
    end = end_of(error, should_retry=should_retry)
    assert end.will_retry is again


def end_of(error: BaseException, *, should_retry: bool = True, task: Any = None, dag: Any = None) -> Failed:
    server = SimpleNamespace(should_retry=should_retry, max_tries=2)
    task = task or Doing(task_id="do")
    context: Any = {"ti": SimpleNamespace(_ti_context_from_server=server), "task": task, "dag": dag}
    end = lifecycle.end_of(error, Life(task, context, StepContext("orders", "do", "run", 1, -1, DAY)))
    assert isinstance(end, Failed)
    return end


@pytest.mark.parametrize(
    ("error", "code", "again"),
    [
        (AirflowTaskTimeout("after an hour"), "TIMED_OUT", True),
        (AirflowSensorTimeout("nothing came"), "TIMED_OUT", False),
        (AirflowFailException("no"), "UNKNOWN", False),
        (SystemExit(3), "UNKNOWN", True),
    ],
)
def test_what_ends_a_step_is_what_airflow_makes_of_it(error: BaseException, code: str, again: bool) -> None:
    end = end_of(error)
    assert (end.error.code, end.will_retry) == (code, again)


def test_a_step_with_a_policy_of_its_own_is_tried_again_as_that_says() -> None:
    always = SimpleNamespace(evaluate=lambda *_: SimpleNamespace(action=RetryAction.RETRY))
    broken = SimpleNamespace(evaluate=lambda *_: 1 / 0)
    for policy in (None, always, broken):
        task = Doing(task_id="do")
        task.retry_policy = policy
        assert end_of(fault("SCHEMA_MISMATCH"), task=task).will_retry is True


def test_a_rule_of_the_pipeline_decides_on_a_timeout_as_in_the_retry_policy() -> None:
    slow = Fault("TOO_SLOW", FaultClass.FATAL, "It is too slow.", "Ask for less.", frozenset())
    dag = SimpleNamespace(fault_rules=(FaultRule(slow, error="TIMED_OUT"),))
    end = end_of(fault("TIMED_OUT", "not done within an hour"), dag=dag)
    decided = FaultRetryPolicy().evaluate(fault("TIMED_OUT"), 1, 2, {"dag": dag})  # type: ignore[typeddict-item]
    assert (end.error.code, end.will_retry, decided.action) == ("TOO_SLOW", False, RetryAction.FAIL)


def test_a_timeout_while_the_end_is_kept_does_not_undo_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    last = Watching()
    slow = Watching(raises=AirflowTaskTimeout("while the receipt was written"))
    slow.began = lambda life: None  # type: ignore[method-assign]
    monkeypatch.setattr(lifecycle, "observers", lambda: (last, slow))
    assert one(act=lambda: 7).execute() == 7
    assert isinstance(last.seen[-1], Succeeded)


def test_a_template_that_cannot_be_rendered_ends_the_try(watching: Watching) -> None:
    with pytest.raises(Exception, match="WRONG_USE"):
        one(words="{{ nothing.of_it }}").execute()
    [end] = watching.seen
    assert isinstance(end, Failed)


def test_an_observer_that_fails_is_a_warning(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    broken = Watching(raises=RuntimeError("password=hunter2"))
    monkeypatch.setattr(lifecycle, "observers", lambda: (broken,))
    assert one(act=lambda: 7).execute() == 7
    assert "was not kept" in caplog.text
    assert "hunter2" not in caplog.text


def test_an_observer_may_put_the_work_off(monkeypatch: pytest.MonkeyPatch) -> None:
    later = TaskDeferred(trigger=SimpleNamespace(serialize=lambda: ("x", {})), method_name="resumed")
    gate = Watching(raises=later)
    monkeypatch.setattr(lifecycle, "observers", lambda: (gate,))
    gate.ended = lambda life, end: gate.seen.append(end)  # type: ignore[method-assign]
    with pytest.raises(TaskDeferred):
        one(act=raising(AssertionError("the work was done"))).execute()
    assert gate.seen == [("began", "do", False), Deferred()]


def test_an_operator_of_others_is_observed_too(watching: Watching) -> None:
    one(as_step(EmptyOperator)).execute()
    assert watching.seen[0] == ("began", "do", False)
    assert isinstance(watching.seen[1], Succeeded)


def test_an_operator_that_is_not_ours_may_have_facts_of_its_own() -> None:
    class Foreign(EmptyOperator):
        facts = "many"

        def execute(self, context: Context) -> None:
            raise ValueError("no")

    with PipelineDAG("orders", schedule=None):
        step = StepInstance(as_step(Foreign)(task_id="empty"), DAY)
    with pytest.raises(ValueError, match="no"):
        step.execute()
    assert step.xcoms[RECEIPT_XCOM_KEY]["facts"] == {"inputs": []}

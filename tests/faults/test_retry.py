"""The retry policy: what is tried again, and after which pause."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.definitions.retry_policy import RetryAction
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.faults import FaultRetryPolicy, fault
from sluicegate.faults.retry import retry_delay

POLICY = FaultRetryPolicy(delay=timedelta(seconds=30), max_delay=timedelta(minutes=10))


def test_a_transient_fault_is_tried_again() -> None:
    decision = POLICY.evaluate(fault("NETWORK"), 1, 3)
    assert decision.action is RetryAction.RETRY
    assert decision.retry_delay is not None
    assert timedelta(seconds=30) <= decision.retry_delay <= timedelta(seconds=60)


@pytest.mark.parametrize("code", ["SOURCE_MISSING", "WAREHOUSE_DENIED"])
def test_data_and_fatal_faults_fail_at_once_with_the_reason(code: str) -> None:
    decision = POLICY.evaluate(fault(code), 1, 3)
    assert decision.action is RetryAction.FAIL
    assert decision.reason is not None
    assert decision.reason.startswith(code)


def test_an_error_of_an_operator_that_is_not_ours_is_classified() -> None:
    assert POLICY.evaluate(ModuleNotFoundError("no"), 1, 3).action is RetryAction.FAIL
    assert POLICY.evaluate(ConnectionRefusedError("no"), 1, 3).action is RetryAction.RETRY


def test_a_bug_fails_at_once_unless_the_file_says_otherwise() -> None:
    stubborn = FaultRetryPolicy(bugs=True)
    assert POLICY.evaluate(IndexError("list index out of range"), 1, 3).action is RetryAction.FAIL
    assert stubborn.evaluate(IndexError("list index out of range"), 1, 3).action is RetryAction.RETRY
    assert stubborn.evaluate(fault("WAREHOUSE_DENIED"), 1, 3).action is RetryAction.FAIL
    assert FaultRetryPolicy.deserialize(stubborn.serialize()) == stubborn


def test_after_a_clear_the_pause_starts_small_again() -> None:
    # Cleared after its fourth try: Airflow goes on counting, and adds the retries to what was used.
    context: Any = {"task": SimpleNamespace(retries=3)}
    decision = POLICY.evaluate(fault("NETWORK"), 5, 7, context)
    assert decision.retry_delay is not None
    assert decision.retry_delay <= timedelta(seconds=60)


def test_the_pause_doubles_up_to_its_longest() -> None:
    pauses = [
        retry_delay(n, delay=timedelta(seconds=30), max_delay=timedelta(minutes=10), share=1.0).total_seconds()
        for n in range(1, 7)
    ]
    assert pauses == [60, 120, 240, 480, 600, 600]


@given(
    attempt=st.integers(-3, 10_000),
    delay=st.integers(0, 10_000),
    max_delay=st.integers(0, 10_000),
    share=st.floats(0, 1),
)
def test_a_pause_is_always_between_the_two_ends(attempt: int, delay: int, max_delay: int, share: float) -> None:
    low, high = sorted((delay, max_delay))
    pause = retry_delay(attempt, delay=timedelta(seconds=delay), max_delay=timedelta(seconds=max_delay), share=share)
    assert timedelta(seconds=low) <= pause <= timedelta(seconds=high)


@pytest.mark.parametrize(("asked", "least", "most"), [(300.0, 300, 300), (5.0, 30, 60), (86_400.0, 3600, 3600)])
def test_a_server_is_asked_again_when_it_said(asked: float, least: int, most: int) -> None:
    busy = fault("SOURCE_UNAVAILABLE", "HTTP 429", status=429, retry_after=asked)
    decision = POLICY.evaluate(busy, 1, 3)
    assert decision.retry_delay is not None
    assert timedelta(seconds=least) <= decision.retry_delay <= timedelta(seconds=most)


def test_it_survives_serialization() -> None:
    assert FaultRetryPolicy.deserialize(POLICY.serialize()) == POLICY


def test_a_dag_with_it_can_be_serialized() -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("retried") as dag:
        BaseOperator(task_id="t", retry_policy=POLICY)
    task = DagSerialization.to_dict(dag)["dag"]["tasks"][0]["__var"]
    assert task["has_retry_policy"] is True

"""A pipeline's own rules decide before the catalogue: which errors are which fault, retried or not, how bad."""

from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any

import duckdb
import httpx
import pytest
from airflow.sdk.definitions.retry_policy import RetryAction
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from sluicegate.faults import (
    CATALOGUE,
    Fault,
    FaultClass,
    FaultError,
    FaultRetryPolicy,
    TransientFault,
    classify,
    fault,
)
from sluicegate.faults.rules import FaultRule
from sluicegate.faults.section import Playbook, section

CLOSED = Fault("PARTNER_CLOSED", FaultClass.DATA, "The partner is closed.", "Wait.", frozenset())
LATER = CATALOGUE["SOURCE_UNAVAILABLE"]


def answered(status: int) -> httpx.HTTPStatusError:
    request = httpx.Request("GET", "https://api.example.com/v1")
    return httpx.HTTPStatusError(f"{status} of the server", request=request, response=httpx.Response(status))


def code_by(error: BaseException, *rules: FaultRule) -> str:
    return classify(error, rules).code


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        (FaultRule(CLOSED, error="httpx.HTTPStatusError"), answered(409)),
        (FaultRule(CLOSED, error="httpx.HTTPError"), answered(409)),
        (FaultRule(CLOSED, error="httpx.HTTPStatusError", status=(409, 423)), answered(423)),
        (FaultRule(CLOSED, status=(503,)), answered(503)),
        (FaultRule(CLOSED, matches=r"\bclosed for the (night|day)\b"), RuntimeError("we are closed for the night")),
        (FaultRule(CLOSED, error="KeyError"), KeyError("orders")),
        (FaultRule(CLOSED, error="LookupError", matches="orders"), KeyError("orders")),
        (FaultRule(CLOSED, error="duckdb.IOException"), duckdb.IOException("x")),
        (FaultRule(CLOSED, error="SOURCE_REJECTED", matches="HTTP 409"), fault("SOURCE_REJECTED", "api: HTTP 409")),
        (FaultRule(CLOSED, status=(409,)), fault("SOURCE_REJECTED", "api", status=409)),
    ],
)
def test_an_error_that_meets_all_conditions_is_the_rules_fault(rule: FaultRule, error: BaseException) -> None:
    found = classify(error, [rule])
    assert (found.fault, found.facts["was"]) == (CLOSED, classify(error).code)


@pytest.mark.parametrize(
    "rule",
    [
        FaultRule(CLOSED, error="httpx.HTTPStatusError", status=(423,)),
        FaultRule(CLOSED, error="httpx.HTTPStatusError", matches="maintenance"),
        FaultRule(CLOSED, error="requests.exceptions.HTTPError"),
        FaultRule(CLOSED, error="NETWORK"),
        FaultRule(CLOSED, matches="fatal|refused the request"),
    ],
)
def test_one_condition_that_is_not_met_is_enough_to_leave_an_error_alone(rule: FaultRule) -> None:
    assert code_by(answered(409), rule) == "SOURCE_REJECTED"


def test_the_first_rule_that_holds_counts() -> None:
    assert code_by(answered(409), FaultRule(LATER, status=(409,)), FaultRule(CLOSED)) == "SOURCE_UNAVAILABLE"


def test_what_an_error_was_raised_from_is_judged_too() -> None:
    def work() -> None:
        try:
            raise answered(409)
        except httpx.HTTPError as inner:
            raise RuntimeError("the export failed") from inner

    with pytest.raises(RuntimeError) as raised:
        work()
    assert code_by(raised.value, FaultRule(CLOSED, error="httpx.HTTPStatusError", status=(409,))) == "PARTNER_CLOSED"


def test_a_fault_that_a_rule_has_made_is_not_judged_again() -> None:
    once = classify(answered(409), [FaultRule(LATER, status=(409,))])
    assert classify(once, [FaultRule(CLOSED, error="SOURCE_UNAVAILABLE")]) is once


@pytest.mark.parametrize("error", [AirflowSkipException("closed"), AirflowFailException("closed")])
def test_how_a_task_says_that_it_ends_is_not_an_error_to_be_judged(error: Exception) -> None:
    assert code_by(error, FaultRule(CLOSED, matches="closed")) == "UNKNOWN"


def test_a_rule_may_change_how_bad_a_fault_is_and_nothing_else() -> None:
    missing = fault("SOURCE_MISSING", "orders.csv")
    missing.where = ("s3://landing/orders.csv",)
    found = classify(missing, [FaultRule(error="SOURCE_MISSING", severity="warning")])
    assert (found.code, found.detail, found.fault.severity) == ("SOURCE_MISSING", "orders.csv", "warning")
    assert found.where == missing.where


def test_a_fault_of_a_pipelines_own_survives_the_way_between_processes_and_a_wrapper() -> None:
    found = classify(answered(409), [FaultRule(CLOSED, status=(409,))])
    assert pickle.loads(pickle.dumps(found)).fault == CLOSED
    outer = RuntimeError("failed")
    outer.__cause__ = found
    assert classify(outer).fault == CLOSED


def test_the_retry_policy_asks_the_rules_of_the_dag() -> None:
    rules = (FaultRule(LATER, error="ValueError", matches="quota"), FaultRule(CLOSED, status=(503,)))
    context: Any = {"dag": SimpleNamespace(fault_rules=rules)}
    policy = FaultRetryPolicy()
    assert policy.evaluate(ValueError("quota"), 1, 3, context).action is RetryAction.RETRY
    refused = policy.evaluate(answered(503), 1, 3, context)
    assert (refused.action, refused.reason) == (RetryAction.FAIL, "PARTNER_CLOSED (data): The partner is closed.")
    assert policy.evaluate(ValueError("quota"), 1, 3).action is RetryAction.FAIL


def test_the_docs_are_not_said_to_treat_a_fault_of_a_pipelines_own() -> None:
    assert section("PARTNER_CLOSED", Playbook("quotes")) == ""
    treated = Playbook("quotes", "## PARTNER_CLOSED\n\nWait.")
    assert section("PARTNER_CLOSED", treated) == "playbooks/quotes.md#partner_closed"


def test_a_rule_cannot_break_the_handling_of_an_error() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    assert isinstance(classify(MuteError(), [FaultRule(LATER, matches="x")]), FaultError)
    assert isinstance(classify(MuteError(), [FaultRule(LATER, matches="shown")]), TransientFault)


def test_a_rule_keeps_the_place_at_which_to_look_first() -> None:
    refused = fault("TOO_MANY_DEAD_LETTERS", "12 of 100")
    refused.where = ("s3://landing/orders.csv line 5",)
    wrapped = RuntimeError("in a hook")
    wrapped.__cause__ = refused
    assert classify(refused, [FaultRule(severity="warning", matches="12 of")]).where == refused.where
    assert classify(wrapped).where == refused.where

"""The python step: a function with side effects gets what it names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from sluicegate.faults import FaultError
from sluicegate.graph.location import Location
from sluicegate.transform import PythonStepOperator

Run = Callable[..., Any]

SOURCE = """
    from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

    def plain():
        return "plain"

    def named(reads, window, params, limit):
        return [reads, window.ds, params, limit]

    def everything(**kwargs):
        return sorted(kwargs)

    def careful(dry_run):
        return dry_run

    def broken():
        raise ValueError("no such list")

    def skips():
        raise AirflowSkipException("nothing to do")

    def finds():
        from sluicegate.faults import fault
        raise fault("CHECK_FAILED", "found by the author")

    def fails():
        raise AirflowFailException("never again")

    def imports_late():
        import authors_late_module
        return authors_late_module.VALUE
"""


@pytest.fixture
def step(author: Any, task_id: Callable[[], str]) -> Callable[..., PythonStepOperator]:
    module = author.module(SOURCE)

    def make(function: str, **arguments: Any) -> PythonStepOperator:
        return PythonStepOperator(
            task_id=task_id(), function=f"{module}:{function}", root=str(author.root), **arguments
        )

    return make


def test_a_function_that_names_nothing_gets_nothing(run: Run, step: Any) -> None:
    assert run(step("plain", reads={"a": "x.csv"})) == "plain"


def test_a_function_gets_what_it_names(run: Run, step: Any) -> None:
    reads = {"orders": Location("orders", "s3://l/{{ ds }}.csv"), "many": ["a", "b"]}
    found = run(step("named", reads=reads, with_={"limit": "{{ ds }}"}), times=3)
    expected = {"orders": "s3://l/2013-02-11.csv", "many": ["a", "b"]}
    assert found == [expected, "2013-02-11", {"times": 3}, "2013-02-11"]


def test_kwargs_get_everything(run: Run, step: Any) -> None:
    expected = ["dry_run", "extra", "params", "reads", "window", "writes"]
    assert run(step("everything", with_={"extra": 1})) == expected


@pytest.mark.parametrize("function", ["plain", "everything"])
def test_a_dry_run_skips_what_does_not_name_it(run: Run, step: Any, function: str) -> None:
    with pytest.raises(AirflowSkipException, match="dry_run"):
        run(step(function), dry_run=True)


def test_a_dry_run_calls_what_takes_it(run: Run, step: Any) -> None:
    assert run(step("careful"), dry_run=True) is True
    assert run(step("careful")) is False


def test_an_error_is_the_functions_failure_with_its_traceback(run: Run, step: Any) -> None:
    with pytest.raises(FaultError) as caught:
        run(step("broken"))
    assert caught.value.code == "CODE_BROKEN"
    assert "no such list" in caught.value.detail
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize(("function", "kind"), [("skips", AirflowSkipException), ("fails", AirflowFailException)])
def test_a_function_may_use_airflows_own_words(run: Run, step: Any, function: str, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        run(step(function))


def test_a_function_may_raise_a_fault_of_the_catalogue(run: Run, step: Any) -> None:
    with pytest.raises(FaultError) as caught:
        run(step("finds"))
    assert (caught.value.code, caught.value.detail) == ("CHECK_FAILED", "found by the author")


def test_a_module_imported_while_the_function_runs_is_found_too(run: Run, step: Any, author: Any) -> None:
    Path(author.root / "authors_late_module.py").write_text("VALUE = 42")
    assert run(step("imports_late")) == 42


def test_an_argument_it_does_not_take_is_refused(run: Run, step: Any) -> None:
    with pytest.raises(FaultError) as caught:
        run(step("plain", with_={"limt": 3}))
    assert caught.value.code == "WRONG_USE"
    assert "limt" in caught.value.detail

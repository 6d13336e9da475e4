"""By which name an Airflow knows its clusters, and that two that were given none have different ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import comms

from sluicegate.emr import deployment
from sluicegate.emr.deployment import INSTALLATION, deployment_name, deployment_of
from sluicegate.emr.record import Record
from sluicegate.faults import FaultError
from sluicegate.testing.supervisor import Supervisor


@dataclass
class Store(dict[str, Any]):
    def set(self, key: str, value: Any) -> None:
        self[key] = value


@dataclass
class Racing(Supervisor):
    """Another task writes the Variable right after this one has."""

    other: str = ""
    hidden: list[Any] = field(default_factory=list)

    def send(self, msg: Any) -> Any:
        answer = super().send(msg)
        if isinstance(msg, comms.PutVariable) and self.other:
            self.variables[msg.key] = self.other
        return answer


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(deployment, "_SETTLES", 0.0)
    return


def test_each_airflow_makes_a_name_of_its_own_once() -> None:
    one, other = Supervisor(variables={}), Supervisor(variables={})
    with one.attached():
        name = deployment_name()
        assert deployment_name() == name
    with other.attached():
        assert deployment_name() != name
    assert re.fullmatch(r"sluicegate-[0-9a-f]{12}", name)


def test_a_name_that_was_given_needs_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__SLUICEGATE__DEPLOYMENT", "prod")
    assert deployment_name() == "prod"


def test_of_two_tasks_that_write_the_first_id_at_once_both_use_the_later_one() -> None:
    with Racing(variables={}, other="theirs").attached():
        assert deployment_name() == "sluicegate-theirs"


def test_an_airflow_that_does_not_answer_is_not_one_without_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = comms.ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 500})
    supervisor = Supervisor(error=AirflowRuntimeError(gone))
    with supervisor.attached(), pytest.raises(FaultError):
        deployment_name()
    assert [type(msg) for msg in supervisor.asked] == [comms.GetVariable]


def test_a_task_keeps_the_name_by_which_it_has_begun() -> None:
    store = Store()
    Record(since=datetime.now(UTC), deployment="sluicegate-first").write(store)
    with Supervisor(variables={INSTALLATION: "second"}).attached():
        assert deployment_of(store) == "sluicegate-first"
        assert deployment_of(Store()) == "sluicegate-second"

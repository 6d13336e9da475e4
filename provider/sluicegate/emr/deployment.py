"""The name of this Airflow, by which its clusters are known: one that was given, or one that no other Airflow has."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

from sluicegate.emr.names import automatic_name
from sluicegate.emr.record import Record
from sluicegate.faults import classify, fault

if TYPE_CHECKING:
    from sluicegate.emr.record import Store

__all__ = ["INSTALLATION", "deployment_name", "deployment_of", "given_name"]

INSTALLATION = "sluicegate_installation"
"""The Airflow Variable with the id of this Airflow: all that its workers share for certain is its metadata database."""

_DESCRIPTION = "By this id Sluicegate knows the EMR clusters of this Airflow. Do not change it while one runs."
_SETTLES = 1.0
"""Seconds from the id's first writing until it is read again: two tasks that write it at once then use the same one."""


def deployment_name() -> str:
    """`[sluicegate] deployment`, else `sluicegate-<id>`. Called in tasks: the first one of an Airflow makes the id.

    :raises FaultError: when Airflow does not answer, or does not let a task read or write the Variable
    """
    return given_name() or automatic_name(_installation())


def deployment_of(store: Store | None) -> str:
    """The name by which a task has begun to start its clusters, whatever has become of the setting or the id since."""
    record = Record.read(store)
    return record.deployment if record is not None else deployment_name()


def given_name() -> str:
    """`[sluicegate] deployment` of Airflow's configuration; empty where Airflow was given no name."""
    from airflow.sdk.configuration import conf

    return str(conf.get("sluicegate", "deployment", fallback="")).strip()


def _installation() -> str:
    try:
        if found := _read():
            return found
        _write(uuid.uuid4().hex[:12])
        time.sleep(_SETTLES)
        if found := _read():
            return found
    except Exception as error:
        raise classify(error) from error
    detail = f"the Variable {INSTALLATION} cannot be kept: give this Airflow a name, `[sluicegate] deployment`"
    raise fault("WRONG_USE", detail)


def _read() -> str:
    """The id, or nothing where there is none. `Variable.get` would say so as well where Airflow does not answer."""
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
    from airflow.sdk.execution_time.comms import ErrorResponse, GetVariable, VariableResult
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    answer = SUPERVISOR_COMMS.send(GetVariable(key=INSTALLATION))
    if isinstance(answer, VariableResult):
        return (answer.value or "").strip()
    if isinstance(answer, ErrorResponse) and answer.error is not ErrorType.VARIABLE_NOT_FOUND:
        raise AirflowRuntimeError(answer)
    return ""


def _write(value: str) -> None:
    from airflow.sdk import Variable

    Variable.set(INSTALLATION, value, description=_DESCRIPTION)

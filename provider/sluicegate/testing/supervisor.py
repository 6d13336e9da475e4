"""What a task asks Airflow while it runs, answered from memory: XComs, the state store, the states of other tasks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import comms

from sluicegate.emr.deployment import INSTALLATION

__all__ = ["InstanceKey", "Run", "Supervisor", "XComKey"]

InstanceKey = tuple[str, int]
"""Task id and map index, which is -1 unless the task is mapped."""

XComKey = tuple[str, int, str]
"""Task id, map index, key."""


@dataclass
class Run:
    """One run of a DAG: what its tasks have come to, and what they have left."""

    dag_id: str
    run_id: str
    date: datetime
    states: dict[InstanceKey, str | None] = field(default_factory=dict)
    xcoms: dict[XComKey, Any] = field(default_factory=dict)
    state: str = "running"

    def values(self, task_id: str, key: str) -> list[Any]:
        """What a task, or each instance of a mapped one, has left under `key`, in the order of their map indexes."""
        found = sorted((at[1], value) for at, value in self.xcoms.items() if (at[0], at[2]) == (task_id, key))
        return [value for _, value in found]

    def named_states(self, task_ids: Sequence[str] | None) -> dict[str, str | None]:
        """The states of some tasks, or of all, as Airflow names them: `task`, or `task_0` for a mapped instance."""
        return {
            task_id if index < 0 else f"{task_id}_{index}": state
            for (task_id, index), state in self.states.items()
            if task_ids is None or task_id in task_ids
        }


@dataclass
class Supervisor:
    """A task's connection to Airflow (`SUPERVISOR_COMMS`) that answers from memory, and keeps what it was asked.

    Connections and variables come from the environment, as `AIRFLOW_CONN_…` and `AIRFLOW_VAR_…`.

    :param error: raised instead of any answer
    """

    runs: list[Run] = field(default_factory=list)
    stores: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    """By task instance, its state store: JSON values, which survive its tries."""
    variables: dict[str, str] = field(default_factory=lambda: {INSTALLATION: "testing"})
    """Variables that a task asks Airflow itself for."""
    dags: set[str] = field(default_factory=set)
    """Ids of DAGs that there are, beside those of `runs`."""
    skipped: list[str] = field(default_factory=list)
    """Ids of the tasks that a branch of the run has left out."""
    asked: list[Any] = field(default_factory=list)
    error: Exception | None = None

    def send(self, msg: Any) -> Any:
        """The answer to one of Airflow's messages.

        :raises NotImplementedError: for what needs a real Airflow.
        """
        self.asked.append(msg)
        if self.error is not None:
            raise self.error
        for answers in (self._of_runs, self._of_xcoms, self._of_stores, self._others):
            if (answer := answers(msg)) is not None:
                return answer
        raise NotImplementedError(f"only a running Airflow can answer a task's {type(msg).__name__}")

    async def asend(self, msg: Any) -> Any:
        return self.send(msg)

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Answer what is asked in this process within the block."""
        from airflow.sdk.execution_time import task_runner

        before = getattr(task_runner, "SUPERVISOR_COMMS", None)
        task_runner.SUPERVISOR_COMMS = self  # type: ignore[assignment]
        try:
            yield
        finally:
            if before is None:
                del task_runner.SUPERVISOR_COMMS
            else:
                task_runner.SUPERVISOR_COMMS = before

    def _of_runs(self, msg: Any) -> Any:
        match msg:
            case comms.GetTaskStates(task_ids=wanted):
                states = {run.run_id: run.named_states(wanted) for run in self._runs(msg)}
                return comms.TaskStatesResult(task_states=states)
            case comms.GetTICount(task_ids=wanted):
                found = [state for run in self._runs(msg) for state in run.named_states(wanted).values()]
                return comms.TICount(count=sum(msg.states is None or state in msg.states for state in found))
            case comms.GetDRCount():
                found = [run.state for run in self._runs(msg)]
                return comms.DRCount(count=sum(msg.states is None or state in msg.states for state in found))
            case comms.GetDagRunState():
                states_of = [run.state for run in self.runs if (run.dag_id, run.run_id) == (msg.dag_id, msg.run_id)]
                return _found([comms.DagRunStateResult.model_validate({"state": state}) for state in states_of])
            case comms.GetDag():
                dags = {*self.dags, *(run.dag_id for run in self.runs)}
                known = comms.DagResult.model_construct(dag_id=msg.dag_id)
                return _found([known] if msg.dag_id in dags else [])
        return None

    def _of_xcoms(self, msg: Any) -> Any:
        match msg:
            case comms.SetXCom():
                self._run(msg).xcoms[_key(msg)] = msg.value
                return comms.OKResponse(ok=True)
            case comms.DeleteXCom():
                self._run(msg).xcoms.pop(_key(msg), None)
                return comms.OKResponse(ok=True)
            case comms.GetXCom():
                return comms.XComResult(key=msg.key, value=self._run(msg).xcoms.get(_key(msg)))
            case comms.GetXComCount():
                return comms.XComCountResponse(len=len(self._run(msg).values(msg.task_id, msg.key)))
            case comms.GetXComSequenceItem():
                values = self._run(msg).values(msg.task_id, msg.key)
                if not -len(values) <= msg.offset < len(values):
                    return comms.ErrorResponse(error=ErrorType.XCOM_NOT_FOUND)
                return comms.XComSequenceIndexResult(root=values[msg.offset])
            case comms.GetXComSequenceSlice():
                values = self._run(msg).values(msg.task_id, msg.key)
                return comms.XComSequenceSliceResult(root=values[msg.start : msg.stop : msg.step])
        return None

    def _of_stores(self, msg: Any) -> Any:
        match msg:
            case comms.GetTaskStateStore():
                store = self.stores.get(msg.ti_id, {})
                if msg.key not in store:
                    return comms.ErrorResponse(error=ErrorType.TASK_STORE_NOT_FOUND)
                return comms.TaskStateStoreResult(value=store[msg.key])
            case comms.SetTaskStateStore():
                # As JSON: what a task changes later is not in the store by that.
                self.stores.setdefault(msg.ti_id, {})[msg.key] = json.loads(json.dumps(msg.value))
            case comms.DeleteTaskStateStore():
                self.stores.get(msg.ti_id, {}).pop(msg.key, None)
            case comms.ClearTaskStateStore():
                self.stores.get(msg.ti_id, {}).clear()
            case _:
                return None
        return comms.OKResponse(ok=True)

    def _others(self, msg: Any) -> Any:
        match msg:
            case comms.GetConnection():
                return comms.ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND)
            case comms.GetVariable():
                if msg.key not in self.variables:
                    return comms.ErrorResponse(error=ErrorType.VARIABLE_NOT_FOUND)
                return comms.VariableResult(key=msg.key, value=self.variables[msg.key])
            case comms.PutVariable():
                self.variables[msg.key] = msg.value or ""
            case comms.SkipDownstreamTasks():
                self.skipped += [task if isinstance(task, str) else task[0] for task in msg.tasks]
            case comms.MaskSecret() | comms.SetRenderedFields() | comms.SetRenderedMapIndex():
                pass
            case _:
                return None
        return comms.OKResponse(ok=True)

    def _runs(self, msg: Any) -> list[Run]:
        return [
            run
            for run in self.runs
            if run.dag_id == msg.dag_id
            and (msg.logical_dates is None or run.date in msg.logical_dates)
            and (msg.run_ids is None or run.run_id in msg.run_ids)
        ]

    def _run(self, msg: Any) -> Run:
        [run] = [run for run in self.runs if (run.dag_id, run.run_id) == (msg.dag_id, msg.run_id)]
        return run


def _found(answers: Sequence[Any]) -> Any:
    """The answer, if there is one.

    :raises AirflowRuntimeError: as Airflow's own connection does where the server says 404.
    """
    if answers:
        return answers[0]
    detail = {"status_code": 404, "message": "not found"}
    raise AirflowRuntimeError(comms.ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=detail))


def _key(msg: Any) -> XComKey:
    return (msg.task_id, -1 if msg.map_index is None else msg.map_index, msg.key)

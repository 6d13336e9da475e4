"""The other end of a task's questions: answers Airflow's own messages out of runs that a test sets up."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow.sdk.execution_time.comms import (
    DRCount,
    GetDRCount,
    GetTaskStates,
    GetTICount,
    GetXCom,
    TaskStatesResult,
    TICount,
    XComResult,
)

from sluicegate.runtime.marks import RUN_XCOM_KEY


@dataclass
class Run:
    """One run of the upstream DAG. `states` by task id, mapped ones as `task_0`."""

    run_id: str
    date: datetime
    states: dict[str, str | None]
    dry_run: bool = False
    window: str | None = None
    marked: bool = True
    state: str = "running"


@dataclass
class Supervisor:
    """Stands where `SUPERVISOR_COMMS` does, and keeps what it was asked."""

    runs: list[Run] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)
    error: Exception | None = None

    def send(self, msg: Any) -> Any:
        self.asked.append(msg)
        if self.error is not None:
            raise self.error
        match msg:
            case GetTaskStates():
                return TaskStatesResult(task_states={run.run_id: self._states(run, msg) for run in self._runs(msg)})
            case GetTICount():
                found = [state for run in self._runs(msg) for state in self._states(run, msg).values()]
                return TICount(count=sum(state in (msg.states or ()) for state in found))
            case GetDRCount():
                return DRCount(count=sum(run.state in (msg.states or ()) for run in self._runs(msg)))
            case GetXCom():
                [run] = [run for run in self.runs if run.run_id == msg.run_id]
                assert msg.key == RUN_XCOM_KEY
                mark = {
                    "window": run.window or f"{run.date.isoformat()}/{run.date.isoformat()}",
                    "dry_run": run.dry_run,
                }
                mapped = msg.map_index is not None and msg.map_index >= 0
                instance = f"{msg.task_id}_{msg.map_index}" if mapped else msg.task_id
                return XComResult(key=msg.key, value=mark if run.marked and instance in run.states else None)
        raise AssertionError(f"not asked by a trigger of 3.3: {msg}")

    def _runs(self, msg: Any) -> list[Run]:
        dates = msg.logical_dates
        return [run for run in self.runs if dates is None or run.date in dates]

    @staticmethod
    def _states(run: Run, msg: Any) -> dict[str, str | None]:
        wanted = msg.task_ids[0]
        return {task: state for task, state in run.states.items() if task == wanted or task.startswith(f"{wanted}_")}

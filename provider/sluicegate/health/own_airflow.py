"""What a task may ask the Airflow that runs it about other DAGs: by the Task SDK's own calls."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import GetPreviousDagRun
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

__all__ = ["Airflow", "LastRun", "OwnAirflow"]

_NOT_FOUND = 404


@dataclass(frozen=True)
class LastRun:
    """A run of a DAG."""

    run_id: str
    date: datetime | None
    ended: datetime | None = None
    began: datetime | None = None


class Airflow(Protocol):
    """What the watch asks."""

    def is_paused(self, dag_id: str) -> bool | None:
        """None where Airflow has no such DAG."""

    def count(self, dag_id: str, dates: Sequence[datetime] | None, states: Sequence[str] | None = None) -> int:
        """The runs of those logical dates (None: of any) and states (None: in any)."""

    def last(self, dag_id: str, before: datetime, state: str | None = None) -> LastRun | None:
        """The newest run whose logical date is before that one."""


class OwnAirflow:
    """The Airflow whose task this process runs."""

    def is_paused(self, dag_id: str) -> bool | None:
        try:
            return bool(RuntimeTaskInstance.get_dag(dag_id).is_paused)
        except AirflowRuntimeError as refused:
            if (refused.error.detail or {}).get("status_code") != _NOT_FOUND:
                raise
            return None

    def count(self, dag_id: str, dates: Sequence[datetime] | None, states: Sequence[str] | None = None) -> int:
        return RuntimeTaskInstance.get_dr_count(
            dag_id,
            logical_dates=None if dates is None else list(dates),
            states=None if states is None else list(states),
        )

    def states(
        self, dag_id: str, run_ids: Collection[str], task_ids: Collection[str]
    ) -> Mapping[str, Mapping[str, Any]]:
        return RuntimeTaskInstance.get_task_states(dag_id, task_ids=list(task_ids), run_ids=list(run_ids))

    def last(self, dag_id: str, before: datetime, state: str | None = None) -> LastRun | None:
        asked = GetPreviousDagRun(dag_id=dag_id, logical_date=before, state=state)
        answer = task_runner.SUPERVISOR_COMMS.send(asked)
        run = getattr(answer, "dag_run", None)
        return None if run is None else LastRun(run.run_id, run.logical_date, run.end_date, run.start_date)

"""What Airflow says about the runs that are waited for, asked through a supervisor.

The same questions work in a worker and, from a thread, in the triggerer; nothing here touches the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sluicegate.runtime.marks import RUN_XCOM_KEY, RunMark
from sluicegate.wait.verdict import Sighting, state_of_all

__all__ = ["Upstream"]

_STATES_OF_RUNS = ("success", "failed", "running", "queued")
# They travel in a URL's query, whose length web servers bound.
_DATES_A_REQUEST = 100


@dataclass(frozen=True)
class Upstream:
    """A task of another DAG (all of the DAG when `task` is None) in the runs at `dates`.

    `dates` are logical dates, aware; None means any run ever. `marked`: its steps leave a `RunMark`, as ours do.
    `runs` remembers which run is at which date: that never changes while the run exists.
    """

    dag: str
    task: str | None
    dates: tuple[datetime, ...] | None
    marked: bool = True
    runs: dict[str, datetime] = field(default_factory=dict, compare=False, repr=False)

    @property
    def name(self) -> str:
        return f"{self.dag}.{self.task}" if self.task else self.dag

    def sightings(self) -> tuple[Sighting, ...]:
        """A sighting for each date, in their order; one for any run ever.

        :raises airflow.sdk.exceptions.AirflowRuntimeError: when Airflow cannot answer.
        """
        if self.dates is None:
            return (self._ever(),)
        if self.task is None:
            return tuple(self._run_at(date) for date in self.dates)
        return self._at(self.task, self.dates)

    def _at_date(self, date: datetime) -> str:
        return f"{self.name} at {date.isoformat()}"

    def _at(self, task: str, dates: Sequence[datetime]) -> tuple[Sighting, ...]:
        states = _task_states(self.dag, task, dates)
        run_at = self._runs_by_date(task, dates, states)
        seen = [
            Sighting(self._at_date(date), run_at.get(date), state_of_all(states.get(run_at.get(date, ""), ())))
            for date in dates
        ]
        if not all(sighting.ready for sighting in seen):
            return tuple(seen)
        # Asked only when nothing else is missing: it costs a question a run.
        return tuple(
            replace(each, uncounted=self._uncounted(task, each.run_id, date, states[each.run_id or ""]))
            for each, date in zip(seen, dates, strict=True)
        )

    def _uncounted(self, task: str, run_id: str | None, date: datetime | None, instances: Iterable[str]) -> str:
        """Why the success of a run is none, or nothing. One without a mark was set by a person, and counts.

        All `instances` of a mapped task have the same to say of their run.
        """
        asked = self.marked and run_id is not None
        mark = _mark(self.dag, task, run_id, min(_map_index(task, each) for each in instances)) if asked else None
        return "" if mark is None else mark.uncounted_at(date)

    def _runs_by_date(self, task: str, dates: Sequence[datetime], states: Mapping[str, Any]) -> dict[datetime, str]:
        """Airflow answers by run id alone: a run that is new is asked for by its date, once."""
        if len(dates) == 1:
            return dict.fromkeys(dates, next(iter(states))) if states else {}
        if states.keys() - self.runs.keys():
            known = {self.runs[run] for run in states.keys() & self.runs.keys()}
            for date in dates:
                if date not in known:
                    self.runs.update(dict.fromkeys(_task_states(self.dag, task, [date]), date))
        return {self.runs[run]: run for run in states if run in self.runs}

    def _run_at(self, date: datetime) -> Sighting:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        for state in _STATES_OF_RUNS:
            if RuntimeTaskInstance.get_dr_count(dag_id=self.dag, logical_dates=[date], states=[state]):
                return Sighting(self._at_date(date), state=state)
        return Sighting(self._at_date(date))

    def _ever(self) -> Sighting:
        """A successful run of the task that was no dry run; the newest is the likeliest."""
        what = f"{self.name} in any run"
        if self.task is None:
            raise ValueError("a whole DAG is waited for at a date")
        if not _successes(self.dag, self.task):
            return Sighting(what)
        found = _task_states(self.dag, self.task, None)
        states = {run: state_of_all(each) for run, each in found.items()}
        successes = [run for run, state in reversed(states.items()) if state == "success"]
        seen = Sighting(what)
        for run in successes:
            seen = Sighting(what, run, "success", self._uncounted(self.task, run, None, found[run]))
            if seen.ready:
                break
        return seen


def _task_states(dag: str, task: str, dates: Sequence[datetime] | None) -> dict[str, dict[str, str | None]]:
    """By run id, then by task id (with the map index behind it)."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    if dates is None:
        return dict(RuntimeTaskInstance.get_task_states(dag_id=dag, task_ids=[task]))
    found: dict[str, dict[str, str | None]] = {}
    for first in range(0, len(dates), _DATES_A_REQUEST):
        some = list(dates[first : first + _DATES_A_REQUEST])
        found |= RuntimeTaskInstance.get_task_states(dag_id=dag, task_ids=[task], logical_dates=some)
    return found


def _successes(dag: str, task: str) -> int:
    """How many instances of the task ever succeeded. (A triggerer cannot find out which is the newest.)"""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    return RuntimeTaskInstance.get_ti_count(dag_id=dag, task_ids=[task], states=["success"])


def _map_index(task: str, instance: str) -> int:
    """The map index in a key of `_task_states`: -1 for a task that is not mapped."""
    index = instance.removeprefix(task).removeprefix("_")
    return int(index) if index else -1


def _mark(dag: str, task: str, run_id: str | None, map_index: int) -> RunMark | None:
    from airflow.sdk.bases.xcom import BaseXCom

    return RunMark.of(
        BaseXCom.get_one(key=RUN_XCOM_KEY, dag_id=dag, task_id=task, run_id=run_id or "", map_index=map_index)
    )

"""What Airflow says about the runs that are waited for, asked through a supervisor.

The same questions work in a worker and, from a thread, in the triggerer; nothing here touches the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Any

from sluicegate.runtime.marks import RUN_XCOM_KEY, RunMark
from sluicegate.wait.verdict import Sighting, state_of_all

__all__ = ["Upstream"]

Instance = tuple[str, int]
"""Task id and map index."""

_STATES_OF_RUNS = ("success", "failed", "running", "queued")
# They travel in a URL's query, whose length web servers bound.
_DATES_A_REQUEST = 100
_MOST_ASKED = 50
"""Tasks of a run that are asked for its mark: the first one that ran has it."""


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
            Sighting(
                self._at_date(date),
                run_at.get(date),
                state_of_all(states.get(run_at.get(date, ""), {}), task),
                at=date.isoformat(),
            )
            for date in dates
        ]
        seen = list(self._in_failed_runs(seen, dates))
        if not all(sighting.ready or sighting.skipped for sighting in seen):
            return tuple(seen)
        # Asked only when nothing else is missing: it costs a question a run.
        return tuple(
            replace(each, uncounted=self._uncounted(task, each, date, states[each.run_id or ""]))
            for each, date in zip(seen, dates, strict=True)
        )

    def _in_failed_runs(self, seen: Iterable[Sighting], dates: Sequence[datetime]) -> Iterator[Sighting]:
        """The sightings, with what was skipped because its run was ended. Asked after the states: a run that is
        ended now has skipped what it skips.
        """
        skipped_at = [date for date, each in zip(dates, seen, strict=True) if each.skipped]
        failed = bool(skipped_at) and _failed_runs(self.dag, skipped_at) > 0
        for each in seen:
            yield replace(each, run_failed=True) if failed and each.skipped and self._failed(each.run_id) else each

    def _failed(self, run_id: str | None) -> bool:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        return run_id is not None and RuntimeTaskInstance.get_dagrun_state(self.dag, run_id) == "failed"

    def _uncounted(self, task: str, seen: Sighting, date: datetime | None, instances: Mapping[str, Any]) -> str:
        """Why the success or the skip in a run does not count, or nothing. Without a mark it was set by a person, or
        nothing has run there at all, and it counts.
        """
        if not self.marked or seen.run_id is None:
            return ""
        # All instances of a mapped task have the same to say of their run, but only those that ran say it.
        mark = _first_mark(self.dag, seen.run_id, _instances(task, instances, seen.state or ""))
        if mark is None and seen.skipped:
            # Airflow skips most tasks without running them: then whatever did run in the run says it.
            ran = islice(_that_ran(self.dag, seen.run_id), _MOST_ASKED)
            mark = _first_mark(self.dag, seen.run_id, ran)
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
        """A successful run of the task that was no dry run, else one that skipped it; the newest is the likeliest."""
        what = f"{self.name} in any run"
        if self.task is None:
            raise ValueError("a whole DAG is waited for at a date")
        if not _done(self.dag, self.task):
            return Sighting(what)
        found = _task_states(self.dag, self.task, None)
        states = {run: state_of_all(each, self.task) for run, each in found.items()}
        seen = Sighting(what)
        for wanted in ("success", "skipped"):
            for run in (run for run, state in reversed(states.items()) if state == wanted):
                seen = Sighting(what, run, wanted, run_failed=wanted == "skipped" and self._failed(run))
                seen = replace(seen, uncounted=self._uncounted(self.task, seen, None, found[run]))
                if seen.ready or seen.skipped:
                    return seen
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


def _done(dag: str, task: str) -> int:
    """How many instances of the task ever succeeded or were skipped. (A triggerer cannot find out which is the
    newest.)
    """
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    return RuntimeTaskInstance.get_ti_count(dag_id=dag, task_ids=[task], states=["success", "skipped"])


def _failed_runs(dag: str, dates: Sequence[datetime]) -> int:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    some = (list(dates[first : first + _DATES_A_REQUEST]) for first in range(0, len(dates), _DATES_A_REQUEST))
    return sum(RuntimeTaskInstance.get_dr_count(dag_id=dag, logical_dates=each, states=["failed"]) for each in some)


def _instances(task: str, states: Mapping[str, Any], state: str) -> list[Instance]:
    """The first instance of the task with that state: its map index is -1 for a task that is not mapped."""
    names = (name.removeprefix(task).removeprefix("_") for name, each in states.items() if each == state)
    return sorted((task, int(index) if index else -1) for index in names)[:1]


def _that_ran(dag: str, run_id: str) -> Iterator[Instance]:
    """What may have run in a run, the likeliest first."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    states = RuntimeTaskInstance.get_task_states(dag_id=dag, run_ids=[run_id]).get(run_id, {})
    for state in ("success", "skipped"):
        for name in (name for name, each in states.items() if each == state):
            yield name, -1
            task, _, index = name.rpartition("_")
            if task and index.isdigit():
                yield task, int(index)


def _first_mark(dag: str, run_id: str, instances: Iterable[Instance]) -> RunMark | None:
    from airflow.sdk.bases.xcom import BaseXCom

    for task, index in instances:
        value = BaseXCom.get_one(key=RUN_XCOM_KEY, dag_id=dag, task_id=task, run_id=run_id, map_index=index)
        if (mark := RunMark.of(value)) is not None:
            return mark
    return None

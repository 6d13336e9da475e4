"""How task instances are, asked by a task through its own connection to Airflow."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping

from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from sluicegate.emr.names import RunKey
from sluicegate.emr.orphans import Gone, TaskState

__all__ = ["OwnAirflow"]

log = logging.getLogger(__name__)

_NOT_FOUND = 404


class OwnAirflow:
    """The Airflow whose task or trigger this process runs. One call a task of a DAG, for all of its runs.

    :param in_triggerer: a trigger cannot ask for a DAG: one that has no run at all is taken for gone
    """

    def __init__(self, *, in_triggerer: bool = False) -> None:
        self._dag = _count_runs if in_triggerer else RuntimeTaskInstance.get_dag

    def states(self, keys: Collection[RunKey]) -> Mapping[RunKey, TaskState]:
        """Those of `keys`; what Airflow does not answer is missing."""
        tasks: dict[tuple[str, str, int], list[RunKey]] = defaultdict(list)
        for key in keys:
            tasks[key.dag_id, key.task_id, key.map_index].append(key)
        found: dict[RunKey, TaskState] = {}
        for (dag_id, task_id, map_index), wanted in tasks.items():
            try:
                found |= self._states(dag_id, task_id, map_index, wanted)
            except AirflowRuntimeError as unanswered:
                log.warning("Airflow does not say how %s.%s is: %s", dag_id, task_id, unanswered)
        return found

    def _states(self, dag_id: str, task_id: str, map_index: int, wanted: Collection[RunKey]) -> dict[RunKey, TaskState]:
        # Asked for one task alone: of several, `task_0` could be a task or the first instance of a mapped one.
        answer = RuntimeTaskInstance.get_task_states(
            dag_id, map_index if map_index >= 0 else None, [task_id], run_ids=sorted(key.run_id for key in wanted)
        )
        name = task_id if map_index < 0 else f"{task_id}_{map_index}"
        found = {}
        for key in wanted:
            states = answer.get(key.run_id, {})
            if name in states:
                state = states[name]
                found[key] = TaskState(None if state is None else str(state))
            else:
                found[key] = TaskState(gone=self._gone(dag_id, key.run_id))
        return found

    def _gone(self, dag_id: str, run_id: str) -> Gone:
        if _answers(lambda: RuntimeTaskInstance.get_dagrun_state(dag_id, run_id)):
            return Gone.TASK
        return Gone.RUN if _answers(lambda: self._dag(dag_id)) else Gone.DAG


def _count_runs(dag_id: str) -> int:
    return RuntimeTaskInstance.get_dr_count(dag_id)


def _answers(ask: Callable[[], object]) -> bool:
    """Whether there is what is asked for, or any of it."""
    try:
        return ask() != 0
    except AirflowRuntimeError as refused:
        if (refused.error.detail or {}).get("status_code") != _NOT_FOUND:
            raise
        return False

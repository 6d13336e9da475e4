"""How task instances are, asked over Airflow's REST API. A GET each: reads leave no row in the audit log."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sluicegate.api.answers import TaskInstance
from sluicegate.api.client import Client, path
from sluicegate.api.errors import NotReachable, Refused
from sluicegate.emr.names import RunKey
from sluicegate.emr.orphans import Gone, TaskState

__all__ = ["RestTasks"]

_FORBIDDEN = 403


class RestTasks:
    """The task instances of the Airflow behind `client`. What its user must not see is not known.

    `states` raises as `Client` does when Airflow cannot be reached, and from then on at once.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lost: NotReachable | None = None

    def states(self, keys: Collection[RunKey]) -> Mapping[RunKey, TaskState]:
        if self._lost is not None:
            raise self._lost
        found = {}
        for key in sorted(keys, key=lambda key: (key.dag_id, key.run_id, key.task_id, key.map_index)):
            try:
                found[key] = self._state(key)
            except Refused as refusal:
                if refusal.status != _FORBIDDEN:
                    raise
            except NotReachable as lost:
                self._lost = lost
                raise
        return found

    def _state(self, key: RunKey) -> TaskState:
        dag = path("dags", key.dag_id)
        run = dag + path("dagRuns", key.run_id)
        index = () if key.map_index < 0 else (str(key.map_index),)
        answer = self._client.find(run + path("taskInstances", key.task_id, *index))
        if answer is not None:
            return TaskState(TaskInstance.read(answer).state)
        if self._client.find(run) is not None:
            return TaskState(gone=Gone.TASK)
        return TaskState(gone=Gone.DAG if self._client.find(dag) is None else Gone.RUN)

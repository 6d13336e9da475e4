"""How task instances are, asked over Airflow's REST API. A GET each: reads leave no row in the audit log."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sluicegate.api.answers import TaskInstance
from sluicegate.api.client import Client, path
from sluicegate.api.errors import NotReachable, Refused
from sluicegate.emr.deployment import INSTALLATION
from sluicegate.emr.names import RunKey, automatic_name
from sluicegate.emr.orphans import Gone, TaskState
from sluicegate.faults import fault

__all__ = ["RestTasks", "name_of"]

_FORBIDDEN = 403


def name_of(client: Client) -> str:
    """The name of the Airflow behind `client`, which was given none.

    :raises FaultError: WRONG_USE when it was given one all the same, has started no cluster yet, or hides its Variable
    """
    try:
        answer = client.find(path("variables", INSTALLATION))
    except Refused as refusal:
        if refusal.status != _FORBIDDEN:
            raise
        answer = None
    value = str(answer.get("value") or "").strip() if isinstance(answer, dict) else ""
    if value:
        return automatic_name(value)
    detail = (
        f"say --deployment: the Airflow at {client.url} shows no Variable {INSTALLATION}, so it has a name of its own, "
        "or has started no cluster yet"
    )
    raise fault("WRONG_USE", detail)


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

"""What a plan asks of Airflow only where it matters: the tasks of a DAG, a triggered run, asset events.

Each answer is kept: a plan asks again and again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from sluicegate.api.answers import DagRun, Fields, TaskInstance
from sluicegate.api.client import Client, Query, path
from sluicegate.api.errors import Refused
from sluicegate.api.paging import by_offset
from sluicegate.recovery.answers import instance_of, run_of
from sluicegate.recovery.definition import InstanceKey, RunKey
from sluicegate.recovery.night import Awaited, Emitted, Instance, Run, Task
from sluicegate.recovery.read import all_instances
from sluicegate.recovery.site_rest import last_error

__all__ = ["RestDetails"]

_TEARDOWN_RULE = "all_done_setup_success"
"""The trigger rule that Airflow gives to teardowns, and to nothing else."""


class RestDetails:
    """`Details` of the Airflow behind `client`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._tasks: dict[str, Mapping[str, Task]] = {}
        self._awaited: dict[tuple[str, str], Awaited | None] = {}
        self._emitted: dict[RunKey, Sequence[Emitted]] = {}
        self._expressions: dict[str, Mapping[str, object]] = {}

    def tasks(self, dag: str) -> Mapping[str, Task]:
        if dag not in self._tasks:
            self._tasks[dag] = self._read_tasks(dag)
        return self._tasks[dag]

    def _read_tasks(self, dag: str) -> Mapping[str, Task]:
        answer = self._client.find(path("dags", dag, "tasks"))
        if answer is None:
            return {}
        entries = [Fields(each) for each in Fields(answer).entries("tasks")]
        # Only a DAG with a teardown has setups, and which tasks these are is not in the public API.
        has_roles = any(each.text_or_none("trigger_rule") == _TEARDOWN_RULE for each in entries)
        roles = self._roles(dag) if has_roles else {}
        found = {}
        for each in entries:
            name = each.text("task_id")
            found[name] = Task(
                id=name,
                after=tuple(map(str, each.entries("downstream_task_ids"))),
                role=roles.get(name, ""),
                depends_on_past=bool(each.value("depends_on_past")),
                wait_for_downstream=bool(each.value("wait_for_downstream")),
            )
        return found

    def _roles(self, dag: str) -> dict[str, str]:
        def within(nodes: Sequence[object]) -> Iterator[tuple[str, str]]:
            for node in nodes:
                if isinstance(node, dict):
                    if role := node.get("setup_teardown_type"):
                        yield str(node["id"]), str(role)
                    yield from within(node.get("children") or [])

        answer = self._client.get_ui(f"/grid/structure{path(dag)}", {"limit": 1})
        return dict(within(answer if isinstance(answer, list) else []))

    def awaited_before(self, dag: str, task: str) -> Awaited | None:
        name = (dag, task)
        if name not in self._awaited:
            query: Query = {"task_id": task, "state": "success", "order_by": "-start_date", "limit": 1}
            found = Fields(self._client.get(path("dags", dag, "dagRuns", "~", "taskInstances"), query))
            last = [instance_of(TaskInstance.read(each)).awaited for each in found.entries("task_instances")]
            self._awaited[name] = replace(last[0], runs=None) if last and last[0] is not None else None
        return self._awaited[name]

    def triggered_run(self, instance: Instance) -> Run | None:
        if instance.triggers is None:
            return None
        dag, run_id = instance.triggers
        if run_id is None:
            key = instance.key
            where = path(
                "dags", key.dag, "dagRuns", key.run, "taskInstances", key.task, "xcomEntries", "trigger_run_id"
            )
            found = self._client.find(where, {"map_index": key.index, "deserialize": "true"})
            value = None if found is None else Fields(found).value("value")
            run_id = value if isinstance(value, str) else None
        if run_id is None:
            return None
        answer = self._client.find(path("dags", dag, "dagRuns", run_id))
        return None if answer is None else run_of(DagRun.read(answer))

    def all_of(self, run: RunKey) -> Sequence[Instance]:
        return list(all_instances(self._client, [run]).values())

    def emitted(self, run: RunKey) -> Sequence[Emitted]:
        if run not in self._emitted:
            query = {"source_dag_id": run.dag, "source_run_id": run.run}
            entries = map(Fields, by_offset(self._client, "/assets/events", "asset_events", query))
            self._emitted[run] = [
                Emitted(
                    task=each.text_or_none("source_task_id") or "",
                    asset_id=each.number("asset_id"),
                    started=tuple(
                        RunKey(Fields(made).text("dag_id"), Fields(made).text("run_id"))
                        for made in each.entries("created_dagruns")
                    ),
                )
                for each in entries
            ]
        return self._emitted[run]

    def read_on(self, failure: InstanceKey) -> str:
        found = last_error(self._client, failure).get("read_on")
        return found if isinstance(found, str) else ""

    def starts(self, dag: str, assets: Collection[int]) -> bool:
        if dag not in self._expressions:
            self._expressions[dag] = self._read_expression(dag)
        return _holds(self._expressions[dag], assets, alone=True)

    def _read_expression(self, dag: str) -> Mapping[str, object]:
        try:
            return Fields(self._client.get(path("dags", dag, "details"))).mapping("asset_expression")
        except Refused:  # it is gone, or not for this user's eyes
            return {}


def _holds(expression: object, assets: Collection[int], *, alone: bool) -> bool:
    """Whether an expression of Airflow's (`any`, `all`, `asset`, `alias`) is met by these assets.

    What an alias stands for is not known here: where it starts the DAG `alone`, the asset was one of it.
    """
    if not isinstance(expression, Mapping):
        return False
    if isinstance(some := expression.get("any"), list):
        return any(_holds(each, assets, alone=alone) for each in some)
    if isinstance(every := expression.get("all"), list):
        return all(_holds(each, assets, alone=alone and len(every) == 1) for each in every)
    if isinstance(asset := expression.get("asset"), Mapping):
        return asset.get("id") in assets
    return alone

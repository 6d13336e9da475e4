"""The REST API of a made-up night: answers what reading a plan asks, counts the calls, refuses what would change."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sluicegate.api import Bearer, Client
from sluicegate.api.errors import Refused
from sluicegate.recovery.definition import RunKey
from sluicegate.recovery.night import Awaited, Instance, Run
from tests.recovery.made_up import MadeUp

_PAGE = 100


class RestOf(Client):
    """A client whose Airflow is `made`."""

    def __init__(self, made: MadeUp) -> None:
        super().__init__("http://airflow.test", Bearer("t"))
        self.made = made
        self.calls: list[str] = []
        self.reads: dict[str, list[tuple[str, str]]] = {}
        """By asset, the tasks that read it."""
        self.writes: dict[str, list[tuple[str, str]]] = {}

    def _call(
        self,
        method: str,
        where: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        repeatable: bool = False,
        root: str = "/api/v2",
    ) -> object:
        self.calls.append(f"{method} {where}")
        answers: dict[str, Callable[..., object]] = {
            "GET /version": lambda *_: {"version": "3.3.2"},
            "GET /dags": self._dags,
            "POST /dags/~/dagRuns/~/taskInstances/list": self._instances,
            "POST /dags/~/dagRuns/list": self._runs,
            "GET /dags/~/dagRuns/~/taskInstances/~/xcomEntries": self._faults,
            "GET /pools": lambda *_: {"pools": [{"name": "default_pool", "slots": 128}], "total_entries": 1},
            "GET /assets": self._assets,
        }
        if (answer := answers.get(f"{method} {where}")) is not None:
            return answer(query or {}, body or {})
        if method == "GET" and (found := re.fullmatch(r"/dags/([^/]+)/tasks", where)):
            return self._tasks(found[1])
        if method == "GET" and (found := re.fullmatch(r"/dags/([^/]+)/dagRuns/([^/]+)", where)):
            run = self.made.runs.get(RunKey(found[1], found[2]))
            if run is not None:
                return _run(run)
        raise Refused(f"no answer to {method} {where}", "", 404)

    def _dags(self, query: Mapping[str, Any], _: object) -> object:
        entries = [
            {
                "dag_id": dag.id, "is_paused": dag.paused, "is_stale": dag.stale, "owners": list(dag.owners),
                "tags": [{"name": tag} for tag in dag.tags], "has_import_errors": dag.broken,
                "timetable_summary": "Asset" if dag.by_assets else "@daily",
            }
            for dag in self.made.dags.values()
        ]  # fmt: skip
        return _page("dags", entries, query)

    def _instances(self, _: object, body: Mapping[str, Any]) -> object:
        found = [
            self._instance(each)
            for each in self.made.instances.values()
            if _passes(body, "state", each.state)
            and _passes(body, "dag_ids", each.key.dag)
            and _passes(body, "dag_run_ids", each.key.run)
            and _since(body, "run_after_gte", self.made.runs[each.key.of].run_after)
            and _since(body, "end_date_gte", each.ended)
        ]
        first = body["page_offset"]
        return {"task_instances": found[first : first + body["page_limit"]], "total_entries": len(found)}

    def _instance(self, each: Instance) -> object:
        run = self.made.runs[each.key.of]
        return {
            "id": each.id, "dag_id": each.key.dag, "dag_run_id": each.key.run, "task_id": each.key.task,
            "map_index": each.key.index, "state": each.state, "try_number": each.tries, "duration": 1.0,
            "operator": each.operator, "pool": each.pool, "pool_slots": each.pool_slots,
            "start_date": _iso(each.started), "end_date": _iso(each.ended), "note": None,
            "rendered_fields": _rendered(each.operator, each.awaited), "run_after": _iso(run.run_after),
            "logical_date": _iso(run.logical_date),
        }  # fmt: skip

    def _runs(self, _: object, body: Mapping[str, Any]) -> object:
        found = [
            _run(run)
            for run in self.made.runs.values()
            if _passes(body, "states", run.state)
            and _passes(body, "dag_ids", run.key.dag)
            and _since(body, "run_after_gte", run.run_after)
        ]
        return {"dag_runs": found, "total_entries": len(found)}

    def _faults(self, query: Mapping[str, Any], _: object) -> object:
        entries = [
            {"key": name, "dag_id": key.dag, "run_id": key.run, "task_id": key.task, "map_index": key.index}
            for key, fault in self.made.faults.items()
            for name in [f"sluicegate_fault:{fault.code}:{fault.subject}"]
            if query["run_after_gte"] <= str(_iso(self.made.runs[key.of].run_after)) <= query["run_after_lte"]
            and name.startswith(query["xcom_key_prefix_pattern"])
        ]
        return _page("xcom_entries", entries, {"offset": 0, **query})

    def _assets(self, query: Mapping[str, Any], _: object) -> object:
        def tasks(of: Mapping[str, list[tuple[str, str]]], name: str) -> object:
            return [{"dag_id": dag, "task_id": task} for dag, task in of.get(name, [])]

        entries = [
            {
                "id": number, "name": name, "scheduled_dags": [],
                "producing_tasks": tasks(self.writes, name), "consuming_tasks": tasks(self.reads, name),
            }
            for number, name in enumerate(dict.fromkeys([*self.reads, *self.writes]))
        ]  # fmt: skip
        return _page("assets", entries, query)

    def _tasks(self, dag: str) -> object:
        return {
            "tasks": [
                {
                    "task_id": task.id, "downstream_task_ids": list(task.after), "trigger_rule": "all_success",
                    "depends_on_past": task.depends_on_past, "wait_for_downstream": task.wait_for_downstream,
                }
                for task in self.made.structures.get(dag, {}).values()
            ]
        }  # fmt: skip


def _page(name: str, entries: list[dict[str, object]], query: Mapping[str, Any]) -> object:
    first = query["offset"]
    return {name: entries[first : first + _PAGE], "total_entries": len(entries)}


def _run(run: Run) -> object:
    return {
        "dag_id": run.key.dag, "dag_run_id": run.key.run, "state": run.state, "run_type": "scheduled", "conf": {},
        "run_after": _iso(run.run_after), "logical_date": _iso(run.logical_date),
        "data_interval_start": _iso(run.start), "data_interval_end": _iso(run.end),
    }  # fmt: skip


def _rendered(operator: str, awaited: Awaited | None) -> object:
    if awaited is None:
        return {}
    if operator == "ExternalTaskSensor":
        ids = list(awaited.tasks) if awaited.tasks else None
        return {"external_dag_id": awaited.dag, "external_task_id": ids[0] if ids else None, "external_task_ids": ids}
    return {
        "awaited_dag": awaited.dag,
        "awaited_task": awaited.tasks[0] if awaited.tasks else None,
        "awaited_dates": awaited.runs.value if awaited.runs is not None else None,
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _passes(body: Mapping[str, Any], name: str, value: object) -> bool:
    return name not in body or value in body[name]


def _since(body: Mapping[str, Any], name: str, value: datetime | None) -> bool:
    return name not in body or (value is not None and value.isoformat() >= body[name])

"""`Site` over Airflow's REST API v2.

Reading the instances of a few runs is a GET a run; of more it is one search, which leaves a row in Airflow's audit
log: it is called before a chunk is reset and when runs have ended, not to poll.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from sluicegate.api.answers import Fields, TaskInstance
from sluicegate.api.client import Client, Query, path
from sluicegate.api.errors import Refused
from sluicegate.api.paging import by_cursor, by_offset, by_search
from sluicegate.recovery.definition import InstanceKey, PlannedRun, RunKey
from sluicegate.recovery.site import Seen
from sluicegate.runtime.marks import RECOVERY_KEY

__all__ = ["RestSite", "last_error"]

_FORBIDDEN, _NOT_FOUND = 403, 404
_FEW = 2
"""So many runs are read by a GET each."""
_FEW_DAGS = 10
"""So many DAGs are read by a GET each; of more, the list of the paused ones is read, a hundred at once."""
_MOST_RUNS = 200
_MOST_ROWS = 5000
"""What one search returns: about 10 MB. Where there are more, its runs are asked for in halves, because a page of what
changes meanwhile may miss some.
"""
_PREFIX = "sluicegate_recovery_"
_DESCRIPTION = "Says that a recovery plan is being carried out, or was."


class RestSite:
    """The Airflow behind `client`; `runs` are those of the plan."""

    def __init__(self, client: Client, runs: Iterable[PlannedRun] = ()) -> None:
        self._client = client
        self._due: dict[RunKey, datetime] = {run.key: run.run_after for run in runs}

    def version(self) -> str:
        return Fields(self._client.get("/version")).text("version")

    # ---- reading ----

    def instances(self, runs: Collection[RunKey]) -> Mapping[InstanceKey, Seen]:
        chosen = sorted(runs)
        if len(chosen) <= _FEW:
            found = [each for run in chosen for each in self._instances_of(run)]
        else:
            parts = [chosen[start : start + _MOST_RUNS] for start in range(0, len(chosen), _MOST_RUNS)]
            found = [each for part in parts for each in self._search(part)]
        return {each.key: each for each in found}

    def resting(self, dags: Collection[str]) -> Collection[str]:
        if len(dags) <= _FEW_DAGS:
            return {dag for dag in dags if self._is_resting(dag)}
        entries = map(Fields, by_offset(self._client, "/dags", "dags", {"paused": "true"}))
        return {each.text("dag_id") for each in entries} & set(dags)

    def _is_resting(self, dag: str) -> bool:
        try:
            found = Fields(self._client.get(path("dags", dag)))
        except Refused as refusal:
            if refusal.status in (_FORBIDDEN, _NOT_FOUND):
                return refusal.status == _NOT_FOUND  # what is forbidden is said when it is reset
            raise
        return bool(found.value("is_paused")) or bool(found.value("is_stale"))

    def active(self, runs: Collection[RunKey]) -> Collection[RunKey]:
        if not runs:
            return ()
        body: dict[str, object] = {"dag_ids": sorted({run.dag for run in runs}), "states": ["queued", "running"]}
        due = [moment for run in runs if (moment := self._due.get(run))]
        if len(due) == len(runs):
            body |= {"run_after_gte": min(due).isoformat(), "run_after_lte": max(due).isoformat()}
        found = map(Fields, by_search(self._client, "/dags/~/dagRuns/list", "dag_runs", body))
        return {RunKey(each.text("dag_id"), each.text("dag_run_id")) for each in found} & set(runs)

    def last_error(self, key: InstanceKey) -> Mapping[str, object]:
        """See the function of that name."""
        return last_error(self._client, key)

    def _instances_of(self, run: RunKey) -> Iterator[Seen]:
        where = path("dags", run.dag, "dagRuns", run.run, "taskInstances")
        try:
            yield from map(_seen, by_cursor(self._client, where, "task_instances", {}))
        except Refused as refusal:
            if refusal.status != _NOT_FOUND:
                raise

    def _search(self, runs: Sequence[RunKey]) -> list[Seen]:
        if len(runs) == 1:
            return list(self._instances_of(runs[0]))
        body = {
            "dag_ids": sorted({run.dag for run in runs}),
            "dag_run_ids": sorted({run.run for run in runs}),
            "page_limit": _MOST_ROWS,
        }
        answer = Fields(self._client.post("/dags/~/dagRuns/~/taskInstances/list", body, repeatable=True))
        entries = answer.entries("task_instances")
        if answer.number("total_entries") > len(entries):
            half = len(runs) // 2
            return [*self._search(runs[:half]), *self._search(runs[half:])]
        wanted = set(runs)
        return [each for each in map(_seen, entries) if each.key.of in wanted]

    # ---- effects ----

    def clear(
        self,
        run: RunKey,
        tasks: Collection[tuple[str, int]],
        note: str,
        *,
        even_running: bool = False,
        latest: bool = False,
    ) -> Collection[tuple[str, int]]:
        body: dict[str, object] = {
            "dag_run_id": run.run,
            "task_ids": [list(each) for each in sorted(tasks)],
            "only_failed": False,
            "dry_run": False,
            "prevent_running_task": not even_running,
            "note": note,
        }
        if latest:  # else the DAG's own setting decides, and Airflow's
            body["run_on_latest_version"] = True
        answer = self._client.post(path("dags", run.dag, "clearTaskInstances"), body)
        found = map(Fields, Fields(answer).entries("task_instances"))
        return {(each.text("task_id"), each.number("map_index")) for each in found}

    def mark(self, key: InstanceKey, state: str, note: str) -> None:
        self._client.patch(_of(key), {"new_state": state, "note": note}, {"map_index": key.index})

    def annotate(self, key: InstanceKey, note: str) -> None:
        query: Query = {"map_index": key.index, "update_mask": "note"}
        self._client.patch(_of(key), {"note": note}, query, repeatable=True)

    def requeue(self, run: RunKey) -> None:
        where = path("dags", run.dag, "dagRuns", run.run)
        try:
            self._client.patch(where, {"state": "queued"}, repeatable=True)
        except Refused as refusal:
            if refusal.status != _NOT_FOUND:
                raise

    def force(self, key: InstanceKey, plan: str) -> None:
        self._client.put(_store(key, RECOVERY_KEY), {"value": {"plan": plan, "force": True}}, {"map_index": key.index})

    def drop_queued_event(self, dag: str, asset_id: int) -> None:
        self._client.delete(path("dags", dag, "assets", str(asset_id), "queuedEvents"))

    # ---- marker ----

    def create_marker(self, name: str, value: str) -> None:
        body = {"key": _PREFIX + name, "value": value, "description": _DESCRIPTION}
        self._client.post("/variables", body)

    def marker(self, name: str) -> str | None:
        answer = self._client.find(path("variables", _PREFIX + name))
        return None if answer is None else Fields(answer).text_or_none("value")

    def markers(self) -> Mapping[str, str]:
        entries = by_offset(self._client, "/variables", "variables", {"variable_key_prefix_pattern": _PREFIX})
        found = map(Fields, entries)
        return {each.text("key").removeprefix(_PREFIX): each.text_or_none("value") or "" for each in found}

    def write_marker(self, name: str, value: str) -> bool:
        key = _PREFIX + name
        try:
            self._client.patch(path("variables", key), {"key": key, "value": value}, repeatable=True)
        except Refused as refusal:
            if refusal.status == _NOT_FOUND:
                return False
            raise
        return True

    def delete_marker(self, name: str) -> None:
        self._client.delete(path("variables", _PREFIX + name))


def _seen(entry: object) -> Seen:
    found = TaskInstance.read(entry)
    key = InstanceKey(found.dag_id, found.run_id, found.task_id, found.map_index)
    return Seen(key, found.id, found.state, found.try_number, found.note)


def _of(key: InstanceKey) -> str:
    return path("dags", key.dag, "dagRuns", key.run, "taskInstances", key.task)


def last_error(client: Client, key: InstanceKey) -> Mapping[str, object]:
    """What a step of ours has left about its last failure; empty where there is nothing."""
    answer = client.find(_store(key, "last_error"), {"map_index": key.index})
    value = {} if answer is None else Fields(answer).value("value")
    return value if isinstance(value, dict) else {}


def _store(key: InstanceKey, name: str) -> str:
    return _of(key) + path("state-store", name)

"""The runs of DAGs, over Airflow's REST API alone: starting them, starting them again, how far they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from sluicegate.local.errors import StackError
from sluicegate.pipeline.keys.model import Pipeline

__all__ = ["Run", "Runs", "TaskState", "wait_until_finished"]

_BACKFILL_TIMEOUT = 90.0
_FINISHED = frozenset({"success", "failed"})


@dataclass(frozen=True)
class Run:
    """One DAG run. `start` is the start of its window, or when it was to run if it has no window."""

    dag_id: str
    run_id: str
    state: str
    start: datetime
    kind: str
    forced: bool

    @property
    def finished(self) -> bool:
        return self.state in _FINISHED


@dataclass(frozen=True)
class TaskState:
    dag_id: str
    run_id: str
    task_id: str
    state: str | None
    try_number: int
    seconds: float | None


class Runs:
    """The runs of some DAGs in one Airflow. Raises `StackError` where that refuses."""

    def __init__(self, api: httpx.Client, dag_ids: Sequence[str]) -> None:
        self._api = api
        self._dag_ids = list(dag_ids)

    def all(self) -> list[Run]:
        body = {"dag_ids": self._dag_ids, "page_limit": 1000}
        found = self._call("POST", "/dags/~/dagRuns/list", json=body)["dag_runs"]
        return [_run(entry) for entry in found]

    def tasks(self) -> list[TaskState]:
        """Every task instance of the DAGs; read by GET, which leaves no row in the audit log."""
        query = {"dag_id": self._dag_ids, "limit": 100}
        return [_task(entry) for entry in self._pages("/dags/~/dagRuns/~/taskInstances", query)]

    def known_dags(self) -> set[str]:
        return {entry["dag_id"] for entry in self._pages("/dags", {"limit": 100})}

    def import_errors(self) -> dict[str, str]:
        """What Airflow could not import: file to message."""
        found = self._call("GET", "/importErrors", params={"limit": 100})["import_errors"]
        return {entry["filename"]: entry["stack_trace"] for entry in found}

    def result(self, run: Run, task_id: str) -> Any:
        """What a task returned, or None where it returned nothing."""
        path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        answer = self._api.get(path, params={"deserialize": "true"})
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        return self._checked(answer)["value"]

    def log_tail(self, task: TaskState, lines: int = 15) -> list[str]:
        """The last lines of a task's log; empty where it has none."""
        path = f"/dags/{task.dag_id}/dagRuns/{task.run_id}/taskInstances/{task.task_id}/logs/{task.try_number}"
        answer = self._api.get(path, headers={"Accept": "application/json"})
        if answer.is_error:
            return []
        content = answer.json().get("content") or []
        events = [entry["event"] if isinstance(entry, dict) else str(entry) for entry in content]
        return [line for event in events for line in event.splitlines()][-lines:]

    def params(self, dag_id: str) -> dict[str, Mapping[str, Any]] | None:
        """The JSON Schemas of a DAG's params, or None where Airflow knows no such DAG."""
        answer = self._api.get(f"/dags/{dag_id}/details")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        params: Mapping[str, Any] = self._checked(answer)["params"] or {}
        return {name: param.get("schema") or {} for name, param in params.items()}

    def trigger(self, dag_id: str, conf: Mapping[str, object]) -> str:
        """Start a run without a window; its id."""
        body = {"logical_date": None, "conf": dict(conf)}
        return str(self._call("POST", f"/dags/{dag_id}/dagRuns", json=body)["dag_run_id"])

    def start_again(self, pipeline: Pipeline, runs: Sequence[Run], *, force: bool) -> None:
        """Clear the runs of one pipeline, so that they run once more with or without `force`.

        A clear carries no params, so a change of `force` goes through a backfill that reprocesses.
        """
        if pipeline.schedule.kind == "cron":
            if force or any(run.forced for run in runs):
                self._backfill(pipeline, runs, {"force": force})
            else:
                self._clear(runs)
            return
        for run in runs:
            if run.kind == "manual":
                self._call("DELETE", f"/dags/{run.dag_id}/dagRuns/{run.run_id}")
        if force:
            self.trigger(pipeline.name, {"force": True})
        else:
            self._clear([run for run in runs if run.kind != "manual"])

    def _clear(self, runs: Sequence[Run]) -> None:
        for run in runs:
            body = {"dry_run": False, "only_failed": False}
            self._call("POST", f"/dags/{run.dag_id}/dagRuns/{run.run_id}/clear", json=body)

    def _backfill(self, pipeline: Pipeline, runs: Sequence[Run], conf: Mapping[str, object]) -> None:
        starts = [run.start for run in runs]
        body = {
            "dag_id": pipeline.name,
            "from_date": min(starts).isoformat(),
            "to_date": max(starts).isoformat(),
            "reprocess_behavior": "completed",
            "dag_run_conf": dict(conf),
        }
        # The scheduler looks twice a minute whether an earlier backfill is over; until then a new one conflicts.
        deadline = time.monotonic() + _BACKFILL_TIMEOUT
        while (answer := self._api.post("/backfills", json=body)).status_code == httpx.codes.CONFLICT:
            if time.monotonic() > deadline:
                raise StackError(
                    f"A backfill of {pipeline.name} still runs.", "Wait for it or cancel it in Airflow, then try again."
                )
            time.sleep(1)
        self._checked(answer)

    def _call(self, method: str, path: str, **kwargs: Any) -> Any:
        return self._checked(self._api.request(method, path, **kwargs))

    @staticmethod
    def _checked(answer: httpx.Response) -> Any:
        if answer.is_error:
            request = f"{answer.request.method} {answer.request.url.path}"
            raise StackError(
                f"Airflow answered {answer.status_code} to {request}: {answer.text[:500]}",
                "The log of the api-server may say why.",
            )
        return answer.json() if answer.content else None

    def _pages(self, path: str, query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        offset = 0
        while True:
            page = self._call("GET", path, params={**query, "offset": offset})
            entries = next(value for value in page.values() if isinstance(value, list))
            yield from entries
            offset += len(entries)
            if not entries or offset >= page["total_entries"]:
                return


def wait_until_finished(
    runs: Runs,
    expected: Mapping[str, int],
    *,
    on_change: Callable[[list[Run], list[TaskState]], None],
    timeout: float,
    only: str | None = None,
    poll: float = 1.0,
) -> list[Run]:
    """Every run, once there are as many finished ones as `expected` (by DAG) and none is under way.

    With `only`, the run of that id is the one that counts.

    :raises TimeoutError: when that takes longer than `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        found = [run for run in runs.all() if only in (None, run.run_id)]
        on_change(found, runs.tasks())
        counts = {name: sum(run.dag_id == name for run in found) for name in expected}
        if all(counts[name] >= count for name, count in expected.items()) and all(r.finished for r in found):
            return found
        if time.monotonic() > deadline:
            open_runs = ", ".join(f"{r.dag_id} {r.start:%Y-%m-%d} ({r.state})" for r in found if not r.finished)
            raise TimeoutError(f"not finished after {timeout:.0f} s: {open_runs or 'no run was made'}")
        time.sleep(poll)


def _run(entry: Mapping[str, Any]) -> Run:
    start = entry["data_interval_start"] or entry["logical_date"] or entry["run_after"]
    return Run(
        dag_id=entry["dag_id"],
        run_id=entry["dag_run_id"],
        state=entry["state"],
        start=datetime.fromisoformat(start).astimezone(UTC),
        kind=entry["run_type"],
        forced=bool((entry["conf"] or {}).get("force")),
    )


def _task(entry: Mapping[str, Any]) -> TaskState:
    return TaskState(
        dag_id=entry["dag_id"],
        run_id=entry["dag_run_id"],
        task_id=entry["task_id"],
        state=entry["state"],
        try_number=entry["try_number"],
        seconds=entry["duration"],
    )

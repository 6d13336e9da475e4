"""The runs of DAGs over the API: starting them, clearing them, how far they are."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sluicegate.api.answers import DagRun, Fields, TaskInstance
from sluicegate.api.client import Client, path
from sluicegate.api.errors import Refused
from sluicegate.api.paging import by_cursor, by_offset, by_search

__all__ = ["Runs"]

_CONFLICT = 409
_BACKFILL_TIMEOUT = 90.0


class Runs:
    """The runs of some DAGs in one Airflow. Every method raises as `Client` does."""

    def __init__(self, client: Client, dag_ids: Sequence[str]) -> None:
        self._client = client
        self._dag_ids = list(dag_ids)

    def all(self) -> list[DagRun]:
        entries = by_search(self._client, "/dags/~/dagRuns/list", "dag_runs", {"dag_ids": self._dag_ids})
        return [DagRun.read(entry) for entry in entries]

    def tasks(self) -> list[TaskInstance]:
        """Every task instance of the DAGs; read by GET, which leaves no row in the audit log."""
        where = "/dags/~/dagRuns/~/taskInstances"
        entries = by_cursor(self._client, where, "task_instances", {"dag_id": self._dag_ids})
        return [TaskInstance.read(entry) for entry in entries]

    def known_dags(self) -> set[str]:
        return {Fields(entry).text("dag_id") for entry in by_offset(self._client, "/dags", "dags", {})}

    def import_errors(self) -> dict[str, str]:
        """What Airflow could not import: file to message."""
        entries = by_offset(self._client, "/importErrors", "import_errors", {})
        found = map(Fields, entries)
        return {each.text("filename"): each.text("stack_trace") for each in found}

    def result(self, run: DagRun, task_id: str, map_index: int = -1) -> object | None:
        """What a task returned, or None where it returned nothing."""
        where = path("dags", run.dag_id, "dagRuns", run.run_id, "taskInstances", task_id, "xcomEntries", "return_value")
        answer = self._client.find(where, {"deserialize": "true", "map_index": map_index})
        return None if answer is None else Fields(answer).value("value")

    def log_tail(self, task: TaskInstance, lines: int = 15) -> list[str]:
        """The last lines of a task's log; empty where it has none."""
        run = path("dags", task.dag_id, "dagRuns", task.run_id)
        where = run + path("taskInstances", task.task_id, "logs", str(task.try_number))
        try:
            answer = self._client.get(where, {"map_index": task.map_index})
        except Refused:
            return []
        content = answer.get("content") if isinstance(answer, dict) else None
        events = [str(entry["event"]) if isinstance(entry, dict) else str(entry) for entry in content or []]
        return [line for event in events for line in event.splitlines()][-lines:]

    def trigger(self, dag_id: str, conf: Mapping[str, object]) -> str:
        """Start a run without a window; its id.

        The id is chosen here: whatever becomes of the answer, there will be one run.
        """
        run_id = f"manual__{datetime.now(UTC).isoformat()}__{secrets.token_hex(4)}"
        body = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf)}
        try:
            self._client.post(path("dags", dag_id, "dagRuns"), body, repeatable=True)
        except Refused as refusal:
            made = refusal.status == _CONFLICT and self._client.find(path("dags", dag_id, "dagRuns", run_id))
            if not made:
                raise
        return run_id

    def clear(self, runs: Sequence[DagRun]) -> None:
        """Let all tasks of these runs run once more."""
        for run in runs:
            body = {"dry_run": False, "only_failed": False}
            self._client.post(path("dags", run.dag_id, "dagRuns", run.run_id, "clear"), body)

    def delete(self, runs: Sequence[DagRun]) -> None:
        for run in runs:
            self._client.delete(path("dags", run.dag_id, "dagRuns", run.run_id))

    def backfill(self, dag_id: str, first: datetime, last: datetime, conf: Mapping[str, object]) -> None:
        """Run every window from `first` to `last` once more, with other params than before.

        The scheduler looks twice a minute whether an earlier backfill is over; until then a new one conflicts, which
        is waited for.
        """
        body = {
            "dag_id": dag_id,
            "from_date": first.isoformat(),
            "to_date": last.isoformat(),
            "reprocess_behavior": "completed",
            "dag_run_conf": dict(conf),
        }
        deadline = time.monotonic() + _BACKFILL_TIMEOUT
        while True:
            try:
                self._client.post("/backfills", body)
            except Refused as refusal:
                if refusal.status != _CONFLICT:
                    raise
                if time.monotonic() > deadline:
                    raise Refused(
                        f"A backfill of {dag_id} still runs.",
                        "Wait for it or cancel it in Airflow, then try again.",
                        refusal.status,
                    ) from refusal
                time.sleep(1)
            else:
                return

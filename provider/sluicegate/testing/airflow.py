"""A running Airflow as a test sees it, over its REST API: what it does with DAGs, runs and tasks, and waiting for that.

Each call is made once: a test wants to see what fails. What has to go on calling uses `sluicegate.api`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import httpx

    from sluicegate.local.stack import Stack

__all__ = ["FINISHED", "RunningAirflow", "rest_of", "wait_until"]

T = TypeVar("T")

FINISHED = frozenset({"success", "failed", "skipped", "upstream_failed"})


def wait_until(ask: Callable[[], T | None], timeout: float, what: str) -> T:
    """The first answer of `ask` that is true. The longer it takes, the more seldom it is asked for: once a second.

    :param timeout: seconds
    :raises TimeoutError: when there was none, with `what` was waited for.
    """
    began = time.monotonic()
    while not (answer := ask()):
        waited = time.monotonic() - began
        if waited >= timeout:
            raise TimeoutError(f"waited {timeout:.0f} s for {what}")
        time.sleep(min(max(0.3, waited / 10), 1.0))
    return answer


@contextlib.contextmanager
def rest_of(stack: Stack) -> Iterator[httpx.Client]:
    """The REST API of an embedded stack, as its admin."""
    import httpx

    with stack.api() as client:
        headers = {"Authorization": f"Bearer {client.token}"}
    with httpx.Client(base_url=f"{stack.airflow_url}/api/v2", headers=headers, trust_env=False, timeout=60) as api:
        yield api


@dataclass(frozen=True)
class RunningAirflow:
    """Asks for what is there, and waits for what is to come.

    :param api: its base URL is that of the API: `http://…/api/v2`
    """

    api: httpx.Client

    def get(self, path: str, **query: Any) -> Any:
        return self.api.get(path, params=query).raise_for_status().json()

    # --- DAGs and runs

    def wait_for_dag(self, dag_id: str) -> None:
        wait_until(lambda: self.api.get(f"/dags/{dag_id}").status_code == 200, 180, f"DAG {dag_id}")

    def import_errors(self) -> dict[str, str]:
        """By file, what Airflow shows of it."""
        found = self.get("/importErrors", limit=100)["import_errors"]
        return {entry["filename"]: entry["stack_trace"] for entry in found}

    def trigger(self, dag_id: str, logical_date: str | None = None, **conf: Any) -> str:
        """Start a run, with `conf` as its params; its id."""
        body = {"logical_date": logical_date, "conf": conf}
        return str(self.api.post(f"/dags/{dag_id}/dagRuns", json=body).raise_for_status().json()["dag_run_id"])

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        body = {"dag_ids": [dag_id]}
        found: list[dict[str, Any]] = (
            self.api.post("/dags/~/dagRuns/list", json=body).raise_for_status().json()["dag_runs"]
        )
        return found

    def first_run(self, dag_id: str, timeout: float = 180) -> str:
        """The id of the first run, once there is one."""
        found = wait_until(lambda: self.runs(dag_id), timeout, f"the first run of {dag_id}")
        return str(found[0]["dag_run_id"])

    def run_of(self, dag_id: str, day: str) -> str:
        """The id of the run whose window begins on `day`."""
        return next(
            str(run["dag_run_id"]) for run in self.runs(dag_id) if (run["data_interval_start"] or "").startswith(day)
        )

    def ended(self, dag_id: str, run_id: str, timeout: float = 300) -> str:
        """The state in which a run ends."""

        def finished() -> str | None:
            state = str(self.get(f"/dags/{dag_id}/dagRuns/{run_id}")["state"])
            return state if state in FINISHED else None

        return wait_until(finished, timeout, f"the run {run_id} of {dag_id} to end")

    def clear(self, dag_id: str, run_id: str, *task_ids: str, downstream: bool = True) -> None:
        # A clear in the moment in which the scheduler ends the run is lost: Airflow then has an ended run with
        # a task that it never looks at.
        with contextlib.suppress(TimeoutError):
            self.ended(dag_id, run_id, timeout=15)
        body = {
            "dry_run": False, "only_failed": False, "dag_run_id": run_id,
            "task_ids": list(task_ids), "include_downstream": downstream,
        }  # fmt: skip
        self.api.post(f"/dags/{dag_id}/clearTaskInstances", json=body).raise_for_status()

    # --- tasks

    def task(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}")
        return found

    def instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """All task instances of a run, each instance of a mapped task for itself."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        found: list[dict[str, Any]] = self.get(path, limit=100)["task_instances"]
        return found

    def states(self, dag_id: str, run_id: str) -> dict[str, list[str | None]]:
        """By task id, the states of its instances."""
        found: dict[str, list[str | None]] = {}
        for task in self.instances(dag_id, run_id):
            found.setdefault(task["task_id"], []).append(task["state"])
        return found

    def wait(self, dag_id: str, run_id: str, task_id: str, timeout: float = 300) -> str:
        """The state in which a task ends."""

        def finished() -> str | None:
            state = self.task(dag_id, run_id, task_id)["state"]
            return state if state in FINISHED else None

        return wait_until(finished, timeout, f"{dag_id}.{task_id} to end")

    def wait_for_all(self, dag_id: str, run_id: str, *task_ids: str, timeout: float = 300) -> None:
        """Until all instances of these tasks have ended, in whatever state."""

        def finished() -> bool:
            seen = self.states(dag_id, run_id)
            return all(state in FINISHED for task in task_ids for state in seen.get(task, [None]))

        wait_until(finished, timeout, f"{', '.join(task_ids)} of {dag_id} to end")

    def wait_for_deferred(self, dag_id: str, run_id: str, task_id: str, timeout: float = 180) -> None:
        """Until a task that is not mapped waits in the triggerer."""
        wait_until(
            lambda: self.states(dag_id, run_id).get(task_id) == ["deferred"], timeout, f"{dag_id}.{task_id} to wait"
        )

    def result(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """What a task has returned."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        return self.get(path, deserialize="true")["value"]

    def fault(self, dag_id: str, run_id: str, task_id: str) -> Mapping[str, Any]:
        """What the task kept of its last error in its state store.

        :raises LookupError: when it kept none, with the end of its log.
        """
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/state-store/last_error"
        answer = self.api.get(path)
        if answer.is_error:
            raise LookupError(f"{answer.text}\n{self.log(dag_id, run_id, task_id)[-4000:]}")
        found: Mapping[str, Any] = answer.json()["value"]
        return found

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int | None = None, *, map_index: int = -1) -> str:
        """The log of a try; of the last one, unless it is given or the task is mapped: then of the first."""
        number = try_number or (1 if map_index >= 0 else self.task(dag_id, run_id, task_id)["try_number"])
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{number}"
        accept = {"Accept": "application/json"}
        answer = self.api.get(path, params={"map_index": map_index}, headers=accept).raise_for_status()
        content = answer.json()["content"]
        return "\n".join(str(entry["event"]) if isinstance(entry, dict) else str(entry) for entry in content)

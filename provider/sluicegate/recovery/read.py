"""Reads a night over Airflow's REST API: in a number of calls that grows with the failures, not with the DAGs.

Of D DAGs, R runs with failures in G groups that can be asked for together (the runs of one night are one group), and F
faults of ours, that is `4 + ceil(D/100) + G + ceil(F/100)` calls: failures, failed runs, pools and the version; one
more where a run has a failure and did not fail, and ceil(A/100) for A assets where assets start a DAG.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime

from sluicegate.api.answers import DagRun, Fields, TaskInstance
from sluicegate.api.client import Client, path
from sluicegate.api.paging import by_offset, by_search
from sluicegate.recovery.answers import instance_of, run_of
from sluicegate.recovery.definition import InstanceKey, RunKey
from sluicegate.recovery.errors import WrongRequest
from sluicegate.recovery.faults_seen import read_faults
from sluicegate.recovery.night import FAILED, UNDER_WAY, Assets, Dag, Instance, Night, Run
from sluicegate.recovery.request import Request

__all__ = [
    "all_instances",
    "read_assets",
    "read_dags",
    "read_night",
    "read_pools",
    "read_runs",
]

_INSTANCES = "/dags/~/dagRuns/~/taskInstances/list"
_RUNS = "/dags/~/dagRuns/list"
_MOST_NAMES = 2000
"""DAGs or runs that one search names: databases bound the parameters of a query."""


def read_night(client: Client, request: Request) -> Night:
    """Everything that failed and matches the filters for runs, with all the instances of those runs.

    :raises WrongRequest: for a pipeline that Airflow does not have
    """
    dags = read_dags(client)
    wanted = _wanted(request, dags)
    _check_runs(client, request, dags)
    found = list(_failures(client, request, wanted))
    keys = {each.key.of for each, _ in found}
    moments = [moment for _, moment in found]
    runs = read_runs(client, keys, moments)
    runs = {key: run for key, run in runs.items() if _in_window(request, run)}
    instances = all_instances(client, runs)
    outside = _outside(client, instances, moments) if request.narrows else {}
    return Night(
        runs=runs,
        instances=instances,
        dags=dags,
        faults=read_faults(client, instances, moments),
        assets=read_assets(client, dags),
        pools=read_pools(client),
        outside=outside,
    )


def read_dags(client: Client) -> dict[str, Dag]:
    """Every DAG, those that Airflow does not find any more included."""
    found = (Fields(each) for each in by_offset(client, "/dags", "dags", {"exclude_stale": "false"}))
    return {
        dag.text("dag_id"): Dag(
            id=dag.text("dag_id"),
            paused=bool(dag.value("is_paused")),
            stale=bool(dag.value("is_stale")),
            owners=tuple(map(str, dag.entries("owners"))),
            tags=tuple(Fields(tag).text("name") for tag in dag.entries("tags")),
            broken=bool(dag.value("has_import_errors")),
            by_assets="Asset" in (dag.text_or_none("timetable_summary") or ""),
        )
        for dag in found
    }


def _wanted(request: Request, dags: Mapping[str, Dag]) -> list[str] | None:
    """The DAGs that the filters leave; None where they leave all."""
    for name in request.pipelines:
        if not any(sign in name for sign in "*?[") and name not in dags:
            raise WrongRequest.unknown(f"Airflow has no pipeline {name}.", name, dags, "A glob matches several: 'fl*'.")
    if not (request.pipelines or request.owners or request.tags or request.runs):
        return None
    asked = {run.dag for run in request.runs}
    return [
        dag.id
        for dag in dags.values()
        if request.names(dag.id)
        and (not request.owners or set(request.owners) & set(dag.owners))
        and (not request.tags or set(request.tags) & set(dag.tags))
        and (not asked or dag.id in asked)
    ]


def _check_runs(client: Client, request: Request, dags: Mapping[str, Dag]) -> None:
    """A run that there is not is a slip of the pen, and no run without failures."""
    for run in request.runs:
        if run.dag not in dags:
            raise WrongRequest.unknown(f"Airflow has no pipeline {run.dag}.", run.dag, dags)
        if client.find(path("dags", run.dag, "dagRuns", run.run)) is None:
            raise WrongRequest(
                f"{run.dag} has no run {run.run}.", "Copy the run's id from its page in Airflow, or give a --window."
            )


def _failures(client: Client, request: Request, wanted: list[str] | None) -> Iterator[tuple[Instance, datetime]]:
    """Each instance that failed, and when its run was due; also what has no state although it had run before: it was
    reset, and once its run has ended the scheduler does not look at it any more.
    """
    states = sorted(FAILED | (UNDER_WAY if request.include_running else frozenset()))
    body: dict[str, object] = {"state": [*states, None]}
    if request.window is not None:
        body["run_after_gte"] = request.window[0].isoformat()  # a run is not due before its window begins
    if request.failed_since is not None and not request.include_running:
        body["end_date_gte"] = request.failed_since.isoformat()
    for dags in [None] if wanted is None else _parts(wanted):
        for entry in by_search(
            client, _INSTANCES, "task_instances", body if dags is None else {**body, "dag_ids": dags}
        ):
            found = instance_of(TaskInstance.read(entry))
            is_new = found.state is None and not found.tries
            if not is_new and (not request.runs or found.key.of in request.runs):
                yield found, Fields(entry).moment("run_after")


def _outside(
    client: Client, instances: Mapping[InstanceKey, Instance], moments: Collection[datetime]
) -> dict[InstanceKey, datetime]:
    """Failures that were not asked for, of DAGs that what was asked for waits for, and of its own earlier runs."""
    awaited = {each.awaited.dag for each in instances.values() if each.awaited is not None}
    found: dict[InstanceKey, datetime] = {}
    for dags in _parts(sorted(awaited | {key.dag for key in instances})):
        body = {"state": sorted(FAILED), "dag_ids": dags, "run_after_lte": max(moments).isoformat()}
        for entry in by_search(client, _INSTANCES, "task_instances", body):
            key = instance_of(TaskInstance.read(entry)).key
            date = Fields(entry).moment_or_none("logical_date")
            if key not in instances and date is not None:
                found[key] = date
    return found


def _in_window(request: Request, run: Run) -> bool:
    if request.window is None:
        return True
    begin = run.start or run.logical_date or run.run_after
    return request.window[0] <= begin < request.window[1]


def read_runs(client: Client, keys: Collection[RunKey], moments: Collection[datetime]) -> dict[RunKey, Run]:
    """The runs of these keys; failed ones first, because most of those that are due in between are not asked for.

    :param moments: when they were due
    """
    found: dict[RunKey, Run] = {}
    for states in (["failed"], ["success", "running", "queued"]):
        missing = sorted({key.dag for key in keys if key not in found})
        for dags in _parts(missing):
            body = {
                "dag_ids": dags,
                "states": states,
                "run_after_gte": min(moments).isoformat(),
                "run_after_lte": max(moments).isoformat(),
            }
            for entry in by_search(client, _RUNS, "dag_runs", body):
                run = run_of(DagRun.read(entry))
                if run.key in keys:
                    found[run.key] = run
    return found


def all_instances(client: Client, runs: Collection[RunKey]) -> dict[InstanceKey, Instance]:
    """Every instance of these runs."""
    keys = set(runs)
    found: dict[InstanceKey, Instance] = {}
    for dags, ids in products(keys):
        body = {"dag_ids": dags, "dag_run_ids": ids}
        for entry in by_search(client, _INSTANCES, "task_instances", body):
            instance = instance_of(TaskInstance.read(entry))
            if instance.key.of in keys:
                found[instance.key] = instance
    return found


def products(keys: Iterable[RunKey]) -> list[tuple[list[str], list[str]]]:
    """The runs as few pairs of DAGs and run ids, each of which means every one of its run ids in every one of its DAGs.

    In a night the DAGs that failed have the same run id; over many days one DAG has many.
    """
    by_run: dict[str, set[str]] = {}
    by_dag: dict[str, set[str]] = {}
    for key in keys:
        by_run.setdefault(key.run, set()).add(key.dag)
        by_dag.setdefault(key.dag, set()).add(key.run)
    pairs = [(dags, runs) for dags, runs in _joined(by_run)]
    other = [(dags, runs) for runs, dags in _joined(by_dag)]
    best = min(pairs, other, key=len)
    return [
        (dag_part, run_part)
        for dags, runs in best
        for dag_part in _parts(sorted(dags))
        for run_part in _parts(sorted(runs))
    ]


def _joined(members: Mapping[str, set[str]]) -> list[tuple[set[str], set[str]]]:
    """Those with the same members together: the members, and who has them."""
    found: dict[frozenset[str], set[str]] = {}
    for name, each in members.items():
        found.setdefault(frozenset(each), set()).add(name)
    return [(set(each), names) for each, names in found.items()]


def _parts(names: list[str]) -> Iterator[list[str]]:
    for first in range(0, len(names), _MOST_NAMES):
        yield names[first : first + _MOST_NAMES]


def read_assets(client: Client, dags: Mapping[str, Dag]) -> Assets:
    """The assets that start DAGs; asked for only where there are such DAGs."""
    if not any(dag.by_assets for dag in dags.values()):
        return Assets()
    emitted: dict[tuple[str, str], list[int]] = {}
    starts: dict[int, tuple[str, ...]] = {}
    names: dict[int, str] = {}
    for asset in map(Fields, by_offset(client, "/assets", "assets", {})):
        started = tuple(Fields(each).text("dag_id") for each in asset.entries("scheduled_dags"))
        if not started:
            continue
        number = asset.number("id")
        starts[number], names[number] = started, asset.text("name")
        for task in map(Fields, asset.entries("producing_tasks")):
            emitted.setdefault((task.text("dag_id"), task.text("task_id")), []).append(number)
    return Assets({task: tuple(ids) for task, ids in emitted.items()}, starts, names)


def read_pools(client: Client) -> dict[str, int]:
    found = map(Fields, by_offset(client, "/pools", "pools", {}))
    slots = {pool.text("name"): pool.number("slots") for pool in found}
    return {name: number for name, number in slots.items() if number >= 0}

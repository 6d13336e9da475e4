"""The data was wrong: what has read it runs again, in order, whether or not it succeeded."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase

from sluicegate.api.answers import DagRun, Fields
from sluicegate.api.client import Client
from sluicegate.api.paging import by_offset, by_search
from sluicegate.graph.order import reached
from sluicegate.recovery.answers import run_of
from sluicegate.recovery.chosen import Choice, Chosen, by_run, task_order, with_setups_and_teardowns
from sluicegate.recovery.definition import EdgeKind, InstanceKey, RunKey
from sluicegate.recovery.errors import WrongRequest
from sluicegate.recovery.night import FAILED, OURS, UNDER_WAY, Details, Instance, Night, Run
from sluicegate.recovery.read import all_instances, read_assets, read_dags, read_pools
from sluicegate.recovery.relations import Link
from sluicegate.recovery.request import Request

__all__ = ["Lineage", "Restated", "read_lineage", "restate"]

_REPEATABLE = frozenset({"load", "fetch", "spark", "transform"})
"""Steps that can be repeated: what they write is replaced or merged. Others may have effects outside."""

TaskName = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Lineage:
    """By dataset (`flights.raw`), the tasks that write and those that read it, each as a DAG and a task id."""

    writers: Mapping[str, tuple[TaskName, ...]]
    readers: Mapping[str, tuple[TaskName, ...]]

    def written_by(self, task: TaskName) -> Iterator[str]:
        return (name for name, tasks in self.writers.items() if task in tasks)


@dataclass(frozen=True, slots=True)
class Restated:
    """What is to run again, the night that has it, and the order that its datasets give."""

    chosen: Chosen
    night: Night
    links: Sequence[Link]


@dataclass
class _Walk:
    """From what is wrong to all that read it: tasks of runs, each once."""

    client: Client
    lineage: Lineage
    details: Details
    downstream: bool
    since: datetime
    runs: dict[RunKey, Run] = field(default_factory=dict)
    runs_of: dict[str, list[Run]] = field(default_factory=dict)
    found: dict[InstanceKey, str] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    windowless: set[str] = field(default_factory=set)
    """Readers with runs that have no window: which of them have read it is not known."""
    ahead: list[tuple[InstanceKey, Run]] = field(default_factory=list)
    after: dict[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)

    def readers(self, dataset: str, run: Run, writer: InstanceKey | None) -> None:
        """Add the tasks that read what was written into `dataset` in `run`."""
        for dag, task in self.lineage.readers.get(dataset, ()):
            for reading in [run] if dag == run.key.dag else self._reading(dag, run):
                key = InstanceKey(dag, reading.key.run, task)
                if writer is not None and writer != key:
                    self.links.append(Link(writer, key, EdgeKind.DATASET, f"{dag}.{task} reads {dataset}"))
                self.add(key, reading, f"it read {dataset}")

    def add(self, key: InstanceKey, run: Run, why: str) -> None:
        if key in self.found:
            return
        self.found[key] = why
        self.runs[run.key] = run
        if self.downstream:
            self.ahead.append((key, run))

    def go_on(self) -> None:
        """To the end: what reads the outcome of what was found, and what comes after it in its run."""
        while self.ahead:
            key, run = self.ahead.pop()
            for dataset in self.lineage.written_by((key.dag, key.task)):
                self.readers(dataset, run, key)
            if key.dag not in self.after:
                self.after[key.dag] = task_order(self.details.tasks(key.dag))
            for after in self.after[key.dag].get(key.task, ()):
                self.add(InstanceKey(key.dag, key.run, after), run, f"it comes after {key.task}")

    def _reading(self, dag: str, run: Run) -> list[Run]:
        """The runs of another DAG in whose windows the window of `run` ends."""
        end = run.end or run.logical_date
        every = self.all_runs(dag)
        if end is None or any(each.start is None or each.end is None for each in every):
            self.windowless.add(dag)
        return [
            each
            for each in every
            if end is not None and each.start is not None and each.end is not None and each.start < end <= each.end
        ]

    def all_runs(self, dag: str) -> list[Run]:
        """The runs of a DAG that are due after what is restated began."""
        if dag not in self.runs_of:
            body = {"dag_ids": [dag], "run_after_gte": self.since.isoformat()}
            entries = by_search(self.client, "/dags/~/dagRuns/list", "dag_runs", body)
            self.runs_of[dag] = [run_of(DagRun.read(entry)) for entry in entries]
        return self.runs_of[dag]


def read_lineage(client: Client) -> Lineage:
    """What the tasks of all DAGs read and write, as Airflow lists it with its assets."""
    writers: dict[str, tuple[TaskName, ...]] = {}
    readers: dict[str, tuple[TaskName, ...]] = {}
    for asset in map(Fields, by_offset(client, "/assets", "assets", {})):
        name = asset.text("name")
        writers[name] = tuple(_names(asset.entries("producing_tasks")))
        readers[name] = tuple(_names(asset.entries("consuming_tasks")))
    return Lineage(writers, readers)


def _names(entries: Sequence[object]) -> Iterator[TaskName]:
    for each in map(Fields, entries):
        yield each.text("dag_id"), each.text("task_id")


def restate(client: Client, request: Request, details: Details) -> Restated:
    """What has read what the runs in `request.window` wrote into the dataset `request.source`; for a pipeline, what it
    did itself in those runs. With `downstream` also what read the outcome, and so on.

    :raises WrongRequest: for an unknown dataset or pipeline, and without a window
    """
    if request.source is None or request.window is None:
        raise WrongRequest("--from needs a window.", "Write --window 2026-01-01..2026-01-07, or one day.")
    dags, lineage = read_dags(client), read_lineage(client)
    start, end = request.window
    walk = _Walk(client, lineage, details, request.downstream, since=start)
    pipeline, _, dataset = request.source.partition(".")
    if pipeline not in dags or (dataset and request.source not in lineage.readers):
        raise _unknown(request.source, pipeline, list(dags), list(lineage.readers))
    for run in walk.all_runs(pipeline):
        if not start <= (run.start or run.logical_date or run.run_after) < end:
            continue
        if dataset:
            walk.readers(request.source, run, None)
        else:
            for name in details.tasks(pipeline):
                walk.add(InstanceKey(pipeline, run.key.run, name), run, f"the runs of {pipeline} are done again")
    walk.go_on()
    instances = all_instances(client, walk.runs)
    night = Night(walk.runs, instances, dags, assets=read_assets(client, dags), pools=read_pools(client))
    chosen = _chosen(walk.found, instances, request)
    _complete(chosen, night, details)
    chosen.warnings += [
        f"{dag} has runs without a window, which are left alone: whether they have read it is not known"
        for dag in sorted(walk.windowless)
    ]
    chosen.warnings += _stale(walk.links, chosen, instances)
    return Restated(chosen, night, walk.links)


def _stale(links: Sequence[Link], chosen: Chosen, instances: Mapping[InstanceKey, Instance]) -> list[str]:
    """What runs again with the old outcome of a step that does not."""
    again = {key.whole for key in chosen.choices}
    ran = {key.whole for key, each in instances.items() if each.state not in (None, "skipped", "removed")}
    readers: dict[TaskName, set[str]] = {}
    for link in links:
        if link.before in ran and link.before not in again and link.after in again:
            readers.setdefault((link.before.dag, link.before.task), set()).add(f"{link.after.dag}.{link.after.task}")
    return [
        f"{dag}.{task} is left alone: {', '.join(sorted(names))} would run again with its old outcome"
        for (dag, task), names in sorted(readers.items())
    ]


def _unknown(source: str, pipeline: str, dags: Collection[str], datasets: Collection[str]) -> WrongRequest:
    if pipeline not in dags:
        return WrongRequest.unknown(f"Airflow has no pipeline {pipeline}.", pipeline, dags)
    known = sorted(name for name in datasets if name.startswith(f"{pipeline}."))
    choices = f"Datasets of {pipeline}: {', '.join(known) or 'none'}."
    return WrongRequest.unknown(f"No task reads a dataset {source}.", source, known, choices)


def _chosen(found: Mapping[InstanceKey, str], instances: Mapping[InstanceKey, Instance], request: Request) -> Chosen:
    chosen = Chosen()
    said: set[tuple[str, str]] = set()
    for key, each in instances.items():
        why = found.get(key.whole)
        if why is None or each.kind == "wait" or each.state in (None, "skipped", "removed"):
            continue
        named = any(fnmatchcase(f"{key.dag}.{key.task}", glob) for glob in request.include)
        if each.kind not in _REPEATABLE and not named:
            if (key.dag, key.task) not in said:
                kind = f"`{each.kind}`" if each.kind else f"`operator` ({each.operator})"
                said.add((key.dag, key.task))
                chosen.leave(key, f"a {kind} step may have effects outside: --include {key.dag}.{key.task} runs it too")
            continue
        if each.state in UNDER_WAY and not request.include_running:
            chosen.leave_under_way(each)
            continue
        chosen.add(Choice(each, why, root=True, force=each.operator in OURS))
    return chosen


def _complete(chosen: Chosen, night: Night, details: Details) -> None:
    """What is chosen of a run needs what failed before it there, and its setups and teardowns."""
    for run, keys in by_run(night.instances).items():
        if not chosen.of(run):
            continue
        tasks = details.tasks(run.dag)
        instances = [night.instances[key] for key in keys]
        after = task_order(tasks)
        for each in instances:
            if each.state not in FAILED or each.key in chosen.choices:
                continue
            behind = reached(after, [each.key.task])
            waiting = [key for key in chosen.of(run) if key.task in behind]
            if waiting and each.kind == "wait":
                chosen.add(Choice(each, f"it failed, and {waiting[0].task} comes after it"))
                continue
            for key in waiting:
                chosen.leave(key, f"{each.key.task}, before it, is {each.state}: recover that first, without --from")
        with_setups_and_teardowns(chosen, instances, tasks)

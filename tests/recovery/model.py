"""A model of Airflow behind `Site`, as far as recovery sees it, and the schedules in which it is tried.

A `Scenario` is plain data: it can be written as JSON, and built and replayed in a real Airflow.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from sluicegate.api.errors import NotReachable, Refused
from sluicegate.recovery.definition import (
    Action,
    Edge,
    EdgeKind,
    InstanceKey,
    Plan,
    PlannedInstance,
    PlannedRun,
    QueuedEvent,
    RunKey,
    Server,
)
from sluicegate.recovery.site import Seen

MOMENT = datetime(2026, 11, 28, 2, tzinfo=UTC)
URL, VERSION = "http://127.0.0.1:8080", "3.3.2"
_LATEST = 40.0
"""Seconds after which an operator must have seen what somebody else did: a late request, and some calls before it."""
GOOD, BAD = ("success", "skipped"), ("failed", "upstream_failed")


@dataclass(frozen=True)
class TaskModel:
    """A task of a run. `after` are tasks of its run; `awaits` are tasks of other runs, as `dag run task`.

    With `is_sensor` it succeeds once these have succeeded, and fails after a while. Any other task relies on them
    without looking. `fails` more tries will fail; `retries` of them are tried again by Airflow.
    """

    name: str
    after: tuple[str, ...] = ()
    awaits: tuple[tuple[str, str, str], ...] = ()
    is_sensor: bool = False
    state: str | None = "success"
    fails: int = 0
    retries: int = 0
    mark: bool = False
    """The plan marks it success instead of running it again."""


@dataclass(frozen=True)
class RunModel:
    dag: str
    run: str
    tasks: tuple[TaskModel, ...]


@dataclass(frozen=True)
class Scenario:
    """What is there in the morning."""

    runs: tuple[RunModel, ...]
    events: tuple[tuple[str, int, int], ...] = ()
    """Queued asset events: DAG, asset, wave after which they are to go."""
    ending: tuple[tuple[str, str], ...] = ()
    """Runs that the scheduler is about to end: a clear in this moment is lost."""
    forbidden: tuple[str, ...] = ()
    """DAGs whose tasks the operators are not permitted to reset."""

    def text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> Scenario:
        found = json.loads(text)
        runs = [
            RunModel(
                one["dag"],
                one["run"],
                tuple(
                    TaskModel(**{**t, "after": tuple(t["after"]), "awaits": tuple(map(tuple, t["awaits"]))})
                    for t in one["tasks"]
                ),
            )
            for one in found["runs"]
        ]
        return cls(
            tuple(runs),
            tuple(map(tuple, found["events"])),
            tuple(map(tuple, found["ending"])),
            tuple(found["forbidden"]),
        )


def plan_of(scenario: Scenario, airflow: AirflowModel, *, id_: str = "rp-model", dags: Collection[str] = ()) -> Plan:
    """What a planner would make of it: everything that is not well, in waves of least number."""
    places: dict[InstanceKey, int] = {}
    tasks: list[tuple[RunModel, TaskModel]] = []
    for run in scenario.runs:
        for task in run.tasks:
            if task.state not in GOOD and (not dags or run.dag in dags):
                places[InstanceKey(run.dag, run.run, task.name)] = len(tasks)
                tasks.append((run, task))
    edges: list[Edge] = []
    for place, (run, task) in enumerate(tasks):
        for name in task.after:
            above = places.get(InstanceKey(run.dag, run.run, name))
            if above is not None:
                edges.append(Edge(above, place, EdgeKind.TASK, "in its run"))
        for awaited in task.awaits:
            kind = EdgeKind.SENSOR if task.is_sensor else EdgeKind.PAST if awaited[0] == run.dag else EdgeKind.DATASET
            above = places.get(InstanceKey(*awaited))
            if above is not None:
                edges.append(Edge(above, place, kind, "reads it"))
    waves = _waves(len(tasks), edges)
    instances = []
    for place, (run, task) in enumerate(tasks):
        key = InstanceKey(run.dag, run.run, task.name)
        instances.append(
            PlannedInstance(
                key.dag, key.run, key.task, -1, airflow.cells[key].id, task.state, 1, waves[place], "it failed",
                cause=0 if task.state == "failed" else None, action=Action.MARK_SUCCESS if task.mark else Action.CLEAR,
            )
        )  # fmt: skip
    last = max(waves, default=0)
    return Plan(
        id=id_, created=MOMENT, created_by="ada", server=Server(URL, VERSION), request={},
        runs=tuple(PlannedRun(r.dag, r.run, "failed", MOMENT) for r in scenario.runs if not dags or r.dag in dags),
        instances=tuple(instances), edges=tuple(edges),
        queued_events=tuple(QueuedEvent(d, a, f"asset {a}", min(w, last)) for d, a, w in scenario.events if instances),
    )  # fmt: skip


def _waves(count: int, edges: Iterable[Edge]) -> list[int]:
    waves, edges = [0] * count, list(edges)
    for _ in range(count):
        for edge in edges:
            waves[edge.after] = max(waves[edge.after], waves[edge.before] + (edge.kind is not EdgeKind.TASK))
    return waves


@dataclass
class Cell:
    """A task instance."""

    key: InstanceKey
    task: TaskModel
    id: str
    state: str | None
    note: str = ""
    tries: int = 1
    left: int = 0
    """Tries that Airflow has left."""
    fails: int = 0
    patience: int = 30
    """For a sensor: how often it still looks."""


@dataclass
class Effect:
    """Something that an operator did: when it came about in Airflow, by whom, to what."""

    at: float
    by: str
    what: str
    keys: tuple[InstanceKey, ...]
    dag: str = ""


@dataclass
class AirflowModel:
    """Task instances, runs, Variables. `step` does one thing of the scheduler; nothing else moves."""

    scenario: Scenario
    random: random.Random
    cells: dict[InstanceKey, Cell] = field(default_factory=dict)
    runs: dict[RunKey, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    events: set[tuple[str, int]] = field(default_factory=set)
    time: float = 0.0
    late: list[tuple[float, Any]] = field(default_factory=list)
    """Requests whose connection broke and on which the server still works: when they are done, and what."""
    effects: list[Effect] = field(default_factory=list)
    touched: dict[InstanceKey, float] = field(default_factory=dict)
    """What somebody else reset or marked, and when last."""
    succeeded: set[InstanceKey] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    ending: dict[RunKey, str] = field(default_factory=dict)
    """Runs whose end the scheduler has decided and not yet written."""
    edges: dict[str, set[tuple[InstanceKey, InstanceKey]]] = field(default_factory=dict)
    """By operator, and between runs, what must have succeeded before what is reset by the operator's plan."""

    def __post_init__(self) -> None:
        self.of: dict[RunKey, list[Cell]] = defaultdict(list)
        for run in self.scenario.runs:
            for task in run.tasks:
                key = InstanceKey(run.dag, run.run, task.name)
                cell = Cell(key, task, self.new_id(), task.state, fails=task.fails, left=task.retries)
                self.cells[key] = cell
                self.of[key.of].append(cell)
            states = {task.state for task in run.tasks}
            self.runs[RunKey(run.dag, run.run)] = "failed" if states & set(BAD) else "success"
        self.morning = {key: (cell.id, cell.state) for key, cell in self.cells.items()}
        self.events = {(dag, asset) for dag, asset, _ in self.scenario.events}
        self.ending = {RunKey(*pair): "failed" for pair in self.scenario.ending}
        for run_key in self.ending:
            self.runs[run_key] = "running"
        self.runs_with_work: set[RunKey] = set(self.ending)

    def new_id(self) -> str:
        return f"{self.random.getrandbits(48):012x}"

    # ---- what a request does ----

    def clear(self, by: str, run: RunKey, tasks: Collection[tuple[str, int]], note: str) -> list[tuple[str, int]]:
        cells = [cell for cell in self.of[run] if (cell.key.task, cell.key.index) in tasks]
        if any(cell.state == "running" for cell in cells):
            raise Refused("AirflowClearRunningTaskException", "", 409)
        if by:
            self._permit(run.dag)
            self._check_order(by, cells)
            self.effects.append(Effect(self.time, by, "clear", tuple(cell.key for cell in cells), run.dag))
        else:
            self.touched.update((cell.key, self.time) for cell in cells)
        for cell in cells:
            self._reset(cell)
            if note:
                cell.note = note
        self._wake(run)
        return [(cell.key.task, cell.key.index) for cell in cells]

    def mark(self, by: str, key: InstanceKey, state: str, note: str) -> None:
        cell = self.cells[key]
        if cell.state == state:
            raise Refused(f"Task id {key.task} is already in {state} state", "", 409)
        if by:
            self._permit(key.dag)
            self._check_order(by, [cell])
            self.effects.append(Effect(self.time, by, "mark", (key,), key.dag))
        else:
            self.touched[key] = self.time
        cell.state, cell.note = state, note or cell.note
        if state in GOOD:
            self.succeeded.add(key)
        below = [each for each in self._below(cell) if each.state in BAD]
        for each in below:
            self._reset(each)
            if not by:
                self.touched[each.key] = self.time
        if below:
            self._wake(key.of)

    def requeue(self, run: RunKey) -> None:
        self._wake(run)

    def _permit(self, dag: str) -> None:
        if dag in self.scenario.forbidden:
            raise Refused("Forbidden", "", 403)

    def _reset(self, cell: Cell) -> None:
        cell.id, cell.state, cell.left, cell.patience = self.new_id(), None, cell.task.retries, 30

    def _wake(self, run: RunKey) -> None:
        if self.runs[run] in ("success", "failed"):
            self.runs[run] = "queued"
        self.runs_with_work.add(run)

    def _below(self, cell: Cell) -> list[Cell]:
        found: list[Cell] = []
        names = {cell.key.task}
        for each in self.of[cell.key.of]:  # in topological order
            if names & set(each.task.after):
                names.add(each.key.task)
                found.append(each)
        return found

    def _check_order(self, by: str, cells: Iterable[Cell]) -> None:
        for cell in cells:
            if (cell.id, cell.state) != self.morning[cell.key] and self.time - self.touched.get(
                cell.key, self.time
            ) > _LATEST:
                self.wrong.append(f"{cell.key} was reset though somebody else had been there")
            for before, after in self.edges.get(by.partition("#")[0], ()):
                if after == cell.key and before not in self.succeeded and self.cells[before].state != "success":
                    self.wrong.append(f"{after} was reset before {before} had succeeded")

    # ---- what the scheduler does ----

    def step(self) -> bool:
        """One thing in one run; whether there was anything to do."""
        if not self.runs_with_work:
            return False
        run = self.random.choice(sorted(self.runs_with_work))
        if run in self.ending:  # a clear that came after the decision is lost
            self.runs[run] = self.ending.pop(run)
            self.runs_with_work.discard(run)
            return True
        if self.runs[run] == "queued":
            self.runs[run] = "running"
            return True
        cells = self.of[run]
        moved = [cell for cell in cells if cell.state not in (*GOOD, *BAD)]
        if not moved:
            self.ending[run] = "failed" if any(cell.state in BAD for cell in cells) else "success"
            return True
        self._move(self.random.choice(moved))
        return True

    def _move(self, cell: Cell) -> None:
        if cell.state in (None, "up_for_retry"):
            above = [self.cells[InstanceKey(*_pair(cell.key), name)].state for name in cell.task.after]
            if any(state in BAD for state in above):
                cell.state = "upstream_failed"
            elif all(state in GOOD for state in above):
                cell.state = "queued"
        elif cell.state == "queued":
            cell.state = "running"
            cell.tries += 1
            if cell.key in self.succeeded and cell.key not in self.touched:
                self.wrong.append(f"{cell.key} runs once more, though it had succeeded")
        else:
            self._end(cell)

    def _end(self, cell: Cell) -> None:
        waits = cell.task.is_sensor and any(self.cells[InstanceKey(*a)].state not in GOOD for a in cell.task.awaits)
        if waits and cell.patience:
            cell.patience -= 1
        elif waits or cell.fails:
            cell.fails = max(0, cell.fails - 1)
            if cell.left and not waits:
                cell.left -= 1
                cell.state, cell.id = "up_for_retry", self.new_id()
            else:
                cell.state = "failed"
        else:
            cell.state = "success"
            self.succeeded.add(cell.key)

    def land(self) -> None:
        """Do the late requests whose time has come."""
        due = [do for at, do in self.late if at <= self.time]
        self.late = [(at, do) for at, do in self.late if at > self.time]
        for do in due:
            with suppress(Refused):
                do()


def _pair(key: InstanceKey) -> tuple[str, str]:
    return key.dag, key.run


class Turn(Protocol):
    """Gives way to all others before and after each request, and says what becomes of the request."""

    def before(self, what: str) -> str:
        """`ok`; `error` (a 500 without the effect), `error after` (with it); `lost` (no answer, with the effect),
        `late` (no answer, the effect comes later).
        """
        ...

    def after(self) -> None: ...


class ModelSite:
    """One operator's `Site`."""

    def __init__(self, airflow: AirflowModel, by: str, turn: Turn) -> None:
        self.airflow = airflow
        self.by = by
        self.turn = turn
        self.settle = 30.0

    def _request(self, what: str, do: Any) -> Any:
        fate = self.turn.before(what)
        if fate == "error":
            raise Refused("500", "", 500)
        if fate == "late":
            self.airflow.late.append((self.airflow.time + self.airflow.random.uniform(0.1, 0.9 * self.settle), do))
            raise NotReachable("late", "")
        answer = do()
        self.turn.after()
        if fate == "lost":
            raise NotReachable("lost", "")
        if fate == "error after":
            raise Refused("500", "", 500)
        return answer

    def version(self) -> str:
        return VERSION

    def instances(self, runs: Collection[RunKey]) -> Mapping[InstanceKey, Seen]:
        def read() -> dict[InstanceKey, Seen]:
            cells = [cell for run in runs for cell in self.airflow.of.get(run, ())]
            return {cell.key: Seen(cell.key, cell.id, cell.state, cell.tries, cell.note) for cell in cells}

        found: dict[InstanceKey, Seen] = self._request("read", read)
        return found

    def resting(self, dags: Collection[str]) -> Collection[str]:
        found: set[str] = self._request("read", lambda: set[str]())
        return found

    def active(self, runs: Collection[RunKey]) -> Collection[RunKey]:
        found: set[RunKey] = self._request(
            "read", lambda: {run for run in runs if self.airflow.runs[run] in ("queued", "running")}
        )
        return found

    def clear(
        self,
        run: RunKey,
        tasks: Collection[tuple[str, int]],
        note: str,
        *,
        even_running: bool = False,
        latest: bool = False,
    ) -> Collection[tuple[str, int]]:
        del even_running, latest
        found: list[tuple[str, int]] = self._request(
            "clear", lambda: self.airflow.clear(self.by, run, set(tasks), note)
        )
        return found

    def mark(self, key: InstanceKey, state: str, note: str) -> None:
        self._request("mark", lambda: self.airflow.mark(self.by, key, state, note))

    def annotate(self, key: InstanceKey, note: str) -> None:
        self._request("note", lambda: setattr(self.airflow.cells[key], "note", note))

    def requeue(self, run: RunKey) -> None:
        self._request("requeue", lambda: self.airflow.requeue(run))

    def force(self, key: InstanceKey, plan: str) -> None:
        self._request("force", lambda: None)

    def drop_queued_event(self, dag: str, asset_id: int) -> None:
        def drop() -> None:
            self.airflow.effects.append(Effect(self.airflow.time, self.by, "drop", (), dag))
            self.airflow.events.discard((dag, asset_id))

        self._request("drop", drop)

    def create_marker(self, name: str, value: str) -> None:
        self._request("marker", lambda: self.airflow.variables.__setitem__(name, value))

    def marker(self, name: str) -> str | None:
        found: str | None = self._request("read", lambda: self.airflow.variables.get(name))
        return found

    def markers(self) -> Mapping[str, str]:
        found: dict[str, str] = self._request("read", lambda: dict(self.airflow.variables))
        return found

    def write_marker(self, name: str, value: str) -> bool:
        def write() -> bool:
            if name not in self.airflow.variables:
                return False
            self.airflow.variables[name] = value
            return True

        found: bool = self._request("marker", write)
        return found

    def delete_marker(self, name: str) -> None:
        self._request("marker", lambda: self.airflow.variables.pop(name, None))

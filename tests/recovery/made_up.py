"""Nights made by hand: runs whose tasks are in given states, without an Airflow."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from sluicegate.graph.awaited import AwaitedRuns
from sluicegate.recovery.build import build
from sluicegate.recovery.definition import InstanceKey, Plan, RunKey, Server
from sluicegate.recovery.night import (
    Assets,
    Awaited,
    Dag,
    Emitted,
    FaultSeen,
    Instance,
    Night,
    Run,
    Task,
)
from sluicegate.recovery.request import Request

DAY = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 1, 10, 2, tzinfo=UTC)
SERVER = Server("http://airflow.test", "3.3.2")


@dataclass
class MadeUp:
    """A night that grows line by line, and the answers to what a plan asks besides."""

    runs: dict[RunKey, Run] = field(default_factory=dict)
    instances: dict[InstanceKey, Instance] = field(default_factory=dict)
    dags: dict[str, Dag] = field(default_factory=dict)
    faults: dict[InstanceKey, FaultSeen] = field(default_factory=dict)
    assets: Assets = field(default_factory=Assets)
    pools: dict[str, int] = field(default_factory=lambda: {"default_pool": 128})
    outside: dict[InstanceKey, datetime] = field(default_factory=dict)
    structures: dict[str, Mapping[str, Task]] = field(default_factory=dict)
    children: dict[InstanceKey, RunKey] = field(default_factory=dict)
    others: dict[RunKey, tuple[Run, list[Instance]]] = field(default_factory=dict)
    events: dict[RunKey, list[Emitted]] = field(default_factory=dict)
    needs: dict[str, frozenset[int]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def run(self, dag: str, day: int = 1, *, state: str = "failed", **tasks: str | None) -> RunKey:
        """A run of a day; each keyword is a task: its state, then its operator, as `failed LoadOperator`."""
        key = RunKey(dag, f"scheduled__{day:02}")
        start = DAY + timedelta(days=day - 1)
        self.dags.setdefault(dag, Dag(dag))
        self.runs[key] = Run(key, state, start + timedelta(days=1), start, start, start + timedelta(days=1))
        for number, (task, words) in enumerate(tasks.items()):
            said, _, operator = (words or "").partition(" ")
            ran = said in ("failed", "success")
            began = start + timedelta(days=1, minutes=10 * number)
            self.put(
                Instance(
                    InstanceKey(dag, key.run, task),
                    id=f"{dag}-{day}-{task}",
                    state=said or None,
                    tries=int(ran),
                    operator=operator or "BashOperator",
                    started=began if ran else None,
                    ended=began + timedelta(minutes=5) if ran else None,
                )
            )
        return key

    def put(self, instance: Instance) -> None:
        self.instances[instance.key] = instance

    def mapped(self, run: RunKey, task: str, *states: str) -> None:
        for index, state in enumerate(states):
            key = InstanceKey(run.dag, run.run, task, index)
            self.put(Instance(key, f"{key}", state, 1, "BashOperator"))

    def waits(self, run: RunKey, task: str, dag: str, *tasks: str, days: Sequence[int] | None = (1,)) -> None:
        """The sensor `task` of `run` has waited for these tasks of another DAG, on those days."""
        dates = None if days is None else AwaitedRuns(tuple(DAY + timedelta(days=day - 1) for day in days))
        key = InstanceKey(run.dag, run.run, task)
        self.put(replace(self.instances[key], awaited=Awaited(dag, tasks or None, dates)))

    def fault(self, run: RunKey, task: str, code: str, subject: str = "", kind: str = "data") -> None:
        self.faults[InstanceKey(run.dag, run.run, task)] = FaultSeen(code, kind, subject)

    def structure(self, dag: str, *tasks: Task) -> None:
        self.structures[dag] = {task.id: task for task in tasks}

    def chain(self, dag: str, *names: str, **options: bool) -> None:
        """The DAG's tasks, one after the other."""
        after = [*names[1:], None]
        self.structure(
            dag, *(Task(name, (later,) if later else (), **options) for name, later in zip(names, after, strict=True))
        )

    @property
    def night(self) -> Night:
        return Night(self.runs, self.instances, self.dags, self.faults, self.assets, self.pools, self.outside)

    def plan(self, request: Request | None = None) -> Plan:
        return build(self.night, request or Request(), self, server=SERVER, by="anna@host", now=NOW)

    # --- what a plan asks for besides

    def tasks(self, dag: str) -> Mapping[str, Task]:
        self.asked.append(dag)
        return self.structures.get(dag, {})

    def awaited_before(self, dag: str, task: str) -> Awaited | None:
        return None

    def triggered_run(self, instance: Instance) -> Run | None:
        key = self.children.get(instance.key)
        if key is None:
            return None
        return self.runs[key] if key in self.runs else self.others[key][0]

    def all_of(self, run: RunKey) -> Sequence[Instance]:
        return self.others[run][1]

    def emitted(self, run: RunKey) -> Sequence[Emitted]:
        return self.events.get(run, [])

    def read_on(self, failure: InstanceKey) -> str:
        return f"playbooks/{failure.dag}.md#{self.faults[failure].code.lower()}"

    def starts(self, dag: str, assets: Collection[int]) -> bool:
        return self.needs.get(dag, frozenset()) <= set(assets)


def waves(plan: Plan) -> list[list[str]]:
    """By wave, its instances as `dag.task day` (`dag.task[2] day`), sorted."""
    return [sorted(shown(plan, place) for place in wave) for wave in plan.waves]


def shown(plan: Plan, place: int) -> str:
    each = plan.instances[place]
    index = f"[{each.index}]" if each.index >= 0 else ""
    return f"{each.dag}.{each.task}{index} {each.run.removeprefix('scheduled__').lstrip('0')}"


def left(plan: Plan) -> dict[str, str]:
    """What is left alone, as `dag.task`, `dag` for a whole one, and why."""
    return {".".join(filter(None, (each.dag, each.task))): each.why for each in plan.left_alone}

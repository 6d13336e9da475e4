"""Schedules that are played twice: in the model of Airflow, and in a real one; and what came of them in each.

A schedule says what becomes of each reset and mark, who else does what before which of them, and when the process dies.
Whatever else happens is up to each world, which is let come to rest whenever somebody waits.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from sluicegate.api.errors import ApiError, NotReachable, Refused
from sluicegate.recovery.carry_out import carry_out
from sluicegate.recovery.clock import Clock, SystemClock
from sluicegate.recovery.definition import InstanceKey, Plan, RunKey
from sluicegate.recovery.errors import NotPermitted
from sluicegate.recovery.journal import Journal
from sluicegate.recovery.progress import Options, Outcome
from sluicegate.recovery.site import Seen, Site
from sluicegate.recovery.site_rest import RestSite
from sluicegate.testing.airflow import wait_until
from tests.recovery.model import BAD, MOMENT, AirflowModel, ModelSite, Scenario, TaskModel, plan_of
from tests.recovery.night import Airflow
from tests.recovery.simulation import KilledError, MemoryStore, scenario_of

__all__ = ["OVER", "ModelWorld", "Result", "Schedule", "played", "played_in", "schedules", "shapes"]

SEEDS = range(100, 136)
OPTIONS = Options(
    "ada", "the source was late", parallel=1, chunk=1, settle=3, poll=0.3, longest_poll=0.6, look=5, beat=600
)
_LATE = 1.0
_AT_ONCE = 15
_RACES = 3
_FATES = ("error", "error after", "lost", "late", "kill before", "kill after")
_DEEDS = ("clear", "success", "failed", "note")


@dataclass(frozen=True)
class Schedule:
    """`fates` of the resets and marks in their order, `ok` when there is none left; `deeds` of somebody else before the
    reset of that number, each to an instance.
    """

    seed: int
    scenario: Scenario
    fates: tuple[str, ...] = ()
    deeds: Mapping[int, tuple[str, InstanceKey]] = field(default_factory=dict)
    second: int | None = None
    """Before which reset a second operator tries the plan."""
    keep_going: bool = False
    again: bool = False
    """It is played for the second time, alone and with more patience."""

    @property
    def plan_id(self) -> str:
        return f"rp-replay{self.seed}{'b' if self.again else 'a'}"

    @property
    def options(self) -> Options:
        return replace(OPTIONS, keep_going=self.keep_going, settle=12 if self.again else OPTIONS.settle)


def schedules() -> list[Schedule]:
    return [_schedule(seed) for seed in SEEDS]


def _schedule(seed: int) -> Schedule:
    dice = random.Random(seed)
    scenario = _without_sensors(scenario_of(dice))
    keys = [InstanceKey(run.dag, run.run, task.name) for run in scenario.runs for task in run.tasks]
    trouble = dice.choice((0.0, 0.3, 0.5))
    fates = tuple(dice.choice(_FATES) if dice.random() < trouble else "ok" for _ in range(6))
    deeds = {dice.randint(0, 4): (dice.choice(_DEEDS), dice.choice(keys)) for _ in range(dice.choice((0, 1, 1, 2)))}
    second = dice.randint(0, 2) if dice.random() < 0.2 else None
    return Schedule(seed, scenario, fates, deeds, second, keep_going=dice.random() < 0.5)


def _without_sensors(scenario: Scenario) -> Scenario:
    """Order is the plan's alone then; Airflow's own sensors are in the nights."""

    def plain(task: TaskModel) -> TaskModel:
        return replace(task, is_sensor=False, retries=task.retries if task.fails else 0)

    runs = tuple(replace(run, tasks=tuple(map(plain, run.tasks))) for run in scenario.runs)
    return replace(scenario, runs=runs)


Shape = tuple[tuple[str, tuple[str, ...], int, int], ...]


def _shape(tasks: Iterable[TaskModel]) -> Shape:
    return tuple((task.name, task.after, task.fails, task.retries) for task in tasks)


def _name(shape: Shape) -> str:
    return "replay__" + "__".join(f"{task}{''.join(after)}{fails}{retries}" for task, after, fails, retries in shape)


def shapes() -> dict[str, Shape]:
    """By name of its DAG, each shape that a run of the schedules has."""
    found = {_shape(run.tasks) for each in schedules() for run in each.scenario.runs}
    return {_name(shape): shape for shape in found}


@dataclass
class Result:
    """What came of a schedule: states and tries since the morning by instance, and what was said of it."""

    states: dict[str, str | None]
    tries: dict[str, int]
    said: list[str]
    outcomes: list[Any]


class World(Protocol):
    plan: Plan
    clock: Clock

    def site(self) -> Site: ...

    def later(self, do: Callable[[], Any]) -> None:
        """Do it a second from now."""
        ...

    def touch(self, what: str, key: InstanceKey) -> None:
        """Do what somebody else does, and let all come to rest."""
        ...

    def result(self) -> tuple[dict[InstanceKey, str | None], dict[InstanceKey, int]]: ...


def played(schedule: Schedule, world: World) -> Result:
    """Play it to its end: a process that dies is started again, and in the end once more in peace."""
    said: list[str] = []
    outcomes: list[Any] = []
    store = MemoryStore()
    site = _Scripted(world, schedule, said)
    options = schedule.options
    for attempt in range(12):
        is_last = attempt == 11
        try:
            journal = Journal(store, world.plan.id, world.clock.now())
            outcome = carry_out(world.plan, site, journal, options, clock=world.clock)
        except KilledError:
            said.append("killed")
            continue
        except ApiError as error:
            said.append(type(error).__name__)
            if isinstance(error, NotPermitted):
                options = replace(options, skip_forbidden=True)
            continue
        outcomes.append(_words(outcome))
        if options.keep_going or is_last:
            break
        options = replace(options, keep_going=True)
    states, tries = world.result()
    return Result({str(k): v for k, v in states.items()}, {str(k): v for k, v in tries.items()}, said, outcomes)


def _words(outcome: Outcome) -> dict[str, Any]:
    return {
        "finished": outcome.is_finished,
        "done": sorted(map(str, outcome.done)),
        "failed": sorted((str(each.key), each.state) for each in outcome.failed),
        "changed": sorted((str(each.key), each.state, each.why) for each in outcome.changed),
        "held back": sorted(str(each.key) for each in outcome.held_back),
    }


class _Scripted:
    """A `Site` whose resets and marks meet the fates of a schedule."""

    def __init__(self, world: World, schedule: Schedule, said: list[str]) -> None:
        self._world = world
        self._inner = world.site()
        self._schedule = schedule
        self._said = said
        self._count = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def clear(self, *arguments: Any, **options: Any) -> Any:
        return self._effect(lambda: self._inner.clear(*arguments, **options))

    def mark(self, *arguments: Any) -> Any:
        return self._effect(lambda: self._inner.mark(*arguments))

    def _effect(self, do: Callable[[], Any]) -> Any:
        number, self._count = self._count, self._count + 1
        if number == self._schedule.second:
            self._try_as_another()
        if number in self._schedule.deeds:
            self._world.touch(*self._schedule.deeds[number])
        fate = self._schedule.fates[number] if number < len(self._schedule.fates) else "ok"
        if fate == "kill before":
            raise KilledError
        if fate == "error":
            raise Refused("500", "", 500)
        if fate == "late":
            self._world.later(do)
            raise NotReachable("late", "")
        answer = do()
        if fate == "kill after":
            raise KilledError
        if fate == "lost":
            raise NotReachable("lost", "")
        if fate == "error after":
            raise Refused("500", "", 500)
        return answer

    def _try_as_another(self) -> None:
        journal = Journal(MemoryStore(), self._world.plan.id, self._world.clock.now())
        try:
            carry_out(
                self._world.plan, self._world.site(), journal, replace(OPTIONS, who="bob"), clock=self._world.clock
            )
        except ApiError as error:
            self._said.append(f"bob: {type(error).__name__}")


# ---- the model ----


class _NoTurn:
    def before(self, what: str) -> str:
        return "ok"

    def after(self) -> None: ...


class ModelWorld:
    """The model; whenever somebody waits it comes to rest."""

    def __init__(self, schedule: Schedule) -> None:
        self.airflow = AirflowModel(schedule.scenario, random.Random(schedule.seed))
        self.plan = plan_of(schedule.scenario, self.airflow, id_=schedule.plan_id)
        self.clock = self
        self._tries = {key: cell.tries for key, cell in self.airflow.cells.items()}

    def site(self) -> Site:
        return ModelSite(self.airflow, "ada", _NoTurn())

    def now(self) -> datetime:
        return MOMENT + timedelta(seconds=self.airflow.time)

    def monotonic(self) -> float:
        return self.airflow.time

    def sleep(self, seconds: float) -> None:
        self.airflow.time += seconds
        self.airflow.land()
        self._rest()

    def _rest(self) -> None:
        while self.airflow.step():
            pass

    def later(self, do: Callable[[], Any]) -> None:
        self.airflow.late.append((self.airflow.time + _LATE, do))

    def touch(self, what: str, key: InstanceKey) -> None:
        self._rest()
        cell = self.airflow.cells[key]
        if what == "note":
            cell.note = "I have seen this."
        elif what == "clear":
            self.airflow.clear("", key.of, {(key.task, -1)}, "")
        else:
            with suppress(Refused):
                self.airflow.mark("", key, what, "")
        self._rest()

    def result(self) -> tuple[dict[InstanceKey, str | None], dict[InstanceKey, int]]:
        self.sleep(_LATE)
        cells = self.airflow.cells.items()
        return {k: c.state for k, c in cells}, {k: c.tries - self._tries[k] for k, c in cells}


# ---- the real one ----


def played_in(airflow: Airflow) -> dict[int, tuple[Schedule, Result]]:
    """By seed, what comes of each schedule in a real Airflow, many at the same time.

    What a slow machine or a race of the scheduler's own made of one is played again: a few at the most.
    """
    for name in shapes():
        airflow.wait_for_dag(name)
    with airflow.stack.api() as client:
        found = {
            schedule.seed: (schedule, result) for schedule, result in _played_at_once(airflow, client, schedules())
        }
        wrong = [one for one, result in found.values() if result != played(one, ModelWorld(one))]
        for one in wrong if len(wrong) <= _RACES else ():
            [found[one.seed]] = _played_at_once(airflow, client, [replace(one, again=True)])
    return found


def _played_at_once(airflow: Airflow, client: Any, chosen: Sequence[Schedule]) -> list[tuple[Schedule, Result]]:
    def pause(is_paused: bool) -> None:
        for name in {run.dag for world in worlds for run in world.real.values()}:
            airflow.api.patch(f"/dags/{name}", json={"is_paused": is_paused}).raise_for_status()

    worlds = [RealWorld(each, airflow, client) for each in chosen]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        pause(True)
        list(pool.map(RealWorld.begin, worlds))
        pause(False)
        list(pool.map(RealWorld.look, worlds))
        return list(zip(chosen, pool.map(played, chosen, worlds), strict=True))


OVER = threading.Event()
"""The tests end, and whoever still plays is to stop: the Airflow may be gone already."""


class OverError(Exception): ...


class _RestingClock(SystemClock):
    def __init__(self, world: RealWorld) -> None:
        self._world = world

    def now(self) -> datetime:
        if OVER.is_set():
            raise OverError
        return super().now()

    def sleep(self, seconds: float) -> None:
        if OVER.is_set():
            raise OverError
        self._world.ending.clear()
        super().sleep(seconds)


class _Renamed(RestSite):
    """The runs of a scenario are runs of the DAGs with their shapes; other plans do not count."""

    def __init__(self, client: Any, world: RealWorld) -> None:
        super().__init__(client)
        self._world = world

    def instances(self, runs: Collection[RunKey]) -> Mapping[InstanceKey, Seen]:
        real = {self._world.real[run]: run for run in runs}
        found = super().instances(list(real))
        named = {key: self._named(key, real[key.of]) for key in found}
        return {named[key]: replace(seen, key=named[key]) for key, seen in found.items()}

    @staticmethod
    def _named(key: InstanceKey, run: RunKey) -> InstanceKey:
        return replace(key, dag=run.dag, run=run.run)

    def resting(self, dags: Collection[str]) -> Collection[str]:
        """None: what is paused is so for a moment, see `swallowing`."""
        return ()

    def active(self, runs: Collection[RunKey]) -> Collection[RunKey]:
        real = {self._world.real[run]: run for run in runs}
        return {real[run] for run in super().active(list(real))}

    def clear(
        self, run: RunKey, tasks: Collection[tuple[str, int]], note: str, **options: bool
    ) -> Collection[tuple[str, int]]:
        self._world.permit(run)
        real = self._world.real[run]
        with self._world.swallowing(run):
            return super().clear(real, tasks, note, **options)

    def mark(self, key: InstanceKey, state: str, note: str) -> None:
        self._world.permit(key.of)
        super().mark(self._world.key(key), state, note)

    def annotate(self, key: InstanceKey, note: str) -> None:
        super().annotate(self._world.key(key), note)

    def requeue(self, run: RunKey) -> None:
        super().requeue(self._world.real[run])

    def drop_queued_event(self, dag: str, asset_id: int) -> None:
        """There is none: the shapes have no assets."""

    def markers(self) -> Mapping[str, str]:
        return {name: text for name, text in super().markers().items() if name.startswith(self._world.plan.id)}


class RealWorld:
    """The same scenario in a real Airflow: its runs are written into the metadata as the morning finds them."""

    def __init__(self, schedule: Schedule, airflow: Airflow, client: Any) -> None:
        self.schedule = schedule
        self.airflow = airflow
        self.real = {
            RunKey(run.dag, run.run): RunKey(_name(_shape(run.tasks)), f"{schedule.plan_id}-{run.dag}-{run.run}")
            for run in schedule.scenario.runs
        }
        self.ending = {RunKey(*pair) for pair in schedule.scenario.ending}
        self.clock: Clock = _RestingClock(self)
        self._client = client
        self._late: list[threading.Timer] = []
        self.plan = plan_of(schedule.scenario, AirflowModel(schedule.scenario, random.Random(0)), id_=schedule.plan_id)

    def begin(self) -> None:
        """Write the morning, while the DAGs are paused."""
        for run, real in self.real.items():
            body = {"dag_run_id": real.run, "logical_date": None}
            self._start(real.dag, body)
            tasks = next(e.tasks for e in self.schedule.scenario.runs if (e.dag, e.run) == (run.dag, run.run))
            with self.airflow.metadata() as connection:
                for task in tasks:
                    connection.execute(
                        "UPDATE task_instance SET state = %s, try_number = 1, start_date = now(), end_date = now() "
                        "WHERE dag_id = %s AND run_id = %s AND task_id = %s",
                        (task.state, real.dag, real.run, task.name),
                    )
                    if task.fails:
                        flag = self.airflow.folder / "flags" / f"{real.run}-{task.name}"
                        flag.write_text("once\n" * task.fails)
                state = "failed" if {task.state for task in tasks} & set(BAD) else "success"
                self._set_run(connection, real, state)

    def _start(self, dag: str, body: dict[str, Any]) -> None:
        """Airflow may answer 500 while its dag-processor writes that DAG."""
        for _ in range(20):
            answer = self.airflow.api.post(f"/dags/{dag}/dagRuns", json=body)
            if answer.status_code < 500:
                break
            time.sleep(0.5)
        if answer.status_code != 409:  # it was made in spite of a 500
            answer.raise_for_status()

    def look(self) -> None:
        """Take the ids of the morning into the plan."""
        seen = self.site().instances(list(self.real))
        instances = tuple(replace(each, id=seen[each.key].id) for each in self.plan.instances)
        self.plan = replace(self.plan, instances=instances)

    def site(self) -> Site:
        return _Renamed(self._client, self)

    def key(self, key: InstanceKey) -> InstanceKey:
        real = self.real[key.of]
        return replace(key, dag=real.dag, run=real.run)

    def permit(self, run: RunKey) -> None:
        if run.dag in self.schedule.scenario.forbidden:
            raise Refused("Forbidden", "", 403)

    @contextmanager
    def swallowing(self, run: RunKey) -> Iterator[None]:
        """A reset, which the end of its run swallows if the scheduler was about to end it."""
        if run not in self.ending:
            yield
            return
        self.ending.discard(run)
        real = self.real[run]
        self._pause(real.dag, True)
        try:
            yield
            with self.airflow.metadata() as connection:
                self._set_run(connection, real, "failed")
        finally:
            self._pause(real.dag, False)

    def _pause(self, dag: str, is_paused: bool) -> None:
        self.airflow.api.patch(f"/dags/{dag}", json={"is_paused": is_paused}).raise_for_status()

    @staticmethod
    def _set_run(connection: Any, run: RunKey, state: str) -> None:
        connection.execute(
            "UPDATE dag_run SET state = %s, end_date = now() WHERE dag_id = %s AND run_id = %s",
            (state, run.dag, run.run),
        )

    def later(self, do: Callable[[], Any]) -> None:
        def quietly() -> None:
            with suppress(Refused):
                do()

        self._late.append(threading.Timer(_LATE, quietly))
        self._late[-1].start()

    def touch(self, what: str, key: InstanceKey) -> None:
        self._rest()
        self.ending.clear()
        real = self.key(key)
        where = f"/dags/{real.dag}/dagRuns/{real.run}/taskInstances/{real.task}"
        if what == "note":
            body: dict[str, Any] = {"note": "I have seen this."}
            self.airflow.api.patch(where, json=body, params={"update_mask": "note"}).raise_for_status()
        elif what == "clear":
            body = {"dag_run_id": real.run, "task_ids": [real.task], "only_failed": False, "dry_run": False}
            self.airflow.api.post(f"/dags/{real.dag}/clearTaskInstances", json=body).raise_for_status()
        else:
            self.airflow.api.patch(where, json={"new_state": what})  # 409 where it has that state
        self._rest()

    def _rest(self) -> None:
        site = self.site()
        wait_until(lambda: not site.active(list(self.real)), 180, f"the runs of {self.plan.id} to end")

    def result(self) -> tuple[dict[InstanceKey, str | None], dict[InstanceKey, int]]:
        for timer in self._late:
            timer.join()
        self._rest()
        found = self.site().instances(list(self.real)).items()
        return {key: seen.state for key, seen in found}, {key: seen.tries - 1 for key, seen in found}

"""Operators, Airflow and others, interleaved step by step by one seed: crashes, lost answers, changes, two at once."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from greenlet import greenlet

from sluicegate.api.errors import ApiError, Refused
from sluicegate.recovery.carry_out import carry_out
from sluicegate.recovery.definition import InstanceKey, Plan
from sluicegate.recovery.errors import PlanInUse
from sluicegate.recovery.journal import Journal
from sluicegate.recovery.progress import Options, Outcome
from tests.recovery.model import BAD, MOMENT, AirflowModel, ModelSite, RunModel, Scenario, TaskModel, plan_of

_LIMIT = 6000


class KilledError(BaseException):
    """kill -9: nothing in the process runs after it."""


@dataclass
class MemoryStore:
    """A journal's file; a process that is killed while it writes leaves half a line."""

    name: str = "memory"
    content: bytes = b""
    tear: Callable[[], bool] = lambda: False

    def read(self) -> bytes:
        return self.content

    def cut(self, size: int) -> None:
        self.content = self.content[:size]

    def append(self, line: bytes) -> None:
        if self.tear():
            self.content += line[: len(line) // 2]
            raise KilledError
        self.content += line


@dataclass
class Chances:
    """How probable each trouble is, for one request or step."""

    kill: float = 0.0
    error: float = 0.0
    lost: float = 0.0
    late: float = 0.0
    other: float = 0.0


@dataclass
class Operator:
    """A person with a plan and a journal, who starts `apply` again until it is over."""

    name: str
    plan: Plan
    world: World
    chances: Chances
    options: Options
    store: MemoryStore = field(default_factory=MemoryStore)
    process: greenlet | None = None
    wakes: float = 0.0
    outcome: Outcome | None = None
    is_dead: bool = False
    begun: int = 0

    # ---- as clock and turn of its process ----

    def now(self) -> datetime:
        return MOMENT + timedelta(seconds=self.world.airflow.time)

    def monotonic(self) -> float:
        return self.world.airflow.time

    def sleep(self, seconds: float) -> None:
        self.wakes = self.world.airflow.time + seconds
        self._give_way()

    def before(self, what: str) -> str:
        self._give_way()
        chance, dice = self.world.random.random(), self.chances
        for name, likely in (("error", dice.error), ("lost", dice.lost), ("late", dice.late)):
            if chance < likely:
                # Reads are repeated by the client; the marker's requests end the process, which is a crash here.
                return (
                    "ok"
                    if what in ("read", "marker")
                    else ("error after" if name == "error" and chance < likely / 2 else name)
                )
            chance -= likely
        return "ok"

    def after(self) -> None:
        self._give_way()

    def _give_way(self) -> None:
        self.world.main.switch()

    # ---- as a person ----

    def start(self, options: Options) -> None:
        self.begun += 1
        self.is_dead = False
        me = f"{self.name}#{self.begun}"

        def run() -> None:
            site = ModelSite(self.world.airflow, me, self)
            try:
                journal = Journal(self.store, self.plan.id, self.now())
                self.outcome = carry_out(self.plan, site, journal, options, clock=self)
            except ApiError as error:
                self.world.said.append(f"{me}: {type(error).__name__}")
                if isinstance(error, PlanInUse):
                    self.world.refused += 1
            except KilledError:
                self.is_dead = True
            self.world.ended[me] = self.world.airflow.time

        self.process = greenlet(run)

    def kill(self) -> None:
        assert self.process is not None
        self.process.throw(KilledError)

    @property
    def is_running(self) -> bool:
        return self.process is not None and not self.process.dead


@dataclass
class World:
    scenario: Scenario
    random: random.Random
    airflow: AirflowModel
    main: greenlet = field(default_factory=greenlet.getcurrent)
    operators: list[Operator] = field(default_factory=list)
    ended: dict[str, float] = field(default_factory=dict)
    noted: set[InstanceKey] = field(default_factory=set)
    """What somebody else has written a note on: whose it is cannot be seen any more after a lost answer."""
    said: list[str] = field(default_factory=list)
    refused: int = 0
    loses_answers: bool = False

    def run(self, chances: Chances, *, until: Callable[[], bool]) -> None:
        """One thing after the other, until nothing is left to do."""
        for _ in range(_LIMIT):
            if until():
                return
            self.airflow.land()
            if chances.other and self.random.random() < chances.other:
                self._somebody_else()
            awake = [each for each in self.operators if each.is_running and each.wakes <= self.airflow.time]
            if awake and self.random.random() < 0.6:
                self._turn(self.random.choice(awake))
            elif (not self.airflow.step() or self.random.random() < 0.3) and not awake:
                self._pass_time()  # no process is frozen for longer than a server may work on its request
        raise AssertionError("it does not end")

    def _turn(self, operator: Operator) -> None:
        assert operator.process is not None
        if self.random.random() < operator.chances.kill and operator.process:
            operator.kill()
            return
        self.airflow.time += 0.05
        operator.process.switch()

    def _pass_time(self) -> None:
        wakes = [each.wakes for each in self.operators if each.is_running]
        later = [at for at in [*wakes, *(at for at, _ in self.airflow.late)] if at > self.airflow.time]
        if later:
            self.airflow.time = min(later)

    def _somebody_else(self) -> None:
        cell = self.random.choice(list(self.airflow.cells.values()))
        what = self.random.choice(("clear", "success", "failed", "note"))
        if what == "note":
            cell.note = "I have seen this."
            self.noted.add(cell.key)
        elif what == "clear" and cell.state != "running":
            self.airflow.clear("", cell.key.of, {(cell.key.task, -1)}, "")
        elif what in ("success", "failed") and cell.state in ("failed", "upstream_failed", "success"):
            with suppress(Refused):
                self.airflow.mark("", cell.key, what, "")


def scenario_of(dice: random.Random) -> Scenario:
    """A few DAGs in levels; each reads some of the level above, by a sensor or without looking."""
    runs: list[RunModel] = []
    bad: set[tuple[str, str, str]] = set()
    ends: list[tuple[str, str, str]] = []
    for number in range(dice.randint(2, 4)):
        dag = f"d{number}"
        awaits = tuple(dice.sample(ends, min(len(ends), dice.randint(0, 2))))
        is_sensor = dice.random() < 0.6
        for day in range(1, dice.choice((2, 2, 3))):
            run = f"r{day}"
            if day > 1:  # depends_on_past
                awaits, is_sensor = ((dag, "r1", "a"),), False
            tasks = _tasks(dice, (dag, run), awaits, bad, is_sensor=is_sensor)
            runs.append(RunModel(dag, run, tasks))
            bad |= {(dag, run, task.name) for task in tasks if task.state != "success"}
            ends.append((dag, run, tasks[-1].name))
            if dice.random() < 0.3:
                ends.append((dag, run, tasks[0].name))
    events = tuple(sorted({(run.dag, 7, dice.randint(0, 1)) for run in runs if dice.random() < 0.2}))
    ending = tuple((run.dag, run.run) for run in runs if dice.random() < 0.1)
    forbidden = ("d1",) if dice.random() < 0.1 else ()
    return Scenario(tuple(runs), events, ending, forbidden)


def _tasks(
    dice: random.Random,
    run: tuple[str, str],
    awaits: tuple[tuple[str, str, str], ...],
    bad: set[tuple[str, str, str]],
    *,
    is_sensor: bool,
) -> tuple[TaskModel, ...]:
    tasks: list[TaskModel] = []
    names = ["a", "b", "c"][: dice.randint(1, 3)]
    for place, name in enumerate(names):
        after = tuple(sorted(dice.sample(names[:place], min(place, dice.randint(1, 2)))))
        mine = awaits if place == 0 else ()
        is_below = any(task.name in after and task.state != "success" for task in tasks)
        has_failed = any(each in bad for each in mine) or dice.random() < 0.4
        state = "upstream_failed" if is_below else "failed" if has_failed else "success"
        tasks.append(
            TaskModel(
                name,
                after,
                mine,
                is_sensor=bool(mine) and is_sensor,
                state=state,
                fails=int(state != "success" and dice.random() < 0.15),
                retries=int(dice.random() < 0.2),
                mark=state == "failed" and not mine and dice.random() < 0.1,
            )
        )
    return tuple(tasks)


def world_of(seed: int) -> World:
    dice = random.Random(seed)
    scenario = scenario_of(dice)
    world = World(scenario, dice, AirflowModel(scenario, dice))
    plan = plan_of(scenario, world.airflow)
    rough = dice.random
    chances = Chances(
        kill=dice.choice((0, 0, 0.01, 0.04)),
        error=dice.choice((0, 0.1)) * rough(),
        lost=dice.choice((0, 0.1)) * rough(),
        late=dice.choice((0, 0.05)) * rough(),
    )
    options = Options(
        "ada", "the source was late", parallel=dice.choice((1, 2, 20)), chunk=dice.choice((1, 2, 20)),
        canary=dice.random() < 0.3, keep_going=dice.random() < 0.5,
        skip_forbidden=dice.random() < 0.5,
    )  # fmt: skip
    world.loses_answers = bool(chances.kill or chances.lost or chances.late or chances.error)
    world.operators.append(Operator("ada", plan, world, chances, options))
    if dice.random() < 0.5:
        other = plan
        if dice.random() < 0.5:
            dags = dice.sample(plan.dags, max(1, len(plan.dags) - 1)) if plan.dags else ()
            other = plan_of(scenario, world.airflow, id_="rp-other", dags=dags)
        world.operators.append(Operator("bob", other, world, chances, options))
    for operator in world.operators:
        keys = [each.key for each in operator.plan.instances]
        edges = {(keys[edge.before], keys[edge.after]) for edge in operator.plan.edges}
        world.airflow.edges[operator.name] = {(b, a) for b, a in edges if b.of != a.of}
    tearing = chances.kill / 2
    for operator in world.operators:
        operator.store.tear = lambda: dice.random() < tearing
    return world


def play(seed: int) -> World:
    """One schedule, to its end; `check` says what is wrong with it."""
    world = world_of(seed)
    dice = world.random
    others = Chances(other=dice.choice((0, 0, 0.002, 0.01)))
    for _ in range(dice.randint(1, 3)):
        for operator in world.operators:
            if not operator.is_running:
                # Bob may take over from a process that lives.
                over = operator.name == "bob" and dice.random() < 0.2
                operator.start(replace(operator.options, take_over=over))
                operator.wakes = world.airflow.time + dice.choice((0, 0, 5, 40))
        world.run(others, until=lambda: not any(each.is_running for each in world.operators))
    _finish(world)
    return world


def _finish(world: World) -> None:
    """In the end each operator applies the plan once more, in peace."""
    for operator in world.operators:
        operator.chances = Chances()
        operator.store.tear = lambda: False
        last = Options("ada", "the source was late", keep_going=True, take_over=True, skip_forbidden=True)
        operator.start(last)
        world.run(Chances(), until=lambda operator=operator: not operator.is_running)  # type: ignore[misc]
    world.run(Chances(), until=lambda: not world.airflow.late)


def check(world: World) -> list[str]:
    """Everything that is wrong with a schedule that was played."""
    airflow = world.airflow
    wrong = [*airflow.wrong, *_at_once(world)]
    resets: dict[InstanceKey, int] = {}
    for effect in airflow.effects:
        if effect.what in ("clear", "mark"):
            for key in effect.keys:
                resets[key] = resets.get(key, 0) + 1
    for key, count in resets.items():
        # Its id does not show that what was marked was set back.
        if count > 1 and not (airflow.cells[key].task.mark and key in airflow.touched):
            wrong.append(f"{key} was reset {count} times")
    for operator in world.operators:
        wrong += _forgotten(world, operator, resets)
    return wrong


def _forgotten(world: World, operator: Operator, resets: dict[InstanceKey, int]) -> list[str]:
    found, airflow, plan = operator.outcome, world.airflow, operator.plan
    if found is None:
        return [f"{operator.name} has no outcome: {world.said}"]
    left = {each.key: each for each in (*found.changed, *found.held_back, *found.failed)}
    planned = {each.key: each for each in plan.instances}
    wrong = [f"{key} was not reached" for key in found.not_reached]
    if sorted([*found.done, *left]) != sorted(planned):
        wrong.append(f"{operator.name} forgot {planned.keys() - left.keys() - set(found.done)}")
    for key in found.done:
        if airflow.cells[key].state != "success" and key not in airflow.touched:
            wrong.append(f"{key} counts as done and is not")
        if key not in resets and planned[key].action == "clear" and not _is_below_mark(plan, key):
            wrong.append(f"{key} counts as done and was never reset")
    for each in found.held_back:
        before = {plan.instances[e.before].key for e in plan.edges if plan.instances[e.after].key == each.key}
        if not before & left.keys() and each.key.dag not in world.scenario.forbidden:
            wrong.append(f"{each.key} is held back without reason: {each.why}")
    if len(world.operators) == 1 and not airflow.touched and not (world.noted and world.loses_answers):
        wrong += [f"{each.key} counts as changed: {each.why}" for each in found.changed]
    return wrong + _went_on(operator)


def _went_on(operator: Operator) -> list[str]:
    """Whether something was reset after a failure that was known; the last process was asked to go on."""
    has_failed = operator.options.keep_going
    entries = [json.loads(line) for line in operator.store.content.splitlines()]
    last = max(place for place, entry in enumerate(entries) if entry["line"] == "begun")
    for entry in entries[:last] if not has_failed else ():
        if entry["line"] in ("begun", "over"):
            has_failed = any(state in BAD for *_, state in entry.get("states", ())) or (
                has_failed and entry["line"] == "over"
            )
        elif entry["line"] == "asked" and entry["what"] == "clear" and has_failed:
            return [f"{entry['dag']} was reset after a failure"]
    return []


def _is_below_mark(plan: Plan, key: InstanceKey) -> bool:
    return any(each.action != "clear" and each.of == key.of for each in plan.instances)


def _at_once(world: World) -> list[str]:
    """Effects of one operator between those of another one's process, on the same DAG."""
    spans: dict[str, tuple[float, float, set[str]]] = {}
    for effect in world.airflow.effects:
        first, last, dags = spans.get(effect.by, (effect.at, effect.at, set()))
        spans[effect.by] = (min(first, effect.at), max(last, effect.at), dags | {effect.dag})
    wrong = []
    names = sorted(spans)
    for place, one in enumerate(names):
        for two in names[place + 1 :]:
            a, b = spans[one], spans[two]
            if one.partition("#")[0] != two.partition("#")[0] and a[2] & b[2] and a[0] < b[1] and b[0] < a[1]:
                wrong.append(f"{one} and {two} worked at once on {a[2] & b[2]}")
    return wrong

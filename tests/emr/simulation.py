"""One `spark` task from its first try to its end, in models of EMR and Airflow, by one seed: with crashes, lost
answers, lag, throttling, two workers at once, people who clear and mark, dead triggerers, lost stores.

All of ours is real but for the operator and trigger around it: `Engine`, `EmrClient`, `Watch`, `Lookout`, `Sweep`.
Processes are greenlets on a virtual clock; whatever they wait for, others may go on meanwhile, or they may be killed.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from greenlet import greenlet

from sluicegate.emr.client import EmrClient
from sluicegate.emr.engine import Engine
from sluicegate.emr.lookout import Lookout
from sluicegate.emr.names import RunKey
from sluicegate.emr.orphans import Gone, Kind, TaskState
from sluicegate.emr.record import another_try, generation
from sluicegate.emr.strays import Strays
from sluicegate.emr.sweep import Sweep
from sluicegate.emr.tags import own_tags
from sluicegate.emr.task import Ended, Try, Wait, Work
from sluicegate.emr.verdict import verdict
from sluicegate.emr.watch import Subject, Watch
from sluicegate.faults import FaultError, TransientFault, classify
from tests.emr.model_emr import Aws, ClusterModel, EmrModel, Fate, StepModel, moment

KEY = RunKey("prod", "delays", "scheduled__2026-01-01", "join")
NEIGHBOUR = replace(KEY, run_id="scheduled__2026-01-02")
"""The same task in a run that goes on."""
STRANGERS: tuple[tuple[str, dict[str, str]], ...] = (
    *(
        (key.name(1), own_tags(key, attempt=1, pipeline="delays", cluster="small", not_after=moment(10**7)))
        for key in (NEIGHBOUR, replace(KEY, deployment="test"), replace(KEY, deployment="pro"))
    ),
    (KEY.name(1), {}),
    (KEY.name(7), {"team": "data"}),
    ("by hand", {}),
)
"""Names and tags of what runs in the account and is not ours to touch: copies that a person has made among them."""
MAX_RUNTIME = 7200.0
KILL_AFTER = 60.0
HEARTBEAT_LOST = 300.0
_LIMIT = 20_000
OVER = ("success", "failed")


class KilledError(BaseException):
    """kill -9: nothing in the process runs after it."""


@dataclass
class Chances:
    """How probable each trouble is, for one call or one pause of a process."""

    kill: float = 0.0
    stall: float = 0.0
    throttled: float = 0.0
    error: float = 0.0
    lost: float = 0.0
    late: float = 0.0
    refused: float = 0.0
    store: float = 0.0
    zombie: float = 0.0


@dataclass
class Parts:
    """What is simulated. A test breaks one of these on purpose, and the simulation must notice."""

    engine: type[Engine] = Engine
    client: type[EmrClient] = EmrClient
    watch: type[Watch] = Watch
    lookout: type[Lookout] = Lookout
    sweep: type[Sweep] = Sweep
    verdict: Callable[..., FaultError | None] = verdict
    is_rough: bool = False
    """Whether much goes wrong in each schedule."""
    is_hasty: bool = False
    """Whether two workers work at once in each schedule."""
    happens: str = ""
    """The method of `World` that is called in each schedule."""
    ends_on_kill: bool = True
    ends_deferred: bool = True


@dataclass
class Process:
    """A worker or a triggerer's task: a greenlet that is killed, or ends."""

    name: str
    body: greenlet
    is_frozen: bool = False
    is_stillborn: bool = False
    """Killed before it has begun."""
    wakes: int = 0
    """Which of its pauses it is in: one that was cut short wakes nobody."""

    @property
    def is_running(self) -> bool:
        return not self.is_stillborn and not self.body.dead


@dataclass
class Store:
    """Airflow's task state store, which may be lost."""

    world: World
    rows: dict[str, Any] = field(default_factory=dict)

    def get(self, key: str) -> Any:
        self._answer()
        return self.rows.get(key)

    def set(self, key: str, value: Any) -> None:
        self._answer()
        self.rows[key] = value
        self._answer()

    def _answer(self) -> None:
        world = self.world
        world.sleep(world.random.choice((0.01, 0.02, 0.3)))
        if not world.is_calm and world.random.random() < world.chances.store:
            raise ConnectionError("Airflow's API server does not answer")


@dataclass
class Report:
    """A success that Airflow has heard of."""

    cluster_id: str
    generation: str
    at: float


@dataclass
class Task:
    """The task instance as Airflow's database has it."""

    retries: int
    timeout: float | None
    placements: int
    steps: int
    state: str = "queued"
    try_number: int = 0
    max_tries: int = 0
    since: float = 0.0
    is_gone: bool = False
    ended_by: str = ""
    """Who made it end: `worker`, `airflow` (which misses a dead worker) or `person`."""
    ended_at: float = 0.0
    fault: FaultError | None = None
    wait: Wait | None = None
    until: float | None = None
    deferred_at: float = 0.0

    @property
    def generation(self) -> str:
        return generation(self.max_tries, self.retries)


@dataclass
class World:
    seed: int
    parts: Parts
    random: random.Random
    chances: Chances
    task: Task
    now: float = 0.0
    is_calm: bool = False
    """Whether nothing goes wrong any more: the schedule is being brought to its end."""
    lag: float = 0.0
    main: greenlet = field(default_factory=greenlet.getcurrent)
    agenda: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    workers: list[Process] = field(default_factory=list)
    triggers: list[Process] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    hurt: set[str] = field(default_factory=set)
    """What has happened that some promises do not hold for: `killed`, `protected`, ..."""
    current: Process | None = None
    lookout: Lookout | None = None
    strays: tuple[Lookout, Strays] | None = None
    triggerer_is_up: bool = True
    waits: int = 0
    worker: Worker | None = None
    trigger: Trigger | None = None

    plan: dict[str, int] = field(default_factory=dict)
    """After how many pauses of whatever process, a process is to `die` or to `stall` in one."""
    armed: list[tuple[str, str]] = field(default_factory=list)
    """Actions of EMR, and the trouble that the next call of each is to meet."""
    fates: list[str] = field(default_factory=list)
    """What is to become of the next clusters."""
    retry_after: float | None = None
    is_fateful: bool = True
    """Whether any cluster may come to grief, and not only those of `fates`."""

    def __post_init__(self) -> None:
        self.emr = EmrModel(self)
        self.store = Store(self)
        self._count = 0
        for n, (name, tags) in enumerate(STRANGERS):
            fate = Fate(0.0, [StepModel("theirs.py", 1e9, state="RUNNING", started=0.0)])
            theirs = ClusterModel(f"x-{n}", name, dict(tags), 0.0, fate, state="RUNNING", ran=0.0, is_strange=True)
            self.emr.clusters[f"x-{n}"] = theirs

    # ---- time and processes

    def clock(self) -> datetime:
        return moment(self.now)

    def later(self, seconds: float, do: Callable[[], object]) -> None:
        self._count += 1
        heapq.heappush(self.agenda, (self.now + seconds, self._count, lambda: do() and None))

    def sleep(self, seconds: float) -> None:
        """The process that runs now waits; it may be killed, or stand still for long."""
        mine = self.current
        if mine is None:
            raise AssertionError("only processes wait")
        if not self.is_calm:
            if self._is_due("die") or self.random.random() < self.chances.kill:
                self.hurt.add("killed")
                self.say(f"{mine.name} is killed")
                if (worker := self.worker) is not None and worker.process is mine and self.random.random() < 0.6:
                    # Its supervisor lives, and tells Airflow at once.
                    self.later(self.random.uniform(0.1, 2.0), lambda: self.miss(worker))
                if mine in self.triggers:
                    self.later(0.0, lambda: self.kill_triggerer(self.random.uniform(5, 600)))
                raise KilledError
            if self._is_due("stall") or self.random.random() < self.chances.stall:
                self.hurt.add("stood still")
                seconds += self.random.uniform(30, 1500)
        mine.wakes += 1
        self._wake(mine, mine.wakes, seconds)
        self.main.switch()

    def _is_due(self, what: str) -> bool:
        """Whether the process that pauses now is the one that was planned for this."""
        if what not in self.plan:
            return False
        self.plan[what] -= 1
        return self.plan[what] <= 0 and bool(self.plan.pop(what, 1))

    def _wake(self, process: Process, nth: int, seconds: float) -> None:
        def wake() -> None:
            if not process.is_running or process.wakes != nth:
                return
            if process.is_frozen:
                self.later(1.0, wake)
                return
            self._switch(process)

        self.later(seconds, wake)

    def _switch(self, process: Process) -> None:
        self.current = process
        process.body.switch()
        self.current = None

    def kill(self, process: Process) -> None:
        if process.is_running:
            self.hurt.add("killed")
            if not process.body:
                process.is_stillborn = True
                return
            self.current = process
            process.body.throw(KilledError)
            self.current = None

    def spawn(self, name: str, run: Callable[[], None]) -> Process:
        def body() -> None:
            with suppress(KilledError):
                run()

        process = Process(name, greenlet(body))
        self.later(self.random.uniform(0.1, 3.0), lambda: self._switch(process) if process.is_running else None)
        return process

    def run(self, until: Callable[[], bool]) -> None:
        for _ in range(_LIMIT):
            if until() or not self.agenda:
                return
            at, _, do = heapq.heappop(self.agenda)
            self.now = max(self.now, at)
            do()
        self.wrong.append("it does not end")

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        self.run(lambda: not self.agenda or self.agenda[0][0] > until)
        self.now = until

    def say(self, what: str) -> None:
        self.said.append(f"{self.now:8.1f} {what}")

    # ---- what EMR asks

    def latency(self) -> float:
        return self.random.uniform(0.05, 1.0)

    def trouble(self, action: str) -> str:
        if self.is_calm:
            return ""
        if (planned := next((each for each in self.armed if each[0] == action), None)) is not None:
            self.armed.remove(planned)
            return planned[1]
        dice, chances = self.random.random(), self.chances
        if action == "RunJobFlow" and self.random.random() < chances.refused:
            return "refused"
        for name in ("throttled", "error", "lost", "late"):
            likely: float = getattr(chances, name)
            if dice < likely:
                if name == "late" and action not in ("RunJobFlow", "TerminateJobFlows", "AddTags"):
                    return "error"
                return name
            dice -= likely
        return ""

    def fate(self, placement: int, steps: int) -> Fate:
        dice = self.random
        takes = [dice.choice((5.0, 60.0, 600.0, 3000.0)) * dice.uniform(0.5, 1.5) for _ in range(steps)]
        fate = Fate(
            starts_in=dice.uniform(300, 900),
            steps=[StepModel(f"{n}.py", seconds) for n, seconds in enumerate(takes)],
            ends_in=dice.uniform(20, 120),
            seen_after=dice.uniform(0, self.lag),
        )
        what = self.fates.pop(0) if self.fates else _fate(dice.random()) if self.is_fateful else "success"
        if what == "no capacity":
            fate.lost_at = dice.uniform(30, 250)
            fate.code, fate.error = "INTERNAL_ERROR", "INTERNAL_ERROR_EC2_INSUFFICIENT_CAPACITY_AZ"
        elif what == "spot loss":
            fate.lost_at = fate.starts_in + dice.uniform(1, sum(takes))
            fate.code, fate.error = "INTERNAL_ERROR", "INTERNAL_ERROR_SPOT_NO_CAPACITY_PRIMARY"
        elif what == "failure":
            dice.choice(fate.steps).ends = "FAILED"
        elif what == "hang":
            hung = dice.choice(fate.steps)
            hung.takes, hung.ends = MAX_RUNTIME + dice.uniform(0, KILL_AFTER), "FAILED"
        return fate

    def is_made(self, cluster: ClusterModel) -> None:
        others = [c.cluster_id for c in self.emr.live() if c is not cluster and "sluicegate:ended-by" not in c.tags]
        if others and not self.hurt & {"missed", "cleared", "throttled start", "stood still"}:
            self.wrong.append(f"{cluster.cluster_id} is started beside {others} by one worker alone")
        self.say(f"{cluster.cluster_id} is made: {cluster.name[-3:]} placement {cluster.tags['sluicegate:placement']}")

    # ---- the worker: what the operator does

    def engine(self) -> Engine:
        task, client = self.task, self.parts.client(Aws(self.emr))  # type: ignore[arg-type]
        this = Try(
            generation=task.generation,
            first=task.try_number <= 1,
            again=another_try(task.try_number, task.max_tries),
            since=moment(task.since),
        )

        def request(attempt: int, placement: int) -> dict[str, Any]:
            self.sleep(self.random.choice((0.5, 2.0, 20.0)))  # it uploads the jobs
            end = self.clock() + timedelta(seconds=3600 + task.steps * (MAX_RUNTIME + KILL_AFTER))
            tags = own_tags(
                KEY,
                attempt=attempt,
                pipeline="delays",
                cluster="small",
                not_after=end,
                generation=this.generation,
                placement=placement,
                steps=task.steps,
            )
            shown = [{"Key": key, "Value": value} for key, value in tags.items()]
            return {"Name": KEY.name(attempt), "Steps": [{}] * task.steps, "Tags": shown}

        work = Work(
            request,
            timedelta(seconds=MAX_RUNTIME),
            jobs=task.steps,
            placements=task.placements,
            timeout=None if task.timeout is None else timedelta(seconds=task.timeout),
        )
        return self.parts.engine(client, self.store, KEY, this, work, clock=self.clock, sleep=self.sleep)

    def start_worker(self, event: Mapping[str, Any] | None = None) -> None:
        """A new try, or the same one after the trigger's `event`."""
        task = self.task
        if event is None:
            task.try_number += 1
        number, life = task.try_number, task.generation
        task.state = "running"
        name = f"worker {number}{'' if event is None else ' resumed'}"
        until = task.until if event is not None else None if task.timeout is None else self.now + task.timeout
        worker = Worker(self, name, number, life, event, until)
        worker.process = self.spawn(name, worker.run)
        self.workers.append(worker.process)
        self.worker = worker
        self._watch_over(worker)

    def _watch_over(self, worker: Worker) -> None:
        """The scheduler, which misses a worker that is dead, after a while, or that seems to be."""

        def look() -> None:
            if not self.is_valid(worker):
                return
            if worker.process.is_running:
                self.later(HEARTBEAT_LOST, look)
                return
            self.miss(worker)

        self.later(HEARTBEAT_LOST + self.random.uniform(0, 60), look)
        if not self.is_calm and self.random.random() < self.chances.zombie:
            self.later(self.random.choice((5.0, 40.0)) * self.random.random(), lambda: self.miss(worker))

    def miss(self, worker: Worker) -> None:
        if not self.is_valid(worker):
            return
        self.say(f"{worker.name} is missed by the scheduler{' and lives' if worker.process.is_running else ''}")
        if worker.process.is_running:
            self.hurt.add("missed")
            if self.random.random() < 0.5:
                self.later(self.random.uniform(5, 400), lambda: self.terminate(worker))
        self.failed("airflow", transient=True)

    def is_valid(self, worker: Worker) -> bool:
        """Whether Airflow still takes what this worker reports."""
        return self.worker is worker and self.task.state == "running"

    def failed(self, by: str, *, transient: bool) -> None:
        task = self.task
        if transient and another_try(task.try_number, task.max_tries):
            task.state = "up_for_retry"
            number = task.try_number
            wait = self.random.choice((0.5, 30.0, 300.0)) * self.random.random()
            self.later(wait if self.retry_after is None else self.retry_after, lambda: self._retry(number))
        else:
            self.over("failed", by)

    def _retry(self, number: int) -> None:
        if self.task.state == "up_for_retry" and self.task.try_number == number:
            self.start_worker()

    def over(self, state: str, by: str) -> None:
        self.task.state, self.task.ended_by, self.task.ended_at = state, by, self.now
        self.say(f"the task is {state}, by {by}: {self.task.fault}")

    def terminate(self, worker: Worker | None) -> None:
        """SIGTERM, and after a while SIGKILL: `on_kill` runs on top of what the process was doing."""
        if worker is None or not worker.process.is_running:
            return
        process = worker.process
        self.say(f"{worker.name} gets SIGTERM")
        if worker.engine is not None and self.parts.ends_on_kill:
            process.is_frozen = True
            engine = worker.engine
            engine.stop()
            handler = self.spawn(f"{worker.name} on_kill", lambda: engine.end("killed"))
            self.later(30.0, lambda: setattr(process, "is_frozen", False))
            self.later(
                self.random.choice((self.random.uniform(0.5, 8.0), 60.0, 60.0)),
                lambda: (self.kill(handler), self.kill(process)),
            )
        else:
            worker.is_ended = True
            self.later(60.0, lambda: self.kill(process))

    # ---- the triggerer

    def defer(self, wait: Wait, until: float | None) -> None:
        task = self.task
        self.waits += 1
        task.state, task.wait, task.until, task.deferred_at = "deferred", wait, until, self.now
        self.start_trigger(self.waits)
        nth = self.waits
        slack = max((wait.deadline - self.clock()).total_seconds(), 0.0) + 300
        if until is not None:
            slack = min(slack, max(until - self.now, 0.0) + 300)
        self.later(slack, lambda: self.event(nth, {"outcome": "deadline", "cluster_id": wait.cluster_id}))

    def start_trigger(self, nth: int) -> None:
        if not self.triggerer_is_up or nth != self.waits or self.task.state != "deferred" or self.task.wait is None:
            return
        trigger = Trigger(self, nth, self.task.wait, self.task.until, self.task.deferred_at)
        if self.trigger is not None and self.trigger.nth == nth and self.trigger.process.is_running:
            self.say("a second triggerer takes the same trigger")
        trigger.process = self.spawn(f"trigger {nth}", trigger.run)
        self.triggers.append(trigger.process)
        self.trigger = trigger

    def event(self, nth: int, event: Mapping[str, Any]) -> None:
        """What the trigger has fired; the first one counts."""
        if self.task.state == "deferred" and nth == self.waits:
            self.say(f"event {event}")
            self.task.state = "queued"
            self.later(self.random.uniform(0.5, 20.0), lambda: self._resume(nth, event))

    def _resume(self, nth: int, event: Mapping[str, Any]) -> None:
        if self.task.state == "queued" and nth == self.waits:
            self.start_worker(event)

    def kill_triggerer(self, down: float) -> None:
        """All it runs is lost; another one takes over, or it comes back, after `down` seconds."""
        if not self.triggerer_is_up:
            return
        self.say(f"the triggerer dies, for {down:.0f} s")
        self.triggerer_is_up, self.lookout = False, None
        for process in self.triggers:
            self.kill(process)

        def back() -> None:
            self.triggerer_is_up = True
            if self.task.state == "deferred":
                self.start_trigger(self.waits)

        self.later(down, back)

    # ---- people

    def end_deferred(self) -> None:
        """What the triggerer does, if it is up, with a trigger whose task a person has cleared or marked."""
        trigger, nth = self.trigger, self.waits

        def kill() -> None:
            if not self.triggerer_is_up or trigger is None or trigger.nth != nth or not trigger.process.is_running:
                self.hurt.add("unheard")  # no triggerer has this trigger now, nor ever will: its row is gone
                return
            if not self.parts.ends_deferred:
                return
            self.kill(trigger.process)
            ending = self.spawn("trigger on_kill", trigger.on_kill)
            if not self.is_calm and self.random.random() < 0.15:
                self.later(self.random.uniform(0.5, 6.0), lambda: self.kill(ending))

        self.later(self.random.uniform(0.5, 15.0), kill)

    def clear(self) -> None:
        task = self.task
        if task.is_gone or task.state in ("queued", "up_for_retry"):
            return
        self.say("a person clears the task")
        self.hurt.add("cleared")
        if task.state == "running":
            # RESTARTING: the same generation, and always tried again.
            self.terminate(self.worker)
            task.state = "restarting"
            number = task.try_number
            self.later(self.random.uniform(2, 90), lambda: self.restart(number))
            return
        if task.state == "deferred":
            self.end_deferred()
        if task.state in OVER:
            task.since = self.now
        task.max_tries = task.try_number + task.retries
        task.state, task.fault = "queued", None
        number = task.try_number
        self.waits += 1
        self.later(self.random.uniform(0.5, 30), lambda: self.restart(number))

    def restart(self, number: int) -> None:
        if self.task.state in ("queued", "restarting") and self.task.try_number == number:
            self.start_worker()

    def mark_failed(self, *, delete: bool = False) -> None:
        task = self.task
        if task.state in OVER or task.is_gone:
            return
        self.say(f"a person {'deletes the run' if delete else 'marks the task failed'}")
        self.hurt.add("marked")
        if task.state == "running":
            self.terminate(self.worker)
        elif task.state == "deferred":
            self.end_deferred()
        else:
            self.hurt.add("unheard")  # between two processes
        task.is_gone = delete
        self.over("failed", "person")

    def meddle(self, what: str = "") -> None:
        """A person at AWS's console, with one of the clusters."""
        live = self.emr.live()
        if not live:
            return
        cluster, what = self.random.choice(live), what or self.random.choice(("protect", "add", "end"))
        self.say(f"a person does {what} to {cluster.cluster_id}")
        self.hurt.add(what)
        if what == "protect":
            cluster.is_protected = True
        elif what == "end":
            cluster.end(self.now, "USER_REQUEST")
        else:
            ends = self.random.choice(("COMPLETED", "FAILED"))
            cluster.steps.append(StepModel("by-hand.py", self.random.uniform(10, 4000), ends, own=False))

    def lose_store(self) -> None:
        self.say("the store is lost")
        self.hurt.add("lost store")
        self.store.rows.clear()

    # ---- as `Tasks` of a sweep

    def states(self, keys: Collection[RunKey]) -> Mapping[RunKey, TaskState]:
        gone = Gone.RUN if self.task.is_gone else None
        state = {"queued": "scheduled"}.get(self.task.state, self.task.state)
        mine = TaskState(None if gone else state, gone)
        return {key: mine if key == KEY else TaskState("deferred") for key in keys}

    def strays_of(self, lookout: Lookout) -> Strays:
        """Those of the triggerer that has this lookout."""
        if self.strays is None or self.strays[0] is not lookout:
            sweep = self.parts.sweep(lookout.client, self, KEY.deployment, clock=self.clock)  # type: ignore[arg-type]
            self.strays = lookout, Strays(sweep, clock=self.clock)
        return self.strays[1]

    def sweep(self) -> None:
        sweep = self.parts.sweep(self.parts.client(Aws(self.emr)), self, KEY.deployment, clock=self.clock)  # type: ignore[arg-type]
        sweep.end(judged for judged in sweep.look() if judged.kind is Kind.ORPHAN)


@dataclass
class Worker:
    """One process of one try."""

    world: World
    name: str
    number: int
    life: str
    event: Mapping[str, Any] | None
    until: float | None
    engine: Engine | None = None
    is_ended: bool = False
    """Whether it got SIGTERM while it was connecting."""
    process: Process = field(init=False)

    def run(self) -> None:
        world = self.world
        try:
            world.sleep(world.random.uniform(0.5, 5.0))  # it parses the DAG and connects
            self.engine = world.engine()
            if self.is_ended and world.parts.ends_on_kill:
                self.engine.stop()
            way = self.engine.begin() if self.event is None else self.engine.after(self.event)
            if isinstance(way, Ended):
                with self.engine.reporting(way):
                    lost = world.parts.verdict(way.cluster, way.steps, max_runtime=timedelta(seconds=MAX_RUNTIME))
                    if lost is not None:
                        raise lost
        except Exception as error:
            self._failed(classify(error))
            return
        world.sleep(0.05)
        if not world.is_valid(self):
            world.say(f"{self.name} reports, and is not heard")
        elif way is None:
            world.failed("worker", transient=True)
        elif isinstance(way, Wait):
            world.say(f"{self.name} waits for {way.cluster_id}")
            deadline = (way.deadline - moment(0)).total_seconds()
            world.defer(way if self.until is None or deadline < self.until else _until(way, self.until), self.until)
        else:
            world.reports.append(Report(way.cluster.cluster_id, self.life, world.now))
            world.over("success", "worker")

    def _failed(self, found: FaultError) -> None:
        world = self.world
        world.say(f"{self.name} fails: {found}")
        world.sleep(0.05)
        if world.is_valid(self):
            world.task.fault = found
            world.failed("worker", transient=isinstance(found, TransientFault))


def _until(wait: Wait, until: float) -> Wait:
    return Wait(wait.key, wait.cluster_id, wait.name, moment(until), wait.settled)


@dataclass
class Trigger:
    """One wait in a triggerer."""

    world: World
    nth: int
    wait: Wait
    until: float | None
    since: float
    process: Process = field(init=False)

    def run(self) -> None:
        world = self.world
        if world.lookout is None:
            client = world.parts.client(Aws(world.emr), attempts=2)  # type: ignore[arg-type]
            world.lookout = world.parts.lookout(client, clock=world.clock)
        lookout = world.lookout
        lookout.join(self.wait.cluster_id)
        subject = Subject(
            self.wait.cluster_id, KEY, moment(self.since), self.wait.deadline, world.task.steps, self.wait.settled
        )
        watch, begins = world.parts.watch(subject, clock=world.clock), True
        world.sleep(watch.until_first_look())
        while True:
            seen = watch.look(lookout)
            world.strays_of(lookout).end(lookout, KEY, begins=begins)
            begins = begins and watch.failing
            if isinstance(seen, dict):
                lookout.leave(self.wait.cluster_id)
                world.sleep(0.1)
                world.event(self.nth, seen)
                return
            world.sleep(seen)

    def on_kill(self) -> None:
        client = self.world.parts.client(Aws(self.world.emr), attempts=2)  # type: ignore[arg-type]
        try:
            if not client.describe(self.wait.cluster_id).terminal:
                client.terminate([self.wait.cluster_id], why="killed")
        except Exception as error:
            self.world.hurt.add("unended")
            self.world.say(f"on_kill fails: {classify(error)}")


def _fate(dice: float) -> str:
    shares = (("no capacity", 0.12), ("spot loss", 0.17), ("failure", 0.25), ("hang", 0.28))
    return next((what for what, share in shares if dice < share), "success")


# ---- a schedule


def _chances(dice: random.Random) -> Chances:
    rough = dice.choice((0.0, 0.3, 1.0))
    return Chances(
        kill=dice.choice((0, 0, 0.005, 0.03)) * rough,
        stall=dice.choice((0, 0, 0.01)) * rough,
        throttled=dice.choice((0, 0.1, 0.3)) * rough,
        error=dice.choice((0, 0, 0.15)) * rough,
        lost=dice.choice((0, 0, 0.1)) * rough,
        late=dice.choice((0, 0, 0.1)) * rough,
        refused=dice.choice((0, 0, 0, 0.1)),
        store=dice.choice((0, 0, 0, 0.02)) * rough,
        zombie=dice.choice((0, 0, 0.3)),
    )


def _rough(dice: random.Random) -> Chances:
    return Chances(
        kill=dice.choice((0, 0.03)),
        stall=dice.choice((0, 0.02)),
        throttled=0.1,
        error=dice.choice((0, 0.1)),
        lost=0.15,
        late=0.15,
        refused=dice.choice((0, 0.1)),
        zombie=dice.choice((0, 0.5)),
    )


def world_of(seed: int, parts: Parts | None = None) -> World:
    dice = random.Random(seed)
    task = Task(
        retries=dice.choice((0, 1, 2, 2)),
        timeout=dice.choice((None, None, None, None, 3000.0)),
        placements=dice.choice((1, 1, 3)),
        steps=dice.choice((1, 1, 2)),
    )
    task.max_tries = task.retries
    parts = parts or Parts()
    chances = _rough(dice) if parts.is_rough else _chances(dice)
    lag = 40.0 if parts.is_rough else dice.choice((0.0, 0.0, 20.0, 40.0))
    world = World(seed, parts, dice, chances, task, lag=lag)
    world.later(0.0, world.start_worker)
    happens: tuple[Callable[[], object], ...] = (
        world.clear, world.mark_failed, world.meddle, world.lose_store,
        lambda: world.kill_triggerer(dice.uniform(5, 3000)), lambda: world.mark_failed(delete=True),
        world.clear, lambda: world.start_trigger(world.waits),
        lambda: (world.kill_triggerer(dice.uniform(600, 3000)), world.later(dice.uniform(1, 500), world.mark_failed)),
    )  # fmt: skip
    if parts.is_hasty:
        chances.zombie = 1.0
    if parts.happens:
        world.later(dice.choice((dice.uniform(3, 30), dice.uniform(30, 8000))), getattr(world, parts.happens))
    for _ in range(dice.choice((0, 1, 1, 2, 3))):
        # Most of what can go wrong goes wrong in the first minutes, or when the work is nearly done.
        at = dice.choice((dice.uniform(0, 30), dice.uniform(0, 900), dice.uniform(900, 8000)))
        world.later(at, dice.choice(happens))
    return world


def play(seed: int, parts: Parts | None = None) -> World:
    """One schedule, to its end; `check` says what is wrong with it."""
    world = world_of(seed, parts)
    horizon = 8000 + world.random.uniform(0, 4000)
    world.run(lambda: world.now > horizon)
    finish(world)
    return world


def finish(world: World) -> None:
    """From now on nothing goes wrong, and nobody does anything."""
    world.is_calm = True
    world.run(lambda: world.task.state in OVER and not any(p.is_running for p in world.workers))
    _settle(world)


def _settle(world: World) -> None:
    """After the task's end: what is left by then, by whom it is found, and that it ends by itself at the latest."""
    if world.task.state not in OVER:
        world.wrong.append(f"the task ends as {world.task.state}")
        return
    quiet = max(world.now, world.task.ended_at + 400)  # what was late has come, and whoever was told to end it has
    world.run(lambda: world.now > quiet)
    world.now = max(world.now, quiet)
    _judge_left(world)
    world.now += 400  # past the grace of a janitor
    swept = world.spawn("janitor", world.sweep)
    world.run(lambda: not swept.is_running)
    if left := [c.cluster_id for c in world.emr.live()]:
        world.wrong.append(f"the janitor leaves {left}")


def _judge_left(world: World) -> None:
    """Clusters that run on although one of our processes acted at the end, and nothing stood in its way."""
    left = world.emr.live()
    excused = world.hurt & {"killed", "missed", "unended", "unheard"} or _could_not_speak(world.task.fault)
    if left and world.task.ended_by != "airflow" and not excused and not world.chances.stall:
        world.wrong.append(f"{[c.cluster_id for c in left]} runs on after the end, by {world.task.ended_by}")


def _could_not_speak(fault: FaultError | None) -> bool:
    return fault is not None and fault.code.startswith(("AWS_", "NETWORK"))


def check(world: World) -> list[str]:
    """Everything that is wrong with a schedule that was played."""
    return [*so_far(world), *_unreported(world)]


def so_far(world: World) -> list[str]:
    """What is wrong already, whatever comes."""
    wrong = [*world.wrong, *_lies(world), *_touched(world)]
    if "throttled start" in world.hurt and world.hurt & {"missed", "killed", "stood still"}:
        # AWS has done what it has refused, and the worker died, was given up or stood still: none is left to see it.
        return wrong
    return [*wrong, *_twice(world), *_beside(world)]


def _touched(world: World) -> list[str]:
    strange = (cluster for cluster in world.emr.clusters.values() if cluster.is_strange)
    return [
        f"{cluster.cluster_id}, which is somebody else's, was touched: {cluster.state}, {cluster.tags}"
        for cluster, (_, tags) in zip(strange, STRANGERS, strict=True)
        if cluster.gone_at is not None or cluster.tags != tags or cluster.is_protected
    ]


def _twice(world: World) -> list[str]:
    done: dict[str, list[str]] = {}
    for cluster in world.emr.ours:
        if cluster.is_complete:
            done.setdefault(cluster.tags["sluicegate:generation"], []).append(cluster.cluster_id)
    return [f"{ids} both did the work of {life}" for life, ids in done.items() if len(ids) > 1]


def _lies(world: World) -> list[str]:
    wrong, told = [], set[str]()
    for report in world.reports:
        cluster = world.emr.clusters[report.cluster_id]
        if not cluster.is_complete or cluster.completed_at > report.at:
            wrong.append(f"{report.cluster_id} is reported and did not do the work")
        if report.cluster_id in told:
            wrong.append(f"{report.cluster_id} is reported again after a person has cleared the task")
        told.add(report.cluster_id)
    if (world.task.state == "success") != bool(world.reports and world.reports[-1].generation == world.task.generation):
        wrong.append(f"the task is {world.task.state} with the reports {world.reports}")
    return wrong


def _unreported(world: World) -> list[str]:
    """Work of the last generation that was done in time, and for which the task failed by its own word all the same."""
    task = world.task
    if task.state != "failed" or task.ended_by != "worker" or _could_not_speak(task.fault):
        return []
    return [
        f"{c.cluster_id} did the work, and the task failed: {task.fault}"
        for c in world.emr.ours
        if c.is_complete and c.tags["sluicegate:generation"] == task.generation and c.completed_at < task.ended_at
    ]


def _beside(world: World) -> list[str]:
    """Clusters that ran their steps at the same time."""
    spans = sorted(
        (c.ran, max((s.ended or world.now) for s in c.steps if s.own), c.cluster_id)
        for c in world.emr.ours
        if c.ran is not None
    )
    return [
        f"{one[2]} and {two[2]} ran at the same time for {one[1] - two[0]:.0f} s"
        for one, two in pairwise(spans)
        if two[0] < one[1]
    ]

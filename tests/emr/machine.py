"""The engine in the models of EMR and Airflow, as a state machine: hypothesis chooses what happens next.

What happens by chance in `simulation.py` is done here one rule at a time, so that a schedule that breaks a promise
comes out as the few steps that are needed for it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sluicegate.faults import FaultError
from tests.emr.simulation import OVER, Chances, Parts, Task, World, check, finish, so_far

ACTIONS = ("RunJobFlow", "ListClusters", "DescribeCluster", "ListSteps", "TerminateJobFlows", "AddTags")

MOMENTS: dict[str, Callable[[World, int], bool]] = {
    "it has connected": lambda world, _: world.worker is not None and world.worker.engine is not None,
    "a cluster is made": lambda world, before: len(world.emr.ours) > before,
    "it works": lambda world, _: world.task.state == "running",
    "it waits": lambda world, _: world.task.state == "deferred",
    "a cluster runs": lambda world, _: any(cluster.state == "RUNNING" for cluster in world.emr.live()),
    "a cluster ends": lambda world, _: any(cluster.state == "TERMINATING" for cluster in world.emr.ours),
    "it is over": lambda world, _: world.task.state in OVER,
}
"""Moments worth waiting for; beside the world they are given how many clusters there were before."""

LIKELY = (*MOMENTS, *["a cluster is made"] * 4)
"""Most of what is subtle happens right then."""


def kill_worker(world: World, *, is_noticed: bool) -> None:
    """Its supervisor may notice it at once, or may be dead too."""
    if (worker := world.worker) is not None:
        world.kill(worker.process)
        if is_noticed:
            world.later(0.5, lambda: world.miss(worker))


def give_up_worker(world: World) -> None:
    """The scheduler does, of a worker that lives: with another try, two work at once."""
    if world.worker is not None:
        world.miss(world.worker)


HAPPENS: dict[str, Callable[[World], object]] = {
    "the worker is killed": lambda world: kill_worker(world, is_noticed=True),
    "the worker's machine is gone": lambda world: kill_worker(world, is_noticed=False),
    "the worker is given up": give_up_worker,
    "the triggerer dies": lambda world: world.kill_triggerer(world.random.choice((5.0, 300.0, 3000.0))),
    "a person clears it": World.clear,
    "a person marks it failed": World.mark_failed,
    "a person marks it failed without a triggerer": lambda world: (world.kill_triggerer(1e3), world.mark_failed()),
    "a person clears it without a triggerer": lambda world: (world.kill_triggerer(1e3), world.clear()),
    "a person ends its cluster": lambda world: world.meddle("end"),
    "the store is lost": World.lose_store,
}


class ClusterMachine(RuleBasedStateMachine):
    """One task. `parts` is what a test breaks on purpose."""

    parts = Parts()
    world: World

    @initialize(
        seed=st.integers(0, 2**32),
        retries=st.integers(0, 2),
        timeout=st.sampled_from((None, None, 3000.0)),
        placements=st.sampled_from((1, 3)),
        steps=st.sampled_from((1, 2)),
        lag=st.sampled_from((0.0, 40.0)),
        retry_after=st.sampled_from((None, 0.1, 20.0)),
    )
    def start(
        self,
        seed: int,
        retries: int,
        timeout: float | None,
        placements: int,
        steps: int,
        lag: float,
        retry_after: float | None,
    ) -> None:
        task = Task(retries, timeout, placements, steps, max_tries=retries)
        self.world = World(seed, self.parts, random.Random(seed), Chances(), task, is_fateful=False)
        self.world.lag, self.world.retry_after = lag, retry_after
        self.world.later(0.0, lambda: self.world.restart(0))

    # ---- time

    @rule(seconds=st.sampled_from((0.1, 0.5, 2.0, 10.0, 40.0)))
    def a_moment_passes(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(minutes=st.sampled_from((2, 5, 10, 30, 70)))
    def minutes_pass(self, minutes: int) -> None:
        self.world.pass_time(60.0 * minutes)

    @rule(moment=st.sampled_from(LIKELY), then=st.sampled_from((*HAPPENS, "")))
    def time_passes_until(self, moment: str, then: str) -> None:
        """And then something happens, or nothing does."""
        world, latest, before = self.world, self.world.now + 6000, len(self.world.emr.ours)
        world.run(lambda: MOMENTS[moment](world, before) or not world.agenda or world.agenda[0][0] > latest)
        if then and MOMENTS[moment](world, before):
            HAPPENS[then](world)

    # ---- what EMR does

    @rule(
        action=st.sampled_from(ACTIONS),
        trouble=st.sampled_from(("throttled", "obeyed", "error", "lost", "late", "refused")),
        times=st.sampled_from((1, 1, 1, 2, 7)),
    )
    def calls_go_wrong(self, action: str, trouble: str, times: int) -> None:
        """Throttled, or only said to be; answers that are lost before the effect (`error`) or after it; refusals."""
        if trouble == "refused" and action != "RunJobFlow":
            trouble = "error"
        if trouble == "late" and action in ("ListClusters", "DescribeCluster", "ListSteps"):
            trouble = "lost"
        self.world.armed += [(action, trouble)] * times

    @rule(fate=st.sampled_from(("no capacity", "spot loss", "failure", "hang")))
    def the_next_cluster_comes_to_grief(self, fate: str) -> None:
        self.world.fates.append(fate)

    # ---- what becomes of processes

    @rule(pauses=st.integers(1, 25), what=st.sampled_from(("die", "stall")))
    def a_process_will_die_or_stall(self, pauses: int, what: str) -> None:
        self.world.plan[what] = pauses

    @precondition(lambda self: self.world.task.state == "deferred")
    @rule()
    def a_second_triggerer_takes_the_trigger(self) -> None:
        self.world.start_trigger(self.world.waits)

    # ---- what people do

    @rule(what=st.sampled_from(tuple(HAPPENS)))
    def something_happens(self, what: str) -> None:
        HAPPENS[what](self.world)

    @precondition(lambda self: self.world.emr.live())
    @rule(what=st.sampled_from(("protect", "add")))
    def a_person_meddles_with_a_cluster(self, what: str) -> None:
        self.world.meddle(what)

    @rule()
    def a_janitor_sweeps(self) -> None:
        self.world.spawn("janitor", self.sweep)

    def sweep(self) -> None:
        with suppress(FaultError):  # the next one finds what it has left
            self.world.sweep()

    # ---- what holds

    @invariant()
    def no_promise_is_broken(self) -> None:
        """No cluster beside another, no work twice, no lie, nothing of others touched."""
        assert so_far(self.world) == [], "\n".join(self.world.said)

    def teardown(self) -> None:
        """And when all is quiet nothing is left."""
        if hasattr(self, "world"):
            finish(self.world)
            assert check(self.world) == [], "\n".join(self.world.said)


def schedules(count: int) -> settings:
    """So many, each of up to thirty rules, and always the same ones."""
    return settings(
        max_examples=count,
        stateful_step_count=30,
        deadline=None,
        database=None,
        derandomize=True,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )

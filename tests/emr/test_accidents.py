"""Every accident, with a `spark` step and with the stock operators: clusters started, left, steps run, the run's state.

docs/clusters.md shows the table that comes of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sluicegate.testing.emr import AwsError, LostAnswerError, ScriptedEmr
from tests.docs.tables import DOCS, between
from tests.emr.accidents import Flow, KilledError, Spark, Stock, World, accidents

pytestmark = pytest.mark.system

SHOWN = between((DOCS / "clusters.md").read_text(encoding="utf-8"), "accidents")[0].splitlines()

PLACES = {
    "release": "emr-7.13.0",
    "instances": {"primary": "m7g.xlarge"},
    "subnets": ["subnet-0a1b2c3d", "subnet-4e5f6a7b"],
    "log_uri": "s3://logs/emr/",
}
"""A cluster that may be tried in two subnets."""

Accident = Callable[[World, Flow], None]


def killed(world: World) -> None:
    raise KilledError


def before(action: str, what: Callable[[World], object]) -> Accident:
    """Something happens before the first call of an action."""
    return lambda world, flow: world.on_call.update({("before", action): [lambda: what(world)]})


def after(action: str, what: Callable[[World], object]) -> Accident:
    return lambda world, flow: world.on_call.update({("after", action): [lambda: what(world)]})


def running(what: Callable[[World, Flow], object]) -> Accident:
    """Something happens while the job runs."""
    return lambda world, flow: world.while_running.append(lambda: what(world, flow))


def dies_at_message(world: World) -> None:
    world.kill_at_message = True


def dies_at_call(world: World) -> None:
    world.kill_at_call = True


def no_capacity(world: World) -> None:
    code = "INTERNAL_ERROR_EC2_INSUFFICIENT_CAPACITY_AZ"
    world.emr.end([*world.emr.clusters][-1], "TERMINATED_WITH_ERRORS", "INTERNAL_ERROR", error=code)


def lost(world: World, flow: Flow) -> None:
    [cluster] = world.emr.live()
    world.emr.end(cluster, "TERMINATED_WITH_ERRORS", "INSTANCE_FAILURE", error="INTERNAL_ERROR_SPOT_LOSS_PRIMARY")


def killed_in_on_kill(world: World, flow: Flow) -> None:
    world.on_call["before", "TerminateJobFlows"] = [lambda: killed(world)]
    flow.mark_failed()


def throttled(times: int = 3) -> list[Any]:
    return [AwsError("ThrottlingException", 400, "Rate exceeded") for _ in range(times)]


def protected(world: World, flow: Flow) -> None:
    for cluster in world.emr.clusters.values():
        cluster["Protected"] = True
    flow.mark_failed()


def behind(world: World, flow: Flow) -> None:
    world.emr.after["RunJobFlow"] = [LostAnswerError()]
    world.emr.behind = 4


def step_by_hand(world: World, flow: Flow) -> None:
    [cluster] = world.emr.live()
    world.emr.call("AddJobFlowSteps", {"JobFlowId": cluster, "Steps": [{"Name": "by hand"}]})


@dataclass(frozen=True)
class Row:
    """`steps`: how often the job is to run. `state`: of the run in the end. `then`: the flow's method that follows."""

    title: str
    accident: Accident
    steps: int = 1
    state: str = "success"
    then: str = ""


@dataclass(frozen=True)
class Seen:
    started: int
    left: int
    steps: int
    state: str

    def __str__(self) -> str:
        bad = f"**{self.left} left**" if self.left else "0 left"
        return f"{self.started} started, {bad}, {self.steps} run, {self.state}"


ROWS = [
    Row("nothing", lambda world, flow: None),
    Row("worker killed before RunJobFlow is sent", before("RunJobFlow", killed)),
    Row("worker killed after its effect, before its answer", after("RunJobFlow", killed)),
    Row("worker killed before it notes the answer", after("RunJobFlow", dies_at_message)),
    Row("worker killed right after, while the cluster starts", after("RunJobFlow", dies_at_call)),
    Row("what waits is killed while the job runs", running(lambda world, flow: flow.kill_waiting())),
    Row("killed at success, before it is reported", lambda world, flow: flow.kill_reporting()),
    Row("what waits fails", running(lambda world, flow: flow.lose(RuntimeError("connection reset")))),
    Row("two workers at once", lambda world, flow: before("RunJobFlow", lambda _: flow.second_worker())(world, flow)),
    Row("RunJobFlow throttled", lambda world, flow: world.emr.before.update(RunJobFlow=throttled())),
    Row("ListClusters throttled", lambda world, flow: world.emr.before.update(ListClusters=throttled())),
    Row("RunJobFlow's answer lost", lambda world, flow: world.emr.after.update(RunJobFlow=[LostAnswerError()])),
    Row("the same, and ListClusters is a minute behind", behind),
    Row("no capacity in the first subnet", after("RunJobFlow", no_capacity), steps=1),
    Row("the cluster is lost while the job runs", running(lost), steps=2),
    Row("the job hangs", lambda world, flow: setattr(world, "stuck", True), state="failed"),
    Row("a step added by hand", running(step_by_hand), steps=2),
    Row("cleared while the job runs", running(lambda world, flow: flow.clear()), steps=2),
    Row("the same, while there is no triggerer", running(lambda world, flow: flow.clear(triggerer=False)), steps=2),
    Row("cleared after success", lambda world, flow: None, steps=2, then="run_again"),
    Row("marked failed", running(lambda world, flow: flow.mark_failed()), state="failed"),
    Row("marked failed, and protected by hand", running(protected), state="failed"),
    Row("marked failed while there is no triggerer, then the next run",
        running(lambda world, flow: flow.mark_failed(triggerer=False)), steps=2, then="next_run"),
    Row("marked failed, and what ends the cluster is killed, then the next run",
        running(killed_in_on_kill), steps=2, then="next_run"),
    Row("run deleted", running(lambda world, flow: flow.delete_run()), state="gone"),
    Row("run deleted while there is no triggerer, then the next run",
        running(lambda world, flow: flow.delete_run(triggerer=False)), steps=2, then="next_run"),
]  # fmt: skip


CONTENDERS: dict[str, Callable[[World, Path], Any]] = {
    "a `spark` step": lambda world, root: Spark(world, root, {"cluster": PLACES}),
    "create, add steps, terminate": lambda world, root: Stock(world, alone=False),
    "create with its steps": lambda world, root: Stock(world, alone=True),
}


def measure(aws: ScriptedEmr, row: Row, flow_of: Callable[[World], Any]) -> Seen:
    """What comes of it; what runs on is let run to its end."""
    aws.clusters.clear()
    with accidents(aws) as world:
        flow = flow_of(world)
        row.accident(world, flow)
        state = flow.run()
        if row.then:
            state = getattr(flow, row.then)()
        world.while_running.clear()
        if not world.stuck:
            world.until(lambda: not world.running)
        return Seen(len(aws.clusters), len(aws.live()), world.steps_run, state)


@pytest.mark.parametrize("row", ROWS, ids=[row.title for row in ROWS])
def test_one_cluster_runs_the_job_and_none_is_left(aws: ScriptedEmr, root: Path, row: Row) -> None:
    seen = [measure(aws, row, lambda world, of=of: of(world, root)) for of in CONTENDERS.values()]
    assert (seen[0].left, seen[0].steps, seen[0].state) == (0, row.steps, row.state)
    line = f"| {row.title} | {' | '.join(map(str, seen))} |"
    assert line in SHOWN, f"docs/clusters.md does not have\n{line}"


def test_the_table_in_the_docs_has_no_other_row() -> None:
    assert SHOWN[0] == f"| what happens | {' | '.join(CONTENDERS)} |"
    assert [line.split(" | ")[0].strip("| ") for line in SHOWN[2:]] == [row.title for row in ROWS]

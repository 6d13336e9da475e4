"""Faults on purpose at the local EMR: when they happen, and what a client then sees. No server, no process."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from sluicegate.local.aws.chaos import Chaos
from sluicegate.local.aws.chaos_control import CONTROL, ChaosApi
from sluicegate.local.aws.errors import LostAnswerError
from sluicegate.local.aws.plan import PRESET, Fault, Plan, PlanError
from tests.local.test_aws_emr import wait_for
from tests.local.test_emr_contract import FLEETS, GROUPS, STEP, Emr


@pytest.fixture
def emr(tmp_path: Path) -> Iterator[Emr]:
    made = Emr(tmp_path / "state")
    yield made
    made.player.goes_on.set()
    made.fleet.close()


def test_a_plan_is_read_and_written_alike() -> None:
    plan = Plan.parse(" throttling=0.2, capacity=1 ,seed=7")
    assert plan == Plan({Fault.THROTTLING: 0.2, Fault.CAPACITY: 1.0}, 7)
    assert Plan.parse(str(plan)) == plan
    assert str(plan) == "throttling=0.2,capacity=1,seed=7"
    assert Plan.parse("default").rates == PRESET
    assert Plan.parse("default,throttling=0").rates[Fault.THROTTLING] == 0
    assert not Plan()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("throtling=0.2", "Unknown fault 'throtling' (did you mean 'throttling'?): expected throttling, server-error"),
        ("capacity", "'capacity' has no rate: write <fault>=<rate>"),
        ("defualt", "'defualt' has no rate (did you mean 'default'?)"),
        ("capacity=2", "The rate of capacity is '2': expected a number between 0 and 1, as in capacity=0.2"),
        ("capacity=often", "The rate of capacity is 'often'"),
        ("capacity=0.1,seed=x", "The seed is 'x': expected a whole number"),
        ("", "The plan '' names no fault"),
    ],
)
def test_a_plan_that_cannot_be_read_says_what_was_expected(text: str, says: str) -> None:
    with pytest.raises(PlanError) as caught:
        Plan.parse(text)
    assert says in str(caught.value)


def throttled(seed: int, calls: int) -> list[bool]:
    chaos = Chaos(Plan.parse(f"throttling=0.3,seed={seed}"))
    return [chaos.on_call("ListClusters").error is not None for _ in range(calls)]


def test_the_seed_decides_when_and_the_rate_how_often() -> None:
    first = throttled(1, 400)
    assert first == throttled(1, 400)
    assert first != throttled(2, 400)
    assert 80 < sum(first) < 160


def test_what_a_cluster_meets_does_not_depend_on_what_else_runs(tmp_path: Path) -> None:
    def met(names: list[str]) -> dict[str, list[bool]]:
        chaos, found = Chaos(Plan.parse("lost-response=0.5,seed=1")), dict[str, list[bool]]()
        for name in names:
            weather = chaos.on_call("RunJobFlow", name)
            try:
                weather.after()
            except LostAnswerError:
                found.setdefault(name, []).append(True)
            else:
                found.setdefault(name, []).append(False)
        return found

    alone = [met([name] * 6) for name in ("a", "b")]
    both = met(["a", "b", "b", "a"] * 3)
    assert both == alone[0] | alone[1]
    assert both["a"] != both["b"]


def test_a_call_about_a_cluster_is_counted_with_it(emr: Emr, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []
    on_call = emr.chaos.on_call
    monkeypatch.setattr(emr.chaos, "on_call", lambda *said: (asked.append(said), on_call(*said))[1])
    cluster = emr.start(Name="mine")
    emr.answer("DescribeCluster", ClusterId=cluster)
    emr.answer("TerminateJobFlows", JobFlowIds=[cluster])
    emr.answer("ListClusters")
    assert asked == [
        ("RunJobFlow", "mine"), ("DescribeCluster", "mine"), ("TerminateJobFlows", "mine"), ("ListClusters", ""),
    ]  # fmt: skip


def test_a_throttled_call_does_nothing(emr: Emr, caplog: pytest.LogCaptureFixture) -> None:
    emr.chaos.arm("throttling", "ListClusters", skip=1)
    with caplog.at_level(logging.WARNING):
        assert emr.ask("ListClusters")[0] == 200
        assert emr.refusal("ListClusters") == "ThrottlingException: Rate exceeded"
        assert emr.ask("ListClusters")[0] == 200
    assert "chaos: throttling of ListClusters (number 1)" in caplog.messages
    emr.chaos.arm("server-error")
    assert emr.ask("RunJobFlow")[0] == 500
    assert emr.answer("ListClusters")["Clusters"] == []


@pytest.mark.parametrize("fault", ["lost-response", "read-timeout"])
def test_a_lost_answer_is_one_of_a_call_that_was_carried_out(emr: Emr, fault: str) -> None:
    emr.chaos.arm(fault, seconds=0.01)
    with pytest.raises(LostAnswerError):
        emr.start()
    assert len(emr.answer("ListClusters")["Clusters"]) == 1


def test_what_is_refused_is_answered_although_answers_are_lost(emr: Emr) -> None:
    emr.chaos.arm("lost-response")
    assert emr.refusal("RunJobFlow", Name="c").startswith("ValidationException")


def test_a_new_cluster_is_listed_later_and_described_at_once(emr: Emr) -> None:
    emr.chaos.arm("listing-lag", seconds=0.3)
    cluster = emr.start()
    assert emr.answer("ListClusters")["Clusters"] == []
    assert emr.status(cluster)
    wait_for(lambda: emr.answer("ListClusters")["Clusters"])


def test_a_cluster_that_starts_slowly_can_be_terminated(emr: Emr) -> None:
    emr.chaos.arm("slow-start", seconds=60)
    cluster = emr.start(Steps=[STEP])
    assert emr.status(cluster)["State"] == "STARTING"
    emr.answer("TerminateJobFlows", JobFlowIds=[cluster])
    emr.wait(cluster, "TERMINATED")


PRIMARY_ON_SPOT = [GROUPS[0] | {"Market": "SPOT"}]


@pytest.mark.parametrize(
    ("instances", "reason", "code"),
    [
        ({"InstanceGroups": GROUPS}, "INTERNAL_ERROR", "INTERNAL_ERROR_EC2_INSUFFICIENT_CAPACITY_AZ"),
        ({"InstanceGroups": PRIMARY_ON_SPOT}, "INTERNAL_ERROR", "INTERNAL_ERROR_SPOT_NO_CAPACITY_PRIMARY"),
        ({"InstanceFleets": FLEETS}, "INSTANCE_FLEET_TIMEOUT", None),
    ],
)
def test_without_capacity_a_cluster_ends_as_aws_documents_it(
    emr: Emr, instances: dict[str, Any], reason: str, code: str | None
) -> None:
    emr.chaos.arm("capacity")
    emr.chaos.arm("slow-start", seconds=0.05)
    cluster = emr.start(Instances=instances, Steps=[STEP])
    status = emr.wait(cluster, "TERMINATED_WITH_ERRORS")
    assert status["StateChangeReason"]["Code"] == reason
    assert [error["ErrorCode"] for error in status.get("ErrorDetails", [])] == ([code] if code else [])
    assert "ReadyDateTime" not in status["Timeline"]
    assert [step["State"] for step in emr.steps(cluster)] == ["CANCELLED"]


def test_a_step_fails_on_purpose_with_its_details(emr: Emr) -> None:
    emr.chaos.arm("step-failure")
    cluster = emr.start(Steps=[STEP])
    assert emr.wait(cluster, "TERMINATED_WITH_ERRORS")["StateChangeReason"]["Code"] == "STEP_FAILURE"
    assert emr.steps(cluster)[0]["FailureDetails"]["LogFile"] == "s3://logs/stderr.gz"


def test_without_its_spot_task_nodes_a_cluster_goes_on(emr: Emr) -> None:
    emr.chaos.arm("spot-loss", seconds=0.05)
    cluster = emr.start(Instances={"InstanceGroups": GROUPS}, Steps=[STEP])

    def lost() -> list[dict[str, Any]]:
        asked = {"ClusterId": cluster, "InstanceStates": ["TERMINATED"]}
        return list(emr.answer("ListInstances", **asked)["Instances"])

    gone = wait_for(lost)
    assert [row["Status"]["StateChangeReason"]["Code"] for row in gone] == ["INSTANCE_FAILURE"] * 3
    assert emr.status(cluster)["State"] == "RUNNING"
    emr.player.goes_on.set()
    emr.wait(cluster, "TERMINATED")


def test_without_its_spot_core_nodes_a_cluster_ends(emr: Emr) -> None:
    emr.chaos.arm("spot-loss", seconds=0.05)
    cluster = emr.start(Instances={"InstanceFleets": FLEETS}, Steps=[STEP])
    reason = emr.wait(cluster, "TERMINATED_WITH_ERRORS")["StateChangeReason"]
    assert reason == {"Code": "INSTANCE_FAILURE", "Message": "All slaves in the job flow were terminated due to Spot"}
    assert [step["State"] for step in emr.steps(cluster)] == ["INTERRUPTED"]


def test_a_cluster_on_demand_loses_nothing_to_the_spot_market(emr: Emr) -> None:
    emr.chaos.arm("spot-loss", seconds=0.01)
    emr.player.goes_on.set()
    cluster = emr.start(Steps=[STEP])
    emr.wait(cluster, "TERMINATED")
    assert emr.answer("ListInstances", ClusterId=cluster)["Instances"]
    assert emr.chaos.injected == {}


def control(chaos: Chaos, method: str, **said: Any) -> tuple[int, dict[str, Any]]:
    environ = EnvironBuilder(path=CONTROL, method=method, data=json.dumps(said)).get_environ()
    response = ChaosApi(chaos).respond(Request(environ))
    return response.status_code, json.loads(response.get_data())


@pytest.mark.parametrize("wrong", [{"times": 0}, {"skip": -1}, {"seconds": -5}])
def test_a_fault_that_is_to_happen_never_or_before_now_is_not_armed(wrong: dict[str, Any]) -> None:
    chaos = Chaos()
    with pytest.raises(ValueError, match="1 or more"):
        chaos.arm("throttling", **wrong)
    assert chaos.report()["armed"] == []


def test_one_exact_fault_is_armed_and_disarmed_from_outside() -> None:
    chaos = Chaos(Plan.parse("capacity=0.5"))
    status, said = control(chaos, "POST", fault="lost-response", action="AddTags", times=2)
    assert status == 200
    assert said["armed"] == [{"fault": "lost-response", "action": "AddTags", "times": 2, "skip": 0}]
    assert said["plan"] == "capacity=0.5,seed=122"
    assert control(chaos, "DELETE")[1]["armed"] == []
    assert control(chaos, "GET")[1]["injected"] == {}


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({}, "Expected an object with `fault`"),
        ({"fault": "throtling"}, "Unknown fault 'throtling'"),
        ({"fault": "capacity", "rate": 1}, "rate=1: expected fault, action, times, skip, seconds."),
        ({"fault": "throttling", "action": "ListCluster"}, "no action 'ListCluster' (did you mean 'ListClusters'?)."),
        ({"fault": "capacity", "action": "ListClusters"}, "capacity is a fault of a new cluster: expected RunJobFlow"),
        ({"fault": "capacity", "times": "2"}, "times='2': expected"),
    ],
)
def test_a_fault_that_cannot_be_armed_is_refused(said: dict[str, Any], says: str) -> None:
    status, body = control(Chaos(), "POST", **said)
    assert status == 400
    assert says in body["error"]


def test_the_rates_of_the_docs_are_those_of_the_preset() -> None:
    text = (Path(__file__).parents[2] / "docs/clusters.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| .* \| ([0-9.]+) \|$", text, re.MULTILINE))
    assert {fault: float(rows.pop(fault)) for fault in Fault} == {fault: PRESET.get(fault, 0) for fault in Fault}
    assert rows == {}

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sluicegate.emr.client import EmrClient
from sluicegate.emr.connection import Aws
from sluicegate.emr.names import RunKey
from sluicegate.faults import FatalFault, TransientFault
from sluicegate.testing.emr import AwsError, LostAnswerError

KEY = RunKey("d", "p", "r", "t")
SINCE = datetime(2026, 1, 1, tzinfo=UTC)


def request(name: str, **tags: str) -> dict[str, Any]:
    return {
        "Name": name,
        "Instances": {"TerminationProtected": False},
        "Steps": [{"Name": "a.py", "HadoopJarStep": {"Jar": "command-runner.jar"}}],
        "Tags": [{"Key": k, "Value": v} for k, v in ({"sluicegate:run": KEY.digest} | tags).items()],
    }


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def client(aws: Any, pauses: list[float]) -> EmrClient:
    return EmrClient(Aws("aws_default"), attempts=1, sleep=pauses.append)


def start(client: EmrClient, key: RunKey = KEY, attempt: int = 1) -> str:
    return client.start(key, attempt, request(key.name(attempt)), since=SINCE)


def test_a_cluster_is_found_by_name_behind_pages_of_others(aws: Any, client: EmrClient) -> None:
    start(client)
    for n in range(5):
        client.start(RunKey("d", "p", "r", f"other{n}"), 1, request(f"other-{n}"), since=SINCE)
    assert [found.cluster_id for found in client.find(KEY, since=None)] == ["j-0001"]


def test_a_name_without_our_tag_is_not_ours(aws: Any, client: EmrClient) -> None:
    start(client)
    aws.clusters["j-0001"]["Tags"].clear()
    assert client.find(KEY, since=None) == []


def test_ended_clusters_are_found_only_since_the_intent(aws: Any, client: EmrClient) -> None:
    start(client)
    aws.finish("j-0001")
    assert client.find(KEY, since=None) == []
    assert client.find(KEY, since=datetime.now(UTC) + timedelta(hours=1)) == []
    (found,) = client.find(KEY, since=datetime.now(UTC))
    assert found.complete


def test_throttling_is_waited_out_inside_the_call(aws: Any, client: EmrClient, pauses: list[float]) -> None:
    aws.before["RunJobFlow"] = [AwsError("ThrottlingException"), AwsError("InternalServerError", 500)]
    assert start(client) == "j-0001"
    assert len(aws.clusters) == 1
    assert pauses == [2.0, 5.0]


def test_a_lost_answer_is_found_before_a_second_call(aws: Any, client: EmrClient, pauses: list[float]) -> None:
    aws.after["RunJobFlow"] = [LostAnswerError()]
    assert start(client) == "j-0001"
    assert aws.calls.count("RunJobFlow") == 1
    assert not pauses


def test_a_lost_answer_of_a_cluster_that_ended_at_once_is_not_repeated(aws: Any, client: EmrClient) -> None:
    def lost() -> None:
        aws.end("j-0001", "TERMINATED_WITH_ERRORS", "VALIDATION_ERROR")
        raise LostAnswerError

    aws.after["RunJobFlow"] = [lost]
    assert start(client) == "j-0001"
    assert len(aws.clusters) == 1


def test_a_list_that_is_behind_is_read_again_after_the_pause(aws: Any, client: EmrClient) -> None:
    aws.after["RunJobFlow"] = [LostAnswerError()]
    aws.behind = 2
    assert start(client) == "j-0001"
    assert aws.calls.count("RunJobFlow") == 1


def test_an_outage_is_given_back_as_transient(aws: Any, client: EmrClient, pauses: list[float]) -> None:
    aws.before["RunJobFlow"] = [AwsError("InternalServerError", 500)] * 5
    with pytest.raises(TransientFault):
        start(client)
    assert len(pauses) == 4


def test_a_refusal_is_given_back_at_once(aws: Any, client: EmrClient, pauses: list[float]) -> None:
    aws.before["RunJobFlow"] = [AwsError("ValidationException")]
    with pytest.raises(FatalFault):
        start(client)
    assert not pauses


def test_a_protected_cluster_ends_all_the_same(aws: Any, client: EmrClient) -> None:
    cluster_id = start(client)
    aws.clusters[cluster_id]["Protected"] = True
    assert client.terminate_by_name(KEY, why="killed") == [cluster_id]
    assert aws.live() == []


def test_a_cluster_ends_also_when_it_cannot_be_marked(aws: Any, client: EmrClient) -> None:
    start(client)
    aws.before["AddTags"] = [AwsError("AccessDeniedException")]
    client.terminate_by_name(KEY, why="killed")
    assert aws.live() == []


def test_other_tasks_clusters_are_left_alone(aws: Any, client: EmrClient) -> None:
    start(client)
    assert client.terminate_by_name(RunKey("d", "p", "r", "other"), why="killed") == []
    assert aws.live() == ["j-0001"]


def test_steps_come_in_the_order_in_which_they_run(aws: Any, client: EmrClient) -> None:
    wanted = request(KEY.name(1)) | {"Steps": [{"Name": n, "HadoopJarStep": {"Jar": "x"}} for n in ("a", "b", "c")]}
    client.start(KEY, 1, wanted, since=SINCE)
    assert [step.name for step in client.steps("j-0001")] == ["a", "b", "c"]
    aws.run_step("j-0001", 0)
    assert [step.name for step in client.steps("j-0001")] == ["a", "b", "c"]

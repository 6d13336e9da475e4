from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sluicegate.emr.client import EmrClient
from sluicegate.emr.connection import Aws
from sluicegate.emr.names import RunKey
from sluicegate.emr.verdict import verdict
from sluicegate.faults import FatalFault, TransientFault
from sluicegate.testing.emr import AwsError

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
def client(aws: Any) -> EmrClient:
    return EmrClient(Aws("aws_default"), attempts=1)


def start(client: EmrClient, key: RunKey = KEY, attempt: int = 1) -> str:
    return client.run(request(key.name(attempt)))


def end(client: EmrClient, key: RunKey = KEY) -> None:
    client.terminate(client.live(key), why="killed")


def test_a_cluster_is_found_by_name_behind_pages_of_others(aws: Any, client: EmrClient) -> None:
    start(client)
    for n in range(5):
        client.run(request(f"other-{n}"))
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


def test_one_that_the_list_does_not_show_yet_is_found_by_its_id(aws: Any, client: EmrClient) -> None:
    start(client)
    aws.behind = 1
    assert client.find(KEY, since=SINCE) == []
    aws.behind = 1
    assert [found.cluster_id for found in client.find(KEY, since=SINCE, known="j-0001")] == ["j-0001"]


def test_one_that_aws_has_forgotten_is_not_found_by_its_id(aws: Any, client: EmrClient) -> None:
    aws.before["DescribeCluster"] = [AwsError("InvalidRequestException", 400, "Cluster id 'j-0001' is not valid.")]
    assert client.find(KEY, since=SINCE, known="j-0001") == []


def test_what_makes_a_cluster_is_never_repeated_by_itself(aws: Any) -> None:
    aws.before["RunJobFlow"] = [AwsError("InternalServerError", 500)]
    with pytest.raises(TransientFault):
        start(EmrClient(Aws("aws_default")))
    assert aws.clusters == {}


def test_a_refusal_is_given_back_as_a_fatal_fault(aws: Any, client: EmrClient) -> None:
    aws.before["RunJobFlow"] = [AwsError("ValidationException")]
    with pytest.raises(FatalFault):
        start(client)


def test_a_protected_cluster_ends_all_the_same(aws: Any, client: EmrClient) -> None:
    cluster_id = start(client)
    aws.clusters[cluster_id]["Protected"] = True
    end(client)
    assert aws.live() == []


def test_a_cluster_ends_also_when_it_cannot_be_marked(aws: Any, client: EmrClient) -> None:
    start(client)
    aws.before["AddTags"] = [AwsError("AccessDeniedException")]
    end(client)
    assert aws.live() == []


def test_other_tasks_clusters_are_left_alone(aws: Any, client: EmrClient) -> None:
    start(client)
    end(client, RunKey("d", "p", "r", "other"))
    assert aws.live() == ["j-0001"]


def test_steps_come_in_the_order_in_which_they_run(aws: Any, client: EmrClient) -> None:
    wanted = request(KEY.name(1)) | {"Steps": [{"Name": n, "HadoopJarStep": {"Jar": "x"}} for n in ("a", "b", "c")]}
    client.run(wanted)
    assert [step.name for step in client.steps("j-0001")] == ["a", "b", "c"]
    aws.run_step("j-0001", 0)
    assert [step.name for step in client.steps("j-0001")] == ["a", "b", "c"]


def test_a_step_that_never_ran_keeps_its_place_before_one_that_was_added_by_hand(aws: Any, client: EmrClient) -> None:
    wanted = request(KEY.name(1), **{"sluicegate:steps": "2"})
    client.run(wanted | {"Steps": [{"Name": n, "HadoopJarStep": {"Jar": "x"}} for n in ("a", "b")]})
    aws.call("AddJobFlowSteps", {"JobFlowId": "j-0001", "Steps": [{"Name": "by hand"}]})
    aws.finish("j-0001")
    aws.clusters["j-0001"]["Steps"][1] |= {"State": "CANCELLED", "Start": None}  # by a person, while a ran
    assert [step.name for step in client.steps("j-0001")] == ["a", "b", "by hand"]
    (found,) = client.find(KEY, since=SINCE)
    assert not found.complete


@pytest.mark.parametrize("written", ["2026-01-01 10:00", "tomorrow", ""])
def test_a_deadline_of_which_a_person_has_made_no_moment_breaks_nothing(
    aws: Any, client: EmrClient, written: str
) -> None:
    client.run(request(KEY.name(1), **{"sluicegate:not-after": written}))
    (found,) = client.find(KEY, since=None)
    assert (found.live, found.not_after) == (True, None)
    aws.finish("j-0001")
    cluster = client.describe("j-0001")
    assert verdict(cluster, [], max_runtime=timedelta(hours=1)) is not None

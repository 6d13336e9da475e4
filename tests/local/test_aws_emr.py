"""EMR's API and states against the real server; a step is a shell script here instead of a Spark job."""

from __future__ import annotations

import gzip
import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from sluicegate.local.aws import LocalAws, RootInUseError
from sluicegate.local.aws.clusters import Cluster, Step
from sluicegate.local.aws.deadline import split_deadline
from sluicegate.local.aws.errors import StepRejectedError
from sluicegate.local.aws.spark import Command
from tests.local.test_aws_s3 import client_of, error_code


def shell(cluster: Cluster, step: Step, work: Path) -> Command:
    deadline, args = split_deadline(step.args)
    if args[0] != "sh":
        raise StepRejectedError(f"not {args[0]}")
    return Command(tuple(args), {"PATH": "/usr/bin:/bin", "STEP_WORK": str(work)}, work, deadline)


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    root = tmp_path_factory.mktemp("emr") / "s3"
    with LocalAws(root, builder=shell, buckets=["logs"], slots=2) as server:
        yield server


@pytest.fixture(scope="module")
def emr(aws: LocalAws) -> Any:
    return client_of(aws, "emr")


def script(text: str, on_failure: str = "TERMINATE_CLUSTER", before: tuple[str, ...] = ()) -> dict[str, Any]:
    jar = {"Jar": "command-runner.jar", "Args": [*before, "sh", "-c", text]}
    return {"Name": text[:20], "ActionOnFailure": on_failure, "HadoopJarStep": jar}


ASKED: dict[str, Any] = {
    "Name": "c",
    "ReleaseLabel": "emr-7.13.0",
    "ServiceRole": "EMR_DefaultRole",
    "JobFlowRole": "EMR_EC2_DefaultRole",
    "LogUri": "s3://logs/emr/",
    "Tags": [{"Key": "run", "Value": "1"}],
    "Instances": {"MasterInstanceType": "m5.xlarge", "InstanceCount": 1},
}


def start(emr: Any, *steps: dict[str, Any], keep: bool = False, **more: Any) -> str:
    instances = {"KeepJobFlowAliveWhenNoSteps": keep, **more.pop("Instances", {})}
    if not {"InstanceGroups", "InstanceFleets"} & instances.keys():
        instances |= ASKED["Instances"]
    asked = {**ASKED, **more, "Instances": instances}
    return str(emr.run_job_flow(Steps=list(steps), **asked)["JobFlowId"])


def wait_for(look: Callable[[], Any], seconds: float = 180) -> Any:
    limit = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < limit, "it did not happen"
        time.sleep(0.02)
    return found


def state_of(emr: Any, cluster: str) -> str:
    return str(emr.describe_cluster(ClusterId=cluster)["Cluster"]["Status"]["State"])


def ended(emr: Any, cluster: str, seconds: float = 180) -> dict[str, Any]:
    wait_for(lambda: state_of(emr, cluster).startswith("TERMINATED"), seconds)
    found: dict[str, Any] = emr.describe_cluster(ClusterId=cluster)["Cluster"]
    return found


def steps_of(emr: Any, cluster: str) -> list[dict[str, Any]]:
    """In the order in which they were given."""
    return list(reversed(emr.list_steps(ClusterId=cluster)["Steps"]))


def states(emr: Any, cluster: str) -> list[str]:
    return [step["Status"]["State"] for step in steps_of(emr, cluster)]


def running(emr: Any, cluster: str) -> None:
    wait_for(lambda: "RUNNING" in states(emr, cluster))


def test_steps_run_in_order_and_the_cluster_ends_by_itself(emr: Any, aws: LocalAws, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    cluster = start(emr, script(f"echo 1 >> {mark}; echo out; echo err >&2"), script(f"echo 2 >> {mark}"))
    found = ended(emr, cluster)
    assert found["Status"]["State"] == "TERMINATED"
    assert found["Status"]["StateChangeReason"]["Code"] == "ALL_STEPS_COMPLETED"
    assert found["Tags"] == [{"Key": "run", "Value": "1"}]
    assert found["AutoTerminate"] is True
    assert "ErrorDetails" not in found["Status"]
    timeline = found["Status"]["Timeline"]
    assert timeline["CreationDateTime"] <= timeline["ReadyDateTime"] <= timeline["EndDateTime"]
    assert abs(datetime.now(UTC) - timeline["EndDateTime"]) < timedelta(minutes=1)
    assert states(emr, cluster) == ["COMPLETED", "COMPLETED"]
    assert mark.read_text() == "1\n2\n"
    step = steps_of(emr, cluster)[0]
    times = step["Status"]["Timeline"]
    assert times["CreationDateTime"] <= times["StartDateTime"] <= times["EndDateTime"]
    assert step["Config"]["Args"][0] == "sh"
    folder = aws.root / "logs/emr" / cluster / "steps" / step["Id"]
    assert gzip.decompress((folder / "stdout.gz").read_bytes()) == b"out\n"
    assert gzip.decompress((folder / "stderr.gz").read_bytes()) == b"err\n"
    assert b"exit code 0" in gzip.decompress((folder / "controller.gz").read_bytes())
    assert (aws.logs / cluster / step["Id"] / "stdout").read_text() == "out\n"


def test_a_failed_step_ends_the_cluster_with_its_reason(emr: Any) -> None:
    text = "echo 'Traceback (most recent call last):'; echo '  File'; echo 'ValueError: no such luck'; exit 3"
    cluster = start(emr, script(text), script("true"))
    status = ended(emr, cluster)["Status"]
    assert status["State"] == "TERMINATED_WITH_ERRORS"
    assert status["StateChangeReason"] == {"Code": "STEP_FAILURE", "Message": "Shut down as step failed"}
    failed, left = steps_of(emr, cluster)
    assert failed["Status"]["State"] == "FAILED"
    details = failed["Status"]["FailureDetails"]
    assert details["Message"] == "ValueError: no such luck"
    assert details["LogFile"] == f"s3://logs/emr/{cluster}/steps/{failed['Id']}/stdout.gz"
    assert left["Status"]["State"] == "CANCELLED"


def test_continue_goes_on_and_the_cluster_ends_well(emr: Any) -> None:
    cluster = start(emr, script("exit 1", "CONTINUE"), script("true"))
    status = ended(emr, cluster)["Status"]
    assert status["State"] == "TERMINATED"
    assert status["StateChangeReason"]["Code"] == "ALL_STEPS_COMPLETED"
    assert states(emr, cluster) == ["FAILED", "COMPLETED"]


def test_cancel_and_wait_keeps_the_cluster_for_more_steps(emr: Any) -> None:
    cluster = start(emr, script("exit 1", "CANCEL_AND_WAIT"), script("true"))
    wait_for(lambda: state_of(emr, cluster) == "WAITING")
    assert states(emr, cluster) == ["FAILED", "CANCELLED"]
    (added,) = emr.add_job_flow_steps(JobFlowId=cluster, Steps=[script("true")])["StepIds"]
    wait_for(lambda: states(emr, cluster)[-1] == "COMPLETED")
    assert emr.describe_step(ClusterId=cluster, StepId=added)["Step"]["Status"]["State"] == "COMPLETED"
    emr.terminate_job_flows(JobFlowIds=[cluster])
    assert ended(emr, cluster)["Status"]["StateChangeReason"]["Code"] == "USER_REQUEST"


def test_terminating_kills_the_running_step(emr: Any, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    cluster = start(emr, script(f"echo $$ > {mark}; sleep 600 & sleep 600"), script("true"))
    pid = int(wait_for(lambda: mark.exists() and mark.read_text()))
    emr.terminate_job_flows(JobFlowIds=[cluster])
    status = ended(emr, cluster)["Status"]
    assert status["State"] == "TERMINATED"
    assert status["StateChangeReason"] == {"Code": "USER_REQUEST", "Message": "Terminated by user request"}
    assert states(emr, cluster) == ["INTERRUPTED", "CANCELLED"]
    assert not is_alive(pid)
    emr.terminate_job_flows(JobFlowIds=[cluster])  # again is no error
    with pytest.raises(emr.exceptions.ClientError, match="may not be modified"):
        emr.add_job_flow_steps(JobFlowId=cluster, Steps=[script("true")])
    assert state_of(emr, cluster) == "TERMINATED"


def test_what_a_killed_guardian_left_is_killed_as_well(emr: Any, tmp_path: Path) -> None:
    mark = tmp_path / "pids"
    cluster = start(emr, script(f"sleep 600 & echo $PPID $$ $! > {mark}; wait"))
    guardian, *family = map(int, wait_for(lambda: mark.exists() and mark.read_text().split()))
    os.kill(guardian, signal.SIGKILL)
    assert ended(emr, cluster)["Status"]["StateChangeReason"]["Code"] == "STEP_FAILURE"
    wait_for(lambda: not any(is_alive(pid) for pid in family))


def test_what_a_step_leaves_behind_ends_with_it(emr: Any, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    cluster = start(emr, script(f"setsid sleep 600 & echo $! > {mark}"))
    assert ended(emr, cluster)["Status"]["State"] == "TERMINATED"
    assert not is_alive(int(mark.read_text()))


def test_what_was_asked_for_is_shown_again(emr: Any) -> None:
    settings = [{"Classification": "spark-defaults", "Properties": {"spark.a": "b"}, "Configurations": []}]
    more = {"Configurations": settings, "Applications": [{"Name": "Spark"}]}
    cluster = start(emr, ServiceRole="service", JobFlowRole="profile", **more)
    found = ended(emr, cluster)
    assert {name: found[name] for name in more} == more
    assert found["Ec2InstanceAttributes"]["IamInstanceProfile"] == "profile"
    assert found["ClusterArn"].endswith(cluster)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_protected_cluster_is_not_terminated(emr: Any) -> None:
    cluster = start(emr, keep=True, Instances={"TerminationProtected": True})
    assert error_code(emr.terminate_job_flows, JobFlowIds=[cluster]) == "ValidationException"
    emr.set_termination_protection(JobFlowIds=[cluster], TerminationProtected=False)
    emr.terminate_job_flows(JobFlowIds=[cluster])
    assert ended(emr, cluster)["TerminationProtected"] is False


def test_cancelled_steps_do_not_run_and_the_next_does(emr: Any) -> None:
    cluster = start(emr, script("sleep 600"), script("exit 1"), script("true"))
    running(emr, cluster)
    ids = [step["Id"] for step in steps_of(emr, cluster)]
    answers = emr.cancel_steps(ClusterId=cluster, StepIds=[*ids[:2], "s-NONE"])["CancelStepsInfoList"]
    assert [answer["Status"] for answer in answers] == ["SUBMITTED", "SUBMITTED", "FAILED"]
    assert ended(emr, cluster)["Status"]["StateChangeReason"]["Code"] == "ALL_STEPS_COMPLETED"
    assert states(emr, cluster) == ["CANCELLED", "CANCELLED", "COMPLETED"]


def test_a_cluster_waits_its_turn_as_starting(emr: Any) -> None:
    busy = [start(emr, script("sleep 600")) for _ in range(2)]
    for cluster in busy:
        running(emr, cluster)
    third = start(emr, script("true"))
    fourth = start(emr, script("true"))
    assert state_of(emr, third) == state_of(emr, fourth) == "STARTING"
    emr.terminate_job_flows(JobFlowIds=[third])  # one that waits can go without a turn
    assert ended(emr, third)["Status"]["State"] == "TERMINATED"
    emr.terminate_job_flows(JobFlowIds=busy[:1])
    assert ended(emr, fourth)["Status"]["StateChangeReason"]["Code"] == "ALL_STEPS_COMPLETED"
    emr.terminate_job_flows(JobFlowIds=busy)
    assert states(emr, third) == ["CANCELLED"]


def test_clusters_are_listed_by_state_and_time_newest_first(emr: Any) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    first, second = start(emr, script("true")), start(emr, script("true"))
    for cluster in (first, second):
        ended(emr, cluster)
    waiting = start(emr, keep=True)
    wait_for(lambda: state_of(emr, waiting) == "WAITING")
    listed = emr.list_clusters(CreatedAfter=before, ClusterStates=["TERMINATED"])["Clusters"]
    assert [cluster["Id"] for cluster in listed][:2] == [second, first]
    assert waiting not in [cluster["Id"] for cluster in listed]
    assert listed[0]["Name"] == "c"
    assert emr.list_clusters(CreatedAfter=datetime.now(UTC) + timedelta(hours=1))["Clusters"] == []
    emr.terminate_job_flows(JobFlowIds=[waiting])


def test_a_time_limit_stops_the_step_with_124(emr: Any, aws: LocalAws) -> None:
    before = ("timeout", "--signal=TERM", "--kill-after=60", "0.3s")
    cluster = start(emr, script("sleep 600", before=before))
    assert ended(emr, cluster)["Status"]["StateChangeReason"]["Code"] == "STEP_FAILURE"
    (step,) = steps_of(emr, cluster)
    assert "time limit of 0.3 s (exit 124)" in step["Status"]["FailureDetails"]["Message"]


def test_what_ignores_the_signal_of_the_time_limit_is_killed(emr: Any) -> None:
    text = "trap '' TERM; while :; do sleep 0.1; done"
    cluster = start(emr, script(text, before=("timeout", "-k", "0.3", "0.3")))
    ended(emr, cluster)
    assert "(exit 137)" in steps_of(emr, cluster)[0]["Status"]["FailureDetails"]["Message"]


def test_a_step_that_cannot_run_here_fails_with_a_sentence(emr: Any) -> None:
    jar = {"Jar": "command-runner.jar", "Args": ["hive-script"]}
    cluster = start(emr, {"Name": "h", "ActionOnFailure": "TERMINATE_CLUSTER", "HadoopJarStep": jar})
    ended(emr, cluster)
    assert steps_of(emr, cluster)[0]["Status"]["FailureDetails"]["Message"] == "not hive-script"


def test_missing_log_buckets_harm_nothing(emr: Any, aws: LocalAws) -> None:
    cluster = start(emr, script("true"), LogUri="s3://nowhere/x")
    assert ended(emr, cluster)["Status"]["State"] == "TERMINATED"
    controller = aws.logs / cluster / steps_of(emr, cluster)[0]["Id"] / "controller"
    assert "The logs are not in S3" in controller.read_text()


def test_unknown_clusters_and_actions_are_errors_of_emr(emr: Any) -> None:
    assert error_code(emr.describe_cluster, ClusterId="j-NONE") == "InvalidRequestException"
    assert error_code(emr.terminate_job_flows, JobFlowIds=["j-NONE"]) == "ValidationException"
    assert error_code(emr.describe_studio, StudioId="x") == "NotImplemented"
    assert error_code(emr.list_instances, ClusterId="j-NONE") == "InvalidRequestException"


def test_the_machines_that_were_asked_for_are_listed_with_their_times(emr: Any) -> None:
    groups = [
        {"InstanceRole": "MASTER", "InstanceType": "m7g.xlarge", "InstanceCount": 1},
        {"InstanceRole": "TASK", "InstanceType": "c7g.large", "InstanceCount": 2, "Market": "SPOT"},
    ]
    cluster = start(emr, script("true"), Instances={"InstanceGroups": groups})
    lived = ended(emr, cluster)["Status"]["Timeline"]
    machines = emr.list_instances(ClusterId=cluster)["Instances"]
    assert [(one["Market"], one["InstanceType"]) for one in machines] == [
        ("ON_DEMAND", "m7g.xlarge"), ("SPOT", "c7g.large"), ("SPOT", "c7g.large"),
    ]  # fmt: skip
    assert all(one["Status"]["Timeline"] == lived for one in machines)
    configs = [{"InstanceType": "m7g.xlarge", "WeightedCapacity": 2}, {"InstanceType": "m6g.xlarge"}]
    primary = {"InstanceFleetType": "MASTER", "TargetOnDemandCapacity": 1, "InstanceTypeConfigs": configs[1:]}
    core = {"InstanceFleetType": "CORE", "TargetOnDemandCapacity": 3, "TargetSpotCapacity": 2}
    fleets = start(
        emr, script("true"), Instances={"InstanceFleets": [primary, core | {"InstanceTypeConfigs": configs}]}
    )
    assert [one["Market"] for one in emr.list_instances(ClusterId=fleets)["Instances"]] == [
        "ON_DEMAND", "ON_DEMAND", "ON_DEMAND", "SPOT",
    ]  # fmt: skip


def test_tags_are_added(emr: Any) -> None:
    cluster = start(emr, keep=True)
    emr.add_tags(ResourceId=cluster, Tags=[{"Key": "a", "Value": "b"}])
    assert {"Key": "a", "Value": "b"} in emr.describe_cluster(ClusterId=cluster)["Cluster"]["Tags"]
    emr.terminate_job_flows(JobFlowIds=[cluster])


def test_long_lists_come_in_pages(tmp_path: Path) -> None:
    with LocalAws(tmp_path / "s3", builder=shell) as aws:
        emr = client_of(aws, "emr")
        made = [start(emr) for _ in range(55)]
        pages = list(emr.get_paginator("list_clusters").paginate())
        assert [len(page["Clusters"]) for page in pages] == [50, 5]
        assert [row["Id"] for page in pages for row in page["Clusters"]] == made[::-1]


def test_a_restart_remembers_clusters_and_gives_up_those_that_lived(tmp_path: Path) -> None:
    root = tmp_path / "s3"
    with LocalAws(root, builder=shell, slots=2) as aws:
        emr = client_of(aws, "emr")
        done = start(emr, script("true"))
        ended(emr, done)
        live = start(emr, script("sleep 600"), script("true"))
        running(emr, live)
    with LocalAws(root, builder=shell) as aws:
        emr = client_of(aws, "emr")
        assert {row["Id"] for row in emr.list_clusters()["Clusters"]} == {done, live}
        assert state_of(emr, done) == "TERMINATED"
        status = emr.describe_cluster(ClusterId=live)["Cluster"]["Status"]
        assert status["State"] == "TERMINATED_WITH_ERRORS"
        assert status["StateChangeReason"] == {"Code": "INTERNAL_ERROR", "Message": "local EMR restarted"}
        assert status["ErrorDetails"][0]["ErrorCode"].startswith("INTERNAL_ERROR")
        assert states(emr, live) == ["INTERRUPTED", "CANCELLED"]


def test_only_the_given_key_from_this_machine_gets_in(tmp_path: Path) -> None:
    with LocalAws(tmp_path / "s3", builder=shell, access_key="LOCALSECRET", buckets=["lake"]) as aws:
        assert client_of(aws, "s3", "LOCALSECRET").list_buckets()["Buckets"][0]["Name"] == "lake"
        assert client_of(aws, "emr", "LOCALSECRET").list_clusters()["Clusters"] == []
        assert error_code(client_of(aws, "s3", "OTHER").list_buckets) == "InvalidAccessKeyId"
        assert error_code(client_of(aws, "emr", "OTHER").list_clusters) == "InvalidAccessKeyId"
        assert httpx.get(f"{aws.endpoint_url}/lake").status_code == 403
        link = client_of(aws, "s3", "LOCALSECRET").generate_presigned_url("list_objects_v2", {"Bucket": "lake"})
        assert httpx.get(link).status_code == 200
        health = f"{aws.endpoint_url}/_sluicegate/health"
        assert httpx.get(health).status_code == 200
        assert httpx.get(health, headers={"Host": "evil.example"}).status_code == 403
        assert httpx.get(health, headers={"Origin": "http://evil.example"}).status_code == 403


def test_one_server_per_root(tmp_path: Path) -> None:
    with LocalAws(tmp_path / "s3", builder=shell) as aws:
        with pytest.raises(RootInUseError):
            LocalAws(aws.root).start()
        client_of(aws, "s3").list_buckets()


def test_a_fault_of_the_server_is_an_internal_error_of_the_cluster(tmp_path: Path) -> None:
    def broken(cluster: Cluster, step: Step, work: Path) -> Command:
        raise OSError("No space left on device")

    with LocalAws(tmp_path / "s3", builder=broken) as aws:
        emr = client_of(aws, "emr")
        cluster = start(emr, script("true"), script("true"))
        status = ended(emr, cluster)["Status"]
        assert status["State"] == "TERMINATED_WITH_ERRORS"
        assert status["StateChangeReason"]["Code"] == "INTERNAL_ERROR"
        assert "No space left on device" in status["StateChangeReason"]["Message"]
        assert states(emr, cluster) == ["INTERRUPTED", "CANCELLED"]

"""The local EMR compared with itself, and with one that answers otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from typer.testing import CliRunner

from sluicegate.cli import app
from sluicegate.cli.doctor_conformance import _small_request
from sluicegate.doctor.conformance import Conversation, compare, talk
from sluicegate.doctor.reference import local_conversation
from sluicegate.faults import FaultError
from sluicegate.local.aws import LocalAws
from sluicegate.local.aws.clusters import Cluster, Step
from sluicegate.local.aws.runner import Builder
from sluicegate.local.aws.spark import Command


def ends(cluster: Cluster, step: Step, work: Path) -> Command:
    return Command(("false" if "--fail" in step.args else "true",), {"PATH": "/usr/bin:/bin"}, work)


def always_ends_well(cluster: Cluster, step: Step, work: Path) -> Command:
    return Command(("true",), {"PATH": "/usr/bin:/bin"}, work)


KNOWN = {"aws_access_key_id": "local", "aws_secret_access_key": "local", "region_name": "us-east-1"}


@pytest.fixture(scope="module")
def emr(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """What stands for a user's own EMR."""
    with LocalAws(tmp_path_factory.mktemp("emr") / "s3", builder=ends, create_buckets=True) as aws:
        yield boto3.client("emr", endpoint_url=aws.endpoint_url, **KNOWN)


def request() -> dict[str, Any]:
    def step(name: str, on_failure: str, *args: str) -> dict[str, Any]:
        jar = {"Jar": "command-runner.jar", "Args": ["spark-submit", "s3://code/a.py", *args]}
        return {"Name": name, "ActionOnFailure": on_failure, "HadoopJarStep": jar}

    return {
        "Name": "conformance",
        "ReleaseLabel": "emr-7.13.0",
        "LogUri": "s3://logs/emr/",
        "Instances": {
            "KeepJobFlowAliveWhenNoSteps": False,
            "InstanceGroups": [{"InstanceRole": "MASTER", "InstanceType": "m7g.xlarge", "InstanceCount": 1}],
        },
        "JobFlowRole": "EMR_EC2_DefaultRole",
        "ServiceRole": "EMR_DefaultRole",
        "Steps": [step("ends well", "TERMINATE_CLUSTER"), step("fails", "CONTINUE", "--fail")],
        "Tags": [{"Key": "sluicegate:deployment", "Value": "prod"}],
    }


@pytest.fixture(scope="module")
def heard(emr: Any) -> Conversation:
    return talk(emr, request(), poll=0.02)


def test_the_local_emr_answers_as_itself(heard: Conversation) -> None:
    assert compare(heard, local_conversation(request())) == []
    assert heard.cluster_states[-1] == "TERMINATED"
    assert {name: states[-1] for name, states in heard.step_states.items()} == {
        "ends well": "COMPLETED", "fails": "FAILED",
    }  # fmt: skip
    assert {"RunJobFlow", "DescribeCluster", "ListSteps", "ListInstances", "ListClusters"} == set(heard.fields)


DAGS = {
    "defaults.yaml": "connections: {aws: lake}\nartifacts: s3://code/\nclusters: {small: {release: emr-7.13.0, "
    "instances: {primary: m7g.xlarge, core: {type: m7g.xlarge, count: 4}}, log_uri: s3://logs/, "
    "run_job_flow: {ScaleDownBehavior: TERMINATE_AT_TASK_COMPLETION, "
    "Instances: {EmrManagedMasterSecurityGroup: sg-0a1b2c3d, EmrManagedSlaveSecurityGroup: sg-0a1b2c3e}, "
    "BootstrapActions: [{Name: b, ScriptBootstrapAction: {Path: s3://code/b.sh}}]}}}\n",
    "p.yaml": "sluicegate: 1\nsteps:\n  join: {spark: s3://code/join.py, cluster: small}\n",
}


@pytest.mark.parametrize(
    ("builder", "code", "words"),
    [
        (ends, 0, "It answers as the local EMR does."),
        (always_ends_well, 1, "the states of the step fails: it says"),
    ],
)
def test_the_command_says_in_words_what_is_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, builder: Builder, code: int, words: str
) -> None:
    monkeypatch.setattr("sluicegate.cli.doctor_conformance.POLL", 0.02)
    monkeypatch.setenv("AIRFLOW__LOGGING__LOGGING_LEVEL", "INFO")  # the command is in this process
    (tmp_path / "dags").mkdir()
    for name, text in DAGS.items():
        (tmp_path / "dags" / name).write_text(text)
    with LocalAws(tmp_path / "s3", builder=builder, create_buckets=True) as aws:
        extra = {"endpoint_url": aws.endpoint_url, "region_name": "us-east-1"}
        connection = {"conn_type": "aws", "login": "local", "password": "local", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_LAKE", json.dumps(connection))
        call = ["doctor", "--conformance", "--root", str(tmp_path / "dags")]
        assert CliRunner().invoke(app, call, input="n\n").exit_code == 1
        emr = boto3.client("emr", endpoint_url=aws.endpoint_url, **KNOWN)
        assert emr.list_clusters()["Clusters"] == []
        done = CliRunner().invoke(app, [*call, "--yes"])
        assert (done.exit_code, words in done.stdout) == (code, True), done.output
        [cluster] = emr.list_clusters()["Clusters"]
        assert cluster["Status"]["State"] == "TERMINATED"
        assert len(emr.list_instances(ClusterId=cluster["Id"])["Instances"]) == 1
        assert emr.list_bootstrap_actions(ClusterId=cluster["Id"])["BootstrapActions"] == []
        said = emr.describe_cluster(ClusterId=cluster["Id"])["Cluster"]
        assert said["Ec2InstanceAttributes"]["EmrManagedMasterSecurityGroup"] == "sg-0a1b2c3d"
        assert said["ScaleDownBehavior"] == "TERMINATE_AT_TASK_COMPLETION"


def test_machines_that_a_request_names_itself_are_its_primary_node_alone() -> None:
    groups = [{"InstanceRole": role, "InstanceType": "m5.xlarge", "InstanceCount": 1} for role in ("MASTER", "CORE")]
    said = {"Instances": {"InstanceGroups": groups, "SlaveInstanceType": "m5.xlarge", "InstanceCount": 9}}
    assert _small_request(said) == {"Instances": {"InstanceGroups": groups[:1], "InstanceCount": 1}}


def backwards(said: Conversation) -> None:
    said.cluster_states[:0] = ["RUNNING", "STARTING"]


def otherwise_ended(said: Conversation) -> None:
    said.cluster_states[-1] = "TERMINATED_WITH_ERRORS"


def another_reason(said: Conversation) -> None:
    said.words["DescribeCluster: Cluster.Status.StateChangeReason.Code"] = {"STEP_FAILURE"}


def one_member_more(said: Conversation) -> None:
    said.fields["ListSteps"].add("Steps[].ExecutionRoleArn")


def one_member_less(said: Conversation) -> None:
    said.fields["DescribeCluster"].remove("Cluster.ClusterArn")


def a_step_that_waits(said: Conversation) -> None:
    said.step_states["fails"] = ["PENDING", "INTERRUPTED"]


def another_error(said: Conversation) -> None:
    said.words["an unknown cluster"] = {"ResourceNotFoundException (404)"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (backwards, "the cluster's states: it says RUNNING -> STARTING"),
        (otherwise_ended, "TERMINATED_WITH_ERRORS; the local EMR says"),
        (another_reason, "Code: it says STEP_FAILURE; the local EMR says ALL_STEPS_COMPLETED"),
        (one_member_more, "ListSteps: it says Steps[].ExecutionRoleArn; the local EMR says no such member"),
        (one_member_less, "DescribeCluster: it says no such member; the local EMR says Cluster.ClusterArn"),
        (a_step_that_waits, "the states of the step fails: it says PENDING -> INTERRUPTED"),
        (another_error, "an unknown cluster: it says ResourceNotFoundException (404)"),
    ],
)
def test_an_answer_that_is_another_one_is_noticed(
    heard: Conversation, change: Callable[[Conversation], None], words: str
) -> None:
    said = deepcopy(heard)
    change(said)
    [difference] = compare(said, heard)
    assert words in str(difference)
    assert set(difference.as_json()) == {"what", "theirs", "local"}


def test_a_state_that_passed_between_two_looks_is_no_difference(heard: Conversation) -> None:
    said = deepcopy(heard)
    said.cluster_states[:] = ["STARTING", "TERMINATED"]
    assert compare(said, heard) == []


def test_the_cluster_is_ended_whatever_happens(emr: Any) -> None:
    endless = request() | {"Instances": request()["Instances"] | {"KeepJobFlowAliveWhenNoSteps": True}}
    with pytest.raises(FaultError, match="has not ended"):
        talk(emr, endless, patience=0.5, poll=0.05)
    ids = [one["Id"] for one in emr.list_clusters(ClusterStates=["RUNNING", "WAITING", "STARTING"])["Clusters"]]
    assert ids == []


class Stubborn:
    """An EMR that ends no cluster, in the place of one that does."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def terminate_job_flows(self, **_: Any) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}, "TerminateJobFlows")

    def run_job_flow(self, **_: Any) -> None:
        raise AssertionError("a client that repeats calls starts no cluster")


def test_a_cluster_that_cannot_be_ended_is_named_and_what_was_heard_is_kept(emr: Any) -> None:
    said: list[str] = []
    heard = talk(Stubborn(emr), request(), poll=0.02, told=said.append, starter=emr)
    assert heard.cluster_states[-1] == "TERMINATED"
    assert "could not be ended, and ends by itself after its jobs: " in said[-1]
    assert "Rate exceeded" in said[-1]

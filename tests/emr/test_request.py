from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sluicegate.emr.request import Command, Submit, cluster_request, flags, not_after, plain_job, step_command
from sluicegate.faults import FatalFault
from sluicegate.pipeline.keys.model import Cluster, Job

HOUR = timedelta(hours=1)
STEPS = (Submit("s3://code/1/a.py"), Submit("s3://code/2/b.py", ("--fast",)))


def build(steps: Sequence[Submit | Command] = STEPS, **cluster: Any) -> dict[str, Any]:
    return cluster_request(
        name="d-p-0-a1",
        cluster=Cluster.model_validate(
            {"release": "emr-7.13.0", "instances": {"primary": "m7g.xlarge"}, "log_uri": "s3://logs/"} | cluster
        ),
        steps=steps,
        bindings={"x": "s3://lake/x"},
        max_runtime=HOUR,
        tags={"sluicegate:run-id": "scheduled__2013-02-11T00:00:00+00:00"},
    )


def test_the_cluster_ends_by_itself_whatever_happens() -> None:
    request = build()
    assert request["Instances"]["KeepJobFlowAliveWhenNoSteps"] is False
    assert request["Instances"]["TerminationProtected"] is False
    assert request["AutoTerminationPolicy"] == {"IdleTimeout": 3600}
    assert {step["ActionOnFailure"] for step in request["Steps"]} == {"TERMINATE_CLUSTER"}
    assert all(step["HadoopJarStep"]["Args"][0] == "timeout" for step in request["Steps"])


def test_a_command_that_needs_no_yarn_is_not_idle_as_long_as_it_may_run() -> None:
    # EMR calls a cluster idle on which no YARN application runs, whatever else does.
    idle = build(steps=(*STEPS, Command(("bash", "-c", "aws s3 sync a b"))))["AutoTerminationPolicy"]["IdleTimeout"]
    assert timedelta(seconds=idle) > HOUR


def test_botocore_takes_the_request() -> None:
    import botocore.session
    from botocore.validate import ParamValidator

    shape = botocore.session.get_session().get_service_model("emr").operation_model("RunJobFlow").input_shape
    request = build(
        instances={"primary": "m7g.xlarge", "core": {"type": "m7g.xlarge", "count": 2}},
        subnets="subnet-1",
        tags={"team": "data"},
        run_job_flow={"Configurations": [{"Classification": "spark", "Properties": {"a": "b"}}]},
    )
    assert not ParamValidator().validate(request, shape).has_errors()


def test_a_step_is_what_the_command_runner_runs() -> None:
    command = step_command(Submit("s3://code/h/a.py", ("--n", "1")), {"flights": "s3://lake/f"}, timedelta(minutes=2))
    assert command == [
        "timeout", "--signal=TERM", "--kill-after=60", "120",
        "spark-submit", "--deploy-mode", "client", "s3://code/h/a.py",
        "--flights", "s3://lake/f", "--n", "1",
    ]  # fmt: skip


def test_a_command_has_its_deadline_too_and_no_datasets() -> None:
    command = step_command(Command(("s3-dist-cp", "--src", "s3://a/")), {"x": "s3://lake/x"}, timedelta(minutes=2))
    assert command == ["timeout", "--signal=TERM", "--kill-after=60", "120", "s3-dist-cp", "--src", "s3://a/"]


def test_arguments_that_a_run_makes_too_long_for_emr_are_refused_by_the_name_of_the_key() -> None:
    with pytest.raises(FatalFault, match=r"job b.py: its `args`.* have 1\d,\d{3} characters.* file in S3"):
        build(steps=[Submit("s3://code/b.py", ("x" * 10_250,))])
    with pytest.raises(FatalFault, match="EMR takes 256 steps in a cluster, not 257"):
        build(steps=[Submit("s3://code/b.py")] * 257)


def test_several_uris_are_one_value() -> None:
    assert flags({"x": ["s3://l/1", "s3://l/2"], "y": "s3://l/a,b"}) == [
        "--x",
        "s3://l/1,s3://l/2",
        "--y",
        "s3://l/a,b",
    ]


def test_several_uris_of_which_one_has_a_comma_are_refused() -> None:
    with pytest.raises(FatalFault, match="WRONG_USE"):
        flags({"x": ["s3://l/1,2", "s3://l/3"]})


def test_a_binding_that_was_not_rendered_is_refused() -> None:
    with pytest.raises(FatalFault, match="is not a URI"):
        flags({"x": object()})


def test_what_the_cluster_adds_is_merged_and_lists_replace() -> None:
    request = build(
        run_job_flow={
            "Instances": {"Ec2KeyName": "key"},
            "Applications": [{"Name": "Spark"}, {"Name": "Hive"}],
            "AutoTerminationPolicy": {"IdleTimeout": 600},
        }
    )
    assert request["Instances"]["Ec2KeyName"] == "key"
    assert request["Instances"]["KeepJobFlowAliveWhenNoSteps"] is False
    assert [app["Name"] for app in request["Applications"]] == ["Spark", "Hive"]
    assert request["AutoTerminationPolicy"] == {"IdleTimeout": 600}


def test_machines_may_be_passed_through() -> None:
    request = build(instances=(), run_job_flow={"Instances": {"InstanceFleets": [{"InstanceFleetType": "MASTER"}]}})
    assert request["Instances"]["InstanceFleets"] == [{"InstanceFleetType": "MASTER"}]
    assert "InstanceGroups" not in request["Instances"]


def test_a_dag_that_no_check_has_seen_is_refused_what_makes_a_cluster_immortal() -> None:
    with pytest.raises(FatalFault, match=r"WRONG_USE.*must not set Instances.TerminationProtected") as refused:
        build(run_job_flow={"Instances": {"TerminationProtected": True}})
    assert refused.value.facts["key"] == "cluster.run_job_flow.Instances.TerminationProtected"


def test_our_tags_are_ours() -> None:
    with pytest.raises(FatalFault, match="WRONG_USE"):
        build(tags={"sluicegate:run": "x"})


def test_the_clusters_own_tags_are_beside_ours_and_never_changed() -> None:
    tags = {tag["Key"]: tag["Value"] for tag in build(tags={"team": "data"})["Tags"]}
    assert tags == {"sluicegate:run-id": "scheduled__2013-02-11T00:00:00+00:00", "team": "data"}
    with pytest.raises(FatalFault, match="in tags: write it with those"):
        build(tags={"team": "da?ta"})


def test_the_deadline_gives_each_job_its_time() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert not_after(now, HOUR, 2) - not_after(now, HOUR, 1) == HOUR + timedelta(minutes=1)
    assert not_after(now, HOUR, 1) > now + HOUR


def test_a_job_may_be_written_in_three_ways() -> None:
    assert plain_job("a.py") == {"path": "a.py", "args": []}
    assert plain_job(Job(path="a.py", args=("x",))) == plain_job({"path": "a.py", "args": ["x"]})
    assert plain_job({"path": "a.py", "args": [1]})["args"] == ["1"]

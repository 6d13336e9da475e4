"""What pipeline files send to EMR's RunJobFlow, recorded in `requests/`, and that it fits botocore's model of EMR.

AWS itself was never reached. After a change that is meant run this with `RECORD_REQUESTS=1`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskDeferred
from pydantic import BaseModel

from sluicegate.emr.service_model import misfits, require_fit
from sluicegate.factory.steps import task_of
from sluicegate.faults import FatalFault
from sluicegate.pipeline.keys import cluster as cluster_keys
from sluicegate.pipeline.keys.base import keys_of
from sluicegate.pipeline.keys.model import Pipeline, SparkStep
from sluicegate.pipeline.keys.steps import Job
from sluicegate.pipeline.tree import read_tree
from sluicegate.testing.step import StepInstance
from sluicegate.testing.supervisor import Run
from tests.emr.conftest import WINDOW

FOLDER = Path(__file__).parent / "requests"
NOT_AFTER = "sluicegate:not-after"


def pipelines() -> list[Pipeline]:
    tree = read_tree(FOLDER)
    assert [str(each) for each in tree.diagnostics] == []
    return list(tree.pipelines.values())


STEPS = [(each.name, step) for each in pipelines() for step in each.steps]


@pytest.mark.parametrize(("pipeline", "step"), STEPS, ids=lambda part: part)
def test_a_step_sends_what_is_recorded_and_it_fits_the_model(aws: Any, pipeline: str, step: str) -> None:
    aws.s3.make_bucket("rides")
    for hour in range(3):
        aws.s3.put(f"s3://rides/2013-02-11/{hour}.parquet", b"x" * 700)
    sent: list[dict[str, Any]] = []
    run_job_flow = aws._RunJobFlow
    aws._RunJobFlow = lambda body: sent.append(body) or run_job_flow(body)
    of = next(each for each in pipelines() if each.name == pipeline)
    with DAG(pipeline, schedule=None):
        task = task_of(of.steps[step], of, {}).task
    with pytest.raises(TaskDeferred):
        StepInstance(task, WINDOW, run=Run(pipeline, "scheduled__2013-02-11T00:00:00+00:00", WINDOW.start)).execute()
    [request] = sent
    assert list(misfits(request)) == []
    assert botocore_says(request) == ""
    next(tag for tag in request["Tags"] if tag["Key"] == NOT_AFTER)["Value"] = "<then>"
    for action in request.get("BootstrapActions", ()):
        if action["Name"] == "sluicegate-deadline":
            action["ScriptBootstrapAction"]["Args"] = ["<then>"]
    recorded = FOLDER / f"{pipeline}.{step}.json"
    if os.environ.get("RECORD_REQUESTS"):
        recorded.write_text(json.dumps(request, indent=2) + "\n", encoding="utf-8")
    assert request == json.loads(recorded.read_text(encoding="utf-8"))


def botocore_says(request: dict[str, Any]) -> str:
    import botocore.session
    from botocore.validate import ParamValidator

    shape = botocore.session.get_session().get_service_model("emr").operation_model("RunJobFlow").input_shape
    report: str = ParamValidator().validate(request, shape).generate_report()
    return report


def test_every_key_of_a_cluster_and_of_a_job_is_in_a_recorded_request() -> None:
    said: dict[type[BaseModel], set[str]] = {}
    for pipeline in pipelines():
        for step in pipeline.steps.values():
            assert isinstance(step, SparkStep)
            for model in (*within(step.cluster), *(inner for job in step.jobs for inner in within(job))):
                said.setdefault(type(model), set()).update(
                    field.alias or name
                    for name, field in type(model).model_fields.items()
                    if name in model.model_fields_set
                )
    models = [Job, *(getattr(cluster_keys, name) for name in cluster_keys.__all__)]
    unsaid = {f"{model.__name__}.{key}" for model in models for key in set(keys_of(model)) - said.get(model, set())}
    assert unsaid == {"Cluster.pool", "Cluster.spread"}, "of these two AWS hears nothing"


def within(value: Any) -> Iterator[BaseModel]:
    """A model and all that are inside it."""
    if isinstance(value, BaseModel):
        yield value
        for name in type(value).model_fields:
            yield from within(getattr(value, name))
    elif isinstance(value, tuple):
        for item in value:
            yield from within(item)


@pytest.mark.parametrize(
    ("request_", "place", "message"),
    [
        ({"Instances": {}}, "", "Name is missing"),
        ({"Name": "n", "Instances": {"Ec2KeyNames": "k"}}, "Instances.Ec2KeyNames", "did you mean Ec2KeyName?"),
        ({"Name": "n", "Instances": {}, "CustomAmiId": 5}, "CustomAmiId", "expected text"),
        ({"Name": "n", "Instances": {}, "EbsRootVolumeSize": True}, "EbsRootVolumeSize", "expected a whole number"),
        (
            {"Name": "n", "Instances": {}, "ScaleDownBehavior": "NEVER"},
            "ScaleDownBehavior",
            "expected one of TERMINATE",
        ),
        ({"Name": "n" * 257, "Instances": {}}, "Name", "at most 256 characters, not 257"),
        (
            {"Name": "n", "Instances": {"InstanceGroups": [{"InstanceRole": "CORE", "InstanceType": "m"}]}},
            "Instances.InstanceGroups.0",
            "InstanceCount is missing",
        ),
        ({"Name": "n", "Instances": {}, "Configurations": {"a": 1}}, "Configurations", "expected a list"),
    ],
)
def test_what_aws_would_refuse_by_its_form_is_refused_here(request_: dict[str, Any], place: str, message: str) -> None:
    with pytest.raises(FatalFault) as refused:
        require_fit(request_)
    assert refused.value.facts["key"] == place
    assert message in refused.value.detail

"""Links from a task's page to its cluster, its log and Spark's history."""

from __future__ import annotations

import urllib.request
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

import sluicegate
from sluicegate.emr import SparkOperator
from sluicegate.emr.connection import Aws
from sluicegate.emr.links import LINKS, addresses
from sluicegate.emr.verdict import StepStatus

STEPS = [StepStatus("s-1", "a.py", "COMPLETED"), StepStatus("s-2", "b.py", "FAILED"), StepStatus("s-3", "c.py", "X")]


class Real:
    """AWS itself, as far as an address needs it."""

    def __init__(self, region: str, partition: str, host: str) -> None:
        self.meta = SimpleNamespace(region_name=region, partition=partition, endpoint_url=f"https://{host}")

    def client(self, service: str, *, attempts: int) -> Real:
        return self


def test_links_lead_to_the_console_of_the_cluster_and_to_its_log_folder() -> None:
    aws: Any = Real("eu-central-1", "aws", "s3.eu-central-1.amazonaws.com")
    page = "https://console.aws.amazon.com/emr/home?region=eu-central-1#/clusterDetails/j-1"
    logs = "https://console.aws.amazon.com/s3/buckets/logs?region=eu-central-1&prefix=emr%2Fj-1%2Fsteps%2F"
    waiting = {"EMR cluster": page, "Step log": logs, "Spark history (Applications)": page}
    assert addresses(aws, "j-1", "s3://logs/emr/") == waiting
    assert addresses(aws, "j-1", "s3://logs/emr/", STEPS)["Step log"] == logs + "s-2%2F"
    assert addresses(aws, "j-1", "s3://logs/emr/", STEPS[:1])["Step log"] == logs + "s-1%2F"
    assert addresses(aws, "j-1", "") == dict.fromkeys(("EMR cluster", "Spark history (Applications)"), page)


def test_links_stay_in_their_part_of_the_world() -> None:
    aws: Any = Real("cn-north-1", "aws-cn", "s3.cn-north-1.amazonaws.com.cn")
    assert addresses(aws, "j-1", "")["EMR cluster"].startswith(
        "https://console.amazonaws.cn/emr/home?region=cn-north-1"
    )


def test_the_local_emr_has_a_log_to_open_and_no_console(aws: Any) -> None:
    aws.s3.put("s3://logs/emr/j-1/steps/s-2/stdout.gz", "ValueError: x")
    found = addresses(Aws("aws_default"), "j-1", "s3://logs/emr/", STEPS)
    assert list(found) == ["Step log"]
    assert urllib.request.urlopen(found["Step log"], timeout=60).status == 200
    listed = addresses(Aws("aws_default"), "j-1", "s3://logs/emr/")["Step log"]
    assert b"steps/s-2/stdout.gz" in urllib.request.urlopen(listed, timeout=60).read()


@pytest.mark.parametrize("host", ["minio.example.com", "10.0.0.7", "localhost.example.com", "[fd00::7]"])
def test_no_signed_address_is_kept_of_an_s3_that_is_not_on_this_machine(host: str) -> None:
    aws: Any = Real("eu-central-1", "aws", host)
    aws.generate_presigned_url = lambda *_, **__: pytest.fail("signed")
    assert addresses(aws, "j-1", "s3://logs/emr/", STEPS) == {}


@pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1:9000", "[::1]:9000"])
def test_an_address_is_signed_for_an_s3_on_this_machine(host: str) -> None:
    aws: Any = Real("eu-central-1", "aws", host)
    aws.generate_presigned_url = lambda *_, **__: "http://signed"
    assert addresses(aws, "j-1", "s3://logs/emr/", STEPS) == {"Step log": "http://signed"}


def test_links_that_are_not_known_fail_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert addresses(SimpleNamespace(), "j-1", "") == {}  # type: ignore[arg-type]
    assert "are not known" in caplog.text


def test_airflow_finds_the_links_of_a_serialized_dag() -> None:
    with DAG("flights") as dag:
        SparkOperator(task_id="join", jobs=["a.py"], artifacts="s3://code", root="/dags", cluster={
            "release": "emr-7.13.0", "instances": {"primary": "m7g.xlarge"},
        })  # fmt: skip
    task = DagSerialization.from_dict(DagSerialization.to_dict(dag)).get_task("join")
    assert {link.name: link.xcom_key for link in task.operator_extra_links} == {
        link.name: link.xcom_key for link in LINKS
    }
    assert sluicegate.get_provider_info()["extra-links"] == [
        f"{type(link).__module__}.{type(link).__qualname__}" for link in LINKS
    ]


def test_a_task_that_ends_before_it_knows_its_cluster_keeps_the_links_of_its_deferral(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = {("_link_ClusterLink", "join"): "https://console"}
    monkeypatch.setattr(
        "airflow.sdk.execution_time.xcom.XCom.get_value",
        lambda ti_key, key: kept.get((key, ti_key.task_id)),
    )
    ti: Any = SimpleNamespace(task_id="join")
    links = [link.get_link(SimpleNamespace(links=None), ti_key=ti) for link in LINKS]  # type: ignore[arg-type]
    assert links == ["https://console", "", ""]
    known: Any = SimpleNamespace(links={"Step log": "http://log"})
    assert [link.get_link(known, ti_key=ti) for link in LINKS] == ["", "http://log", ""]

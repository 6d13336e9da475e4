"""The fault of every failed task can be listed: its code and what it is about stand in the key of an XCom."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from sluicegate.faults import CATALOGUE, Fault, FaultClass, FaultError, fault
from sluicegate.faults.index import FAULT_XCOM_PREFIX, OWN_FAULTS, FaultKey
from sluicegate.faults.report import reported
from sluicegate.faults.section import Playbook


@pytest.mark.parametrize("subject", ["", "flights.raw", "s3://landing/a-b/{{ds}}.csv", "table://wh/a.b", "größe"])
def test_a_key_says_code_and_subject(subject: str) -> None:
    key = FaultKey("SOURCE_MISSING", subject).key
    assert key == f"{FAULT_XCOM_PREFIX}:SOURCE_MISSING:{subject}"
    assert FaultKey.of(key) == FaultKey("SOURCE_MISSING", subject)


@pytest.mark.parametrize("key", ["return_value", "sluicegate_run", "sluicegate_fault", "sluicegate_fault:", ""])
def test_other_keys_are_no_faults(key: str) -> None:
    assert FaultKey.of(key) is None


@pytest.mark.parametrize(
    ("subject", "shown"),
    [
        ("s3://b/{{ ds }}/", "s3://b/{{ds}}"),
        ("a\nb", "ab"),
        ("s3://b/a?x=1#y%20z", "s3://b/a_x=1_y_20z"),
        ("s3://b/../etc/./x", "s3://b/_/etc/_/x"),
    ],
)
def test_a_key_passes_through_the_path_of_a_url(subject: str, shown: str) -> None:
    assert FaultKey("UNKNOWN", subject).key == f"sluicegate_fault:UNKNOWN:{shown}"


def test_the_key_of_a_pipelines_own_fault_says_its_class_too() -> None:
    own = Fault("PARTNER_CLOSED", FaultClass.DATA, "It is closed.", "Wait.", frozenset())
    key = FaultKey.to(own, "flights.raw").key
    assert key == "sluicegate_fault:own-data.PARTNER_CLOSED:flights.raw"
    assert key.startswith(OWN_FAULTS)
    assert FaultKey.of(key) == FaultKey("PARTNER_CLOSED", "flights.raw", "data")
    assert FaultKey.to(CATALOGUE["NETWORK"], "") == FaultKey("NETWORK")


def test_a_key_is_short_and_shows_no_secret() -> None:
    assert len(FaultKey("UNKNOWN", "x" * 1000).key) == 200
    assert "hunter2" not in FaultKey("UNKNOWN", "postgresql://u:hunter2@db/w").key


def test_reading_keys_imports_no_airflow() -> None:
    code = "import sys, sluicegate.faults.index; print('airflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=180)
    assert done.stdout.strip() == "False"


def test_a_fault_that_leaves_a_step_is_left_as_an_xcom() -> None:
    left: dict[str, Any] = {}
    ti = SimpleNamespace(try_number=1, xcom_push=lambda key, value: left.update({key: json.loads(json.dumps(value))}))
    subject = "about {0.code}".format
    with pytest.raises(FaultError), reported({"ti": ti}, playbook=Playbook("p"), subject=subject):
        raise fault("SOURCE_MISSING")
    assert left == {"sluicegate_fault:SOURCE_MISSING:aboutSOURCE_MISSING": {"code": "SOURCE_MISSING", "class": "data"}}


def test_an_xcom_that_cannot_be_left_does_not_hide_the_error(caplog: pytest.LogCaptureFixture) -> None:
    def push(key: str, value: object) -> None:
        raise ConnectionError("the server is away")

    ti = SimpleNamespace(try_number=1, xcom_push=push)
    with pytest.raises(FaultError) as caught, reported({"ti": ti}, playbook=Playbook("p")):
        raise fault("DISK_FULL")
    assert caught.value.code == "DISK_FULL"
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]

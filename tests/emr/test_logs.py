from __future__ import annotations

import gzip
import tracemalloc
from typing import Any

import pytest

from sluicegate.emr.connection import Aws
from sluicegate.emr.logs import bootstrap_log_folder, driver_tail, read_tail, step_log_folder
from sluicegate.emr.verdict import ClusterStatus


@pytest.fixture
def s3(aws: Any) -> Any:
    del aws
    return Aws("aws_default").client("s3", attempts=1)


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def put(aws: Any, name: str, text: str) -> None:
    aws.s3.put(f"s3://logs/j-1/steps/s-1/{name}.gz", text)


FOLDER = step_log_folder("s3n://logs/", "j-1", "s-1")


def read(s3: Any, clock: Clock, wait: float = 120) -> Any:
    return read_tail(s3, FOLDER, wait=wait, sleep=clock.sleep, clock=lambda: clock.now)


def test_the_traceback_is_the_last_of_it(aws: Any, s3: Any) -> None:
    put(aws, "stdout", "".join(f"line {n}\n" for n in range(500)) + "ValueError: x\n")
    put(aws, "stderr", "INFO done\n")
    tail = read(s3, Clock())
    assert tail.stdout.splitlines()[0] == "line 421"
    assert tail.text.splitlines()[-1] == "ValueError: x"


def test_a_line_without_an_end_needs_no_memory(aws: Any, s3: Any) -> None:
    put(aws, "stdout", "x" * 50_000_000 + "\nValueError: x\n")
    put(aws, "stderr", "")
    tracemalloc.start()
    try:
        lines = read(s3, Clock()).stdout.splitlines()
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()
    assert lines == ["x" * 2000, "ValueError: x"]


def test_a_late_log_is_waited_for_but_not_forever(aws: Any, s3: Any) -> None:
    clock = Clock()
    assert read(s3, clock).text == ""
    assert 120 <= clock.now < 130


def test_a_log_that_comes_late_is_read(aws: Any, s3: Any) -> None:
    clock = Clock()
    sleep = clock.sleep

    def late(seconds: float) -> None:
        sleep(seconds)
        if clock.now > 20:
            put(aws, "stdout", "ValueError: x")

    clock.sleep = late  # type: ignore[method-assign]
    assert read(s3, clock).stdout == "ValueError: x"
    assert clock.now < 60  # the other file gets its ten seconds, not two minutes


def test_a_missing_bucket_ends_the_wait_at_once(s3: Any, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    tail = read_tail(s3, "s3://nowhere/j-1/steps/s-1/", wait=120, sleep=clock.sleep, clock=lambda: clock.now)
    assert tail.text == ""
    assert clock.now == 0
    assert "cannot be read" in caplog.text


def test_a_torn_log_gives_what_there_is(aws: Any, s3: Any) -> None:
    put(aws, "stderr", "")
    whole = gzip.compress("".join(f"{n} {n * 7919 % 104729}\n" for n in range(4000)).encode())
    aws.s3.put("s3://logs/j-1/steps/s-1/stdout.gz", whole[: len(whole) // 2])
    assert "cannot be unpacked" in read(s3, Clock()).stdout.splitlines()[-1]


def test_what_ended_the_command_is_in_the_controllers_log(aws: Any, s3: Any) -> None:
    put(aws, "stdout", "")
    put(aws, "stderr", "")
    put(aws, "controller", "INFO ended with exit code 0\nWARN Step failed with exitCode 137 and took 9 seconds")
    assert read(s3, Clock()).exit_status == 137


def test_the_file_that_holds_the_traceback_is_the_last(aws: Any, s3: Any) -> None:
    put(aws, "stdout", "so far so good")
    put(aws, "stderr", "Traceback (most recent call last):\nValueError: x")
    assert [name for name, _ in read(s3, Clock()).files] == ["stdout", "stderr"]


def test_a_job_in_cluster_mode_has_its_traceback_in_the_drivers_container(aws: Any, s3: Any) -> None:
    put(aws, "stdout", "")
    put(aws, "stderr", "SparkException: Application application_17_0001 finished with failed status")
    step = read(s3, Clock())
    assert driver_tail(s3, "s3://logs/", "j-1", step) is None
    for attempt, container in ((1, "000001"), (2, "000001"), (2, "000002")):
        folder = f"s3://logs/j-1/containers/application_17_0001/container_17_0001_0{attempt}_{container}"
        aws.s3.put(f"{folder}/stdout.gz", f"attempt {attempt} in {container}")
    found = driver_tail(s3, "s3://logs/", "j-1", step)
    assert found is not None
    assert found.stdout == "attempt 2 in 000001"


def test_a_job_in_client_mode_has_no_other_log(aws: Any, s3: Any) -> None:
    put(aws, "stdout", "")
    put(aws, "stderr", "INFO Client: Application report for application_17_0001 (state: FINISHED)")
    assert driver_tail(s3, "s3://logs/", "j-1", read(s3, Clock())) is None


@pytest.mark.parametrize(
    ("data", "message", "folder"),
    [
        ({"primary-instance-id": "i-1", "bootstrap-action": "2"}, "", "s3://logs/j-1/node/i-1/bootstrap-actions/2/"),
        ({}, "On the master instance (i-0a1), bootstrap action 1 returned a non-zero return code",
         "s3://logs/j-1/node/i-0a1/bootstrap-actions/1/"),
        ({}, "On 2 slave instances (including i-0a1 and i-0b2), bootstrap action 3 returned a non-zero return code",
         "s3://logs/j-1/node/i-0a1/bootstrap-actions/3/"),
        ({}, "On the master instance (i-0a1), application provisioning failed", None),
    ],
)  # fmt: skip
def test_the_log_of_a_bootstrap_action_is_found(data: dict[str, str], message: str, folder: str | None) -> None:
    cluster = ClusterStatus(
        "j-1", "d-p-0-a1", "TERMINATED_WITH_ERRORS", "BOOTSTRAP_FAILURE", message, error_data=data, log_uri="s3://logs/"
    )
    assert bootstrap_log_folder(cluster) == folder


def test_a_folder_is_named_as_other_tools_know_it() -> None:
    assert FOLDER == "s3://logs/j-1/steps/s-1/"

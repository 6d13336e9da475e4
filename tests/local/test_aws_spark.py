"""Real Spark on the local EMR, and what is left of it when the server dies."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sluicegate.emr.request import step_command
from sluicegate.emr.uploads import Uploads
from sluicegate.local.aws import LocalAws
from sluicegate.local.aws.archive import Archives
from sluicegate.local.aws.spark import java_home, spark_home
from sluicegate.pipeline.keys.steps import Job
from tests.local.test_aws_emr import ended, start, steps_of, wait_for
from tests.local.test_aws_s3 import client_of

JOB = """
import sys
from pyspark.sql import SparkSession

spark = SparkSession.builder.appName("tiny").getOrCreate()
import helpers  # out of a folder
rows = spark.read.option("header", True).csv(sys.argv[1])
doubled = rows.rdd.map(lambda row: __import__("wheeled").twice(int(row.delay)))  # out of a wheel, in another process
assert (helpers.NAME, sorted(doubled.collect())) == ("helpers", [2, 4, 6])
rows.groupBy("day").count().coalesce(1).write.mode("overwrite").json(sys.argv[2])
spark.read.csv(sys.argv[1].replace("s3://", "s3a://")).coalesce(1).write.parquet(sys.argv[2] + "a/")
"""
BAD = """
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
spark.read.csv("s3://lake/in/").select("no_such_column")
"""
SLEEPER = """
import os, subprocess, sys, time
subprocess.Popen(["sleep", "6000"], start_new_session=True)
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(6000)
"""


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    root = tmp_path_factory.mktemp("with space") / "s3"
    with LocalAws(root, buckets=["lake", "code", "logs"], slots=2, memory="512m") as server:
        yield server


def submit(script: str, *args: str) -> dict[str, Any]:
    command = [
        "timeout",
        "--signal=TERM",
        "--kill-after=60",
        "300",
        "spark-submit",
        "--deploy-mode",
        "client",
    ]
    jar = {"Jar": "command-runner.jar", "Args": [*command, f"s3://code/{script}", *args]}
    return {"Name": script, "ActionOnFailure": "TERMINATE_CLUSTER", "HadoopJarStep": jar}


def packaged(s3: Any, root: Path, *args: str) -> dict[str, Any]:
    """The step of a job with packages, as a pipeline would have it."""
    (root / "lib").mkdir(parents=True)
    (root / "lib/helpers.py").write_text("NAME = __name__\n")
    (root / "tiny.py").write_text(JOB)
    with zipfile.ZipFile(root / "wheeled-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("wheeled.py", "def twice(n): return 2 * n\n")
    job = Job(path="tiny.py", args=args, py_files=("lib/", "wheeled-1-py3-none-any.whl"))
    [made] = Uploads.to(s3, "s3://code/", root).steps([job], (), {})
    words = step_command(made, {}, timedelta(minutes=5))
    jar = {"Jar": "command-runner.jar", "Args": words}
    return {"Name": "tiny.py", "ActionOnFailure": "TERMINATE_CLUSTER", "HadoopJarStep": jar}


def test_a_job_reads_and_writes_s3_and_a_bad_one_leaves_its_traceback(aws: LocalAws, tmp_path: Path) -> None:
    s3, emr = client_of(aws, "s3"), client_of(aws, "emr")
    s3.put_object(Bucket="code", Key="bad.py", Body=BAD)
    s3.put_object(Bucket="lake", Key="in/a.csv", Body=b"day,delay\nmon,1\nmon,2\n")
    (aws.root / "lake/in/b.csv").write_text("day,delay\ntue,3\n")  # as a person would drop one
    good = start(emr, packaged(s3, tmp_path / "dags", "s3://lake/in/", "s3://lake/out/"))
    bad = start(emr, submit("bad.py"))

    for cluster in (good, bad):
        ended(emr, cluster, 240)
    (step,) = steps_of(emr, good)
    assert step["Status"]["State"] == "COMPLETED", (aws.logs / good / step["Id"] / "stdout").read_text()
    keys = [row["Key"] for row in s3.list_objects_v2(Bucket="lake", Prefix="out")["Contents"]]
    assert "out/_SUCCESS" in keys
    assert "out/a/_SUCCESS" in keys
    assert not [key for key in keys if key.endswith(".crc")]
    (part,) = [key for key in keys if key.endswith(".json")]
    lines = s3.get_object(Bucket="lake", Key=part)["Body"].read().splitlines()
    counts = {row["day"]: row["count"] for row in map(json.loads, lines)}
    assert counts == {"mon": 2, "tue": 1}

    (step,) = steps_of(emr, bad)
    details = step["Status"]["FailureDetails"]
    assert step["Status"]["State"] == "FAILED"
    assert "AnalysisException" in details["Message"]
    assert "no_such_column" in details["Message"]
    stdout = s3.get_object(Bucket="logs", Key=details["LogFile"].removeprefix("s3://logs/"))["Body"].read()
    assert details["LogFile"].endswith("stdout.gz")
    assert b"Traceback (most recent call last)" in gzip.decompress(stdout)
    assert ended(emr, bad)["Status"]["StateChangeReason"]["Code"] == "STEP_FAILURE"
    assert list((aws.state / "work").iterdir()) == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_process_outlives_the_server(tmp_path: Path, how: signal.Signals) -> None:
    server, endpoint = _served(tmp_path)
    try:
        mark = tmp_path / "pid"
        (tmp_path / "s3/code/sleeper.py").write_text(SLEEPER)
        emr = client_of(endpoint, "emr", "KEY")
        cluster = start(emr, submit("sleeper.py", str(mark)))
        driver = int(wait_for(lambda: mark.exists() and mark.read_text()))
        family = _below(server.pid)
        assert driver in family
        assert any("java" in _command(pid) for pid in family)
        assert any("sleep" in _command(pid) for pid in family)
    finally:
        server.send_signal(how)
        status = server.wait(120)
    wait_for(lambda: not [pid for pid in family if Path(f"/proc/{pid}").exists()])
    if how is not signal.SIGKILL:
        assert status == 0
    again, endpoint = _served(tmp_path)
    try:
        emr = client_of(endpoint, "emr", "KEY")
        assert ended(emr, cluster)["Status"]["StateChangeReason"]["Code"] == "INTERNAL_ERROR"
        assert list((tmp_path / "emr-state/work").iterdir()) == []
    finally:
        again.terminate()
        assert again.wait(120) == 0


def test_a_second_server_on_the_root_says_so_and_ends(tmp_path: Path) -> None:
    with LocalAws(tmp_path / "s3"):
        command = [sys.executable, "-m", "sluicegate.local.aws", "--root", str(tmp_path / "s3")]
        second = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert second.returncode == 3
    assert "Another local AWS works on" in second.stderr


def _served(folder: Path) -> tuple[subprocess.Popen[bytes], LocalAws]:
    """A server as a process, and a handle with its endpoint for `client_of`."""
    ready = folder / "ready.json"
    ready.unlink(missing_ok=True)
    options = ["--root", str(folder / "s3"), "--ready", str(ready), "--bucket", "code", "--bucket", "logs"]
    env = os.environ | {"SLUICEGATE_LOCAL_KEY": "KEY"}
    server = subprocess.Popen([sys.executable, "-m", "sluicegate.local.aws", *options], env=env)
    wait_for(lambda: ready.exists() or server.poll() is not None)
    said = json.loads(ready.read_text())
    assert said["pid"] == server.pid
    return server, LocalAws(folder / "s3", port=said["port"])


def _below(pid: int) -> list[int]:
    found = []
    for child in subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split():
        found += [int(child), *_below(int(child))]
    return [each for each in found if Path(f"/proc/{each}").exists()]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def test_java_takes_spark_from_the_archive(tmp_path: Path) -> None:
    java, spark = java_home(), spark_home()
    if not (archives := Archives(tmp_path / "the cache")).can_make(java):
        pytest.skip("an older Java")
    listed = tmp_path / "classes"
    listed.write_text("java/lang/Object\norg/apache/spark/sql/execution/SparkPlan\n")
    thread = archives.make(java, spark, listed)
    assert thread
    thread.join(300)
    options = [f"-XX:SharedArchiveFile={archives.find(java, spark)}", "-Xshare:on", "-Xlog:class+load"]
    command = [java / "bin/java", *options, "-cp", f"{spark}/jars/*", "org.apache.spark.launcher.Main"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False).stdout
    assert "org.apache.spark.launcher.Main source: shared objects file" in said

"""Every section of every sample playbook: its fault is caused in the real Airflow, named, and mended as it says."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.airflow.conftest import Airflow, wait_until

DAY = "2013-02-12"
Cause = Callable[[Airflow], AbstractContextManager[None]]


@dataclass(frozen=True)
class Case:
    """`cause` breaks something for the time of its block; `task` then fails with `fault`."""

    pipeline: str
    fault: str
    task: str
    cause: Cause
    clear: str | None = None
    """The task that the playbook says to clear afterwards, where it is not the failed one."""
    retried: bool = False
    """It is tried again by itself, and nothing has to be cleared."""

    def __str__(self) -> str:
        return f"{self.pipeline}-{self.fault}"


@contextmanager
def object_gone(airflow: Airflow, bucket: str, key: str) -> Iterator[None]:
    s3 = airflow.stack.s3()
    found = s3.list_objects_v2(Bucket=bucket, Prefix=key)["Contents"]
    for entry in found:
        s3.delete_object(Bucket=bucket, Key=entry["Key"])
    yield


@contextmanager
def object_is(airflow: Airflow, bucket: str, key: str, change: Callable[[bytes], bytes]) -> Iterator[None]:
    s3 = airflow.stack.s3()
    good = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    s3.put_object(Bucket=bucket, Key=key, Body=change(good))
    try:
        yield
    finally:
        s3.put_object(Bucket=bucket, Key=key, Body=good)


@contextmanager
def file_is(airflow: Airflow, name: str, change: Callable[[str], str]) -> Iterator[None]:
    path = airflow.workspace.dags / name
    good = path.read_text()
    changed = change(good)
    assert changed != good
    path.write_text(changed)
    try:
        yield
    finally:
        path.write_text(good)


def garbage(_: bytes) -> bytes:
    return b"PAR1" + bytes(range(256)) * 20


def no_values(column: str) -> Callable[[bytes], bytes]:
    """The same file without a value in one column."""

    def change(content: bytes) -> bytes:
        header, *lines = content.decode().splitlines()
        place = header.split(",").index(column)
        emptied = [",".join([*(cells := line.split(","))[:place], "NA", *cells[place + 1 :]]) for line in lines]
        return "\n".join([header, *emptied, ""]).encode()

    return change


def renamed(old: str, new: str) -> Callable[[bytes], bytes]:
    return lambda content: content.replace(old.encode(), new.encode(), 1)


def zipped(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda content: gzip.compress(change(gzip.decompress(content)))


def header_only(content: bytes) -> bytes:
    return content.splitlines(keepends=True)[0]


def joined_key(airflow: Airflow) -> str:
    found = airflow.stack.s3().list_objects_v2(Bucket="lake", Prefix=f"delays/{DAY}/part-")["Contents"]
    return str(found[0]["Key"])


@contextmanager
def joined_is(airflow: Airflow, change: Callable[[bytes], bytes]) -> Iterator[None]:
    with object_is(airflow, "lake", joined_key(airflow), change):
        yield


def job_that(line: str) -> Cause:
    """The Spark job, with `line` as the first thing it does."""
    return lambda airflow: file_is(
        airflow, "jobs/delays.py", lambda text: text.replace("parser = ", f"{line}\n    parser = ", 1)
    )


def broken_source(airflow: Airflow) -> AbstractContextManager[None]:
    return file_is(
        airflow,
        "source_system.py",
        lambda text: text.replace("with _open(", "raise OSError(5, 'the source is away')\n    with _open("),
    )


def day_file(pipeline: str, change: Callable[[bytes], bytes] | None) -> Cause:
    suffix = "csv.gz" if pipeline == "weather" else "csv"
    key = f"{pipeline}/{DAY}.{suffix}"
    if change is None:
        return lambda airflow: object_gone(airflow, "landing", key)
    return lambda airflow: object_is(airflow, "landing", key, change)


def reference_file(name: str, change: Callable[[bytes], bytes] | None) -> Cause:
    if change is None:
        return lambda airflow: object_gone(airflow, "landing", f"reference/{name}.csv")
    return lambda airflow: object_is(airflow, "landing", f"reference/{name}.csv", change)


CASES = [
    Case("flights", "SOURCE_MISSING", "load_flights", day_file("flights", None), clear="land"),
    Case("flights", "SOURCE_UNREADABLE", "load_flights", day_file("flights", garbage)),
    Case("flights", "TOO_MANY_DEAD_LETTERS", "load_flights", day_file("flights", no_values("tailnum"))),
    Case("flights", "SCHEMA_MISMATCH", "load_flights", day_file("flights", renamed("tailnum", "plane"))),
    Case("flights", "CODE_FAILED", "land", broken_source, retried=True),
    Case("weather", "SOURCE_MISSING", "load_weather", day_file("weather", None), clear="land"),
    Case("weather", "SOURCE_UNREADABLE", "load_weather", day_file("weather", garbage)),
    Case("weather", "TOO_MANY_DEAD_LETTERS", "load_weather", day_file("weather", zipped(no_values("day")))),
    Case("weather", "SCHEMA_MISMATCH", "load_weather", day_file("weather", zipped(renamed("visib", "sight")))),
    Case("weather", "CODE_FAILED", "land", broken_source, retried=True),
    Case("reference", "SOURCE_MISSING", "load_airlines", reference_file("airlines", None), clear="land"),
    Case("reference", "SOURCE_UNREADABLE", "load_airlines", reference_file("airlines", garbage)),
    Case("reference", "TOO_MANY_DEAD_LETTERS", "load_planes", reference_file("planes", no_values("model"))),
    Case("reference", "SCHEMA_MISMATCH", "load_airports", reference_file("airports", renamed("tzone", "zone"))),
    Case("reference", "CODE_FAILED", "land", broken_source, retried=True),
    Case("delays", "SPARK_STEP_FAILED", "join", job_that("raise RuntimeError('a bad day')"), retried=True),
    Case("delays", "SPARK_CODE_BROKEN", "join", job_that("import no_such_module")),
    Case("delays", "SOURCE_MISSING", "load_delays", lambda a: object_gone(a, "lake", f"delays/{DAY}/"), clear="join"),
    Case(
        "delays", "TOO_MANY_DEAD_LETTERS", "load_delays", lambda a: joined_is(a, renamed("\n9E,", "\n9,")), clear="join"
    ),
    Case("delays", "CHECK_FAILED", "load_delays", lambda a: joined_is(a, header_only), clear="join"),
]


def run_of(airflow: Airflow, pipeline: str) -> str:
    if pipeline != "reference":
        return airflow.run_of(pipeline, DAY)
    found = airflow.api.post("/dags/~/dagRuns/list", json={"dag_ids": ["reference"]}).json()["dag_runs"]
    return str(found[0]["dag_run_id"])


def failed_with(airflow: Airflow, case: Case, run: str) -> None:
    """Wait until the task has failed with the case's fault, and see that its log says where to read on."""

    def met() -> bool:
        task = airflow.task(case.pipeline, run, case.task)
        return task["state"] in ("failed", "up_for_retry")

    wait_until(met, 180, f"{case} to be met")
    number = airflow.task(case.pipeline, run, case.task)["try_number"]
    log = airflow.log(case.pipeline, run, case.task, number)
    assert airflow.fault(case.pipeline, run, case.task)["code"] == case.fault, log[-4000:]
    assert f"playbooks/{case.pipeline}.md#{case.fault.lower()}" in log
    assert "what to do:" in log


@pytest.mark.parametrize("case", CASES, ids=str)
def test_its_fault_is_named_and_mended_as_it_says(airflow: Airflow, case: Case) -> None:
    run = run_of(airflow, case.pipeline)
    with case.cause(airflow):
        airflow.clear(case.pipeline, run, case.task, downstream=False)
        failed_with(airflow, case, run)
    if not case.retried:
        airflow.clear(case.pipeline, run, case.clear or case.task)
    assert airflow.wait(case.pipeline, run, case.task, timeout=240) == "success"
    if case.clear:
        assert airflow.wait(case.pipeline, run, case.clear) == "success"


def test_a_cluster_ended_by_hand(airflow: Airflow) -> None:
    case = Case("delays", "CLUSTER_TERMINATED_OUTSIDE", "join", job_that("import time; time.sleep(300)"))
    run = run_of(airflow, "delays")
    emr = airflow.stack.emr()
    with case.cause(airflow):
        airflow.clear("delays", run, "join", downstream=False)

        def running() -> str | None:
            found = emr.list_clusters(ClusterStates=["RUNNING"])["Clusters"]
            return found[0]["Id"] if found else None

        cluster = wait_until(running, 120, "the cluster to run")
        wait_until(lambda: airflow.task("delays", run, "join")["state"] == "deferred", 60, "the task to be deferred")
        # A trigger that fires before the scheduler has heard of the deferral fails the task (apache/airflow #72716).
        time.sleep(3)
        emr.terminate_job_flows(JobFlowIds=[cluster])
        failed_with(airflow, case, run)
    airflow.clear("delays", run, "join")
    assert airflow.wait("delays", run, "load_delays", timeout=240) == "success"
    assert emr.list_clusters(ClusterStates=["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"])["Clusters"] == []


def test_a_cluster_that_runs_too_long(airflow: Airflow) -> None:
    case = Case("delays", "CLUSTER_DEADLINE", "join", job_that("import time; time.sleep(300)"))
    run = run_of(airflow, "delays")
    with (
        case.cause(airflow),
        file_is(airflow, "delays.yaml", lambda text: text.replace("max_runtime: 30m", "max_runtime: 10s")),
    ):
        airflow.clear("delays", run, "join", downstream=False)
        failed_with(airflow, case, run)
    airflow.clear("delays", run, "join")
    assert airflow.wait("delays", run, "load_delays", timeout=240) == "success"


def impatient(text: str) -> str:
    return text.replace("max_runtime: 30m", "max_runtime: 30m\n    wait: 3s")


def yaml_of(airflow: Airflow, dag_id: str) -> str:
    answer = airflow.api.get(f"/dagSources/{dag_id}", headers={"Accept": "application/json"})
    return str(answer.raise_for_status().json()["content"])


def test_an_upstream_that_does_not_come(airflow: Airflow) -> None:
    case = Case("delays", "UPSTREAM_LATE", "wait_for__flights__land", lambda a: file_is(a, "delays.yaml", impatient))
    run, upstream = run_of(airflow, "delays"), run_of(airflow, "flights")
    with broken_source(airflow), case.cause(airflow):
        wait_until(lambda: "wait: 3s" in yaml_of(airflow, "delays"), 60, "the edit")
        airflow.clear("flights", upstream, "land", downstream=False)
        wait_until(lambda: airflow.task("flights", upstream, "land")["state"] == "up_for_retry", 60, "the failure")
        airflow.clear("delays", run, case.task, downstream=False)
        failed_with(airflow, case, run)
    log = airflow.log("delays", run, case.task)
    assert "flights" in log
    assert DAY in log
    assert airflow.wait("flights", upstream, "land") == "success"
    airflow.clear("delays", run, case.task)
    assert airflow.wait("delays", run, "load_delays", timeout=240) == "success"


INBOX = {
    "SOURCE_MISSING": None,
    "SOURCE_UNREADABLE": garbage(b""),
    "SCHEMA_MISMATCH": b"other,columns\n1,2\n",
}


@pytest.mark.parametrize("fault", INBOX)
def test_a_file_of_ones_own_that_cannot_be_loaded(airflow: Airflow, fault: str) -> None:
    airflow.put("inbox", "good.csv", b"id,name\n1,Ann\n2,Bob\n")
    airflow.put("inbox", "people.csv", INBOX[fault] or b"")
    if INBOX[fault] is None:
        airflow.stack.s3().delete_object(Bucket="inbox", Key="people.csv")
    table = f"people_{fault.lower()}"
    if fault == "SCHEMA_MISMATCH":
        first = airflow.trigger("inbox", file="good.csv", table=table)
        assert airflow.wait("inbox", first, "load_file") == "success"
    run = airflow.trigger("inbox", file="people.csv", table=table)
    failed_with(airflow, Case("inbox", fault, "load_file", broken_source), run)
    airflow.put("inbox", "people.csv", b"id,name\n3,Cid\n")
    airflow.clear("inbox", run, "load_file")
    assert airflow.wait("inbox", run, "load_file") == "success"
    assert airflow.sql(f"SELECT max(id), max(name) FROM inbox.{table}")[0] == (3, "Cid")


@pytest.mark.parametrize(
    ("pipeline", "task", "fault"),
    [
        ("flights", "load_flights", "WAREHOUSE_UNREACHABLE"),
        ("weather", "load_weather", "WAREHOUSE_UNREACHABLE"),
        ("reference", "load_airlines", "WAREHOUSE_UNREACHABLE"),
        ("delays", "load_delays", "WAREHOUSE_UNREACHABLE"),
        ("inbox", "load_file", "WAREHOUSE_UNREACHABLE"),
        ("flights", "land", "AWS_UNAVAILABLE"),
        ("weather", "land", "AWS_UNAVAILABLE"),
        ("reference", "land", "AWS_UNAVAILABLE"),
    ],
)
def test_a_service_that_is_away(airflow: Airflow, pipeline: str, task: str, fault: str) -> None:
    """The task alone, with a connection to a port where nobody listens: the stack itself must live on."""
    env = airflow.stack.env
    name = "AIRFLOW_CONN_WAREHOUSE" if fault.startswith("WAREHOUSE") else "AIRFLOW_CONN_AWS_DEFAULT"
    connection = json.loads(env[name])
    if name.endswith("WAREHOUSE"):
        connection["port"] = 1
    else:
        connection["extra"]["endpoint_url"] = "http://127.0.0.1:1"
    # A run that has ended: the scheduler leaves it alone.
    if pipeline == "inbox":
        airflow.put("inbox", "people.csv", b"id\n1\n")
        run = airflow.trigger("inbox", file="people.csv", table="away")
        assert airflow.wait("inbox", run, task) == "success"
        wait_until(lambda: airflow.get(f"/dags/inbox/dagRuns/{run}")["state"] == "success", 60, "the end of the run")
    else:
        run = run_of(airflow, pipeline)
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "tasks", "test", pipeline, task, run],
        env=env | {name: json.dumps(connection)}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    shown = done.stdout + done.stderr
    assert f"{fault} (transient)" in shown, shown[-3000:]
    assert f"playbooks/{pipeline}.md#{fault.lower()}" in shown


def test_no_section_is_left_out() -> None:
    """Each section of a playbook is caused above, and each that is caused has its section."""
    caused = {(case.pipeline, case.fault) for case in CASES}
    caused |= {("delays", code) for code in ("CLUSTER_TERMINATED_OUTSIDE", "CLUSTER_DEADLINE", "UPSTREAM_LATE")}
    caused |= {("inbox", code) for code in INBOX}
    caused |= {(name, "WAREHOUSE_UNREACHABLE") for name in ("flights", "weather", "reference", "delays", "inbox")}
    caused |= {(name, "AWS_UNAVAILABLE") for name in ("flights", "weather", "reference")}
    folder = Path(__file__).parents[2] / "playbooks"
    written = {
        (page.stem, code) for page in folder.glob("*.md") for code in re.findall(r"^## (\w+)$", page.read_text(), re.M)
    }
    assert written == caused

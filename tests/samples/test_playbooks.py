"""Every section of every sample playbook: its fault is caused in the real Airflow, named, and mended as it says."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx
import psutil
import psycopg
import pytest

from sluicegate.testing.airflow import wait_until
from tests.airflow.conftest import Airflow

DAYS = ("2013-02-11", "2013-02-12", "2013-02-13")
Cause = Callable[[Airflow, str], AbstractContextManager[None]]


@dataclass(frozen=True)
class Case:
    """`cause` breaks something of `day` for the time of its block; `task` then fails with `fault`."""

    pipeline: str
    fault: str
    task: str
    cause: Cause
    day: str = DAYS[1]
    clear: str | None = None
    """The task that the playbook says to clear afterwards, where it is not the failed one."""
    retried: bool = False
    """It is tried again by itself, and nothing has to be cleared."""
    meanwhile: Callable[[Airflow, str], None] = lambda airflow, run: None
    """What happens while the task runs."""

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


def joined_key(airflow: Airflow, day: str) -> str:
    found = airflow.stack.s3().list_objects_v2(Bucket="lake", Prefix=f"delays/{day}/part-")["Contents"]
    return str(found[0]["Key"])


def joined_is(change: Callable[[bytes], bytes]) -> Cause:
    return lambda airflow, day: object_is(airflow, "lake", joined_key(airflow, day), change)


bad_carrier = renamed("\n9E,", "\n9,")


def marker_gone(airflow: Airflow, day: str) -> AbstractContextManager[None]:
    return object_gone(airflow, "lake", f"delays/{day}/_SUCCESS")


def joined_gone(airflow: Airflow, day: str) -> AbstractContextManager[None]:
    return object_gone(airflow, "lake", f"delays/{day}/")


def job_that(line: str) -> Cause:
    """The Spark job, which on the day does `line` first; its URIs name the day."""

    def cause(airflow: Airflow, day: str) -> AbstractContextManager[None]:
        first = f"import sys\n    if any('/{day}' in word for word in sys.argv):\n        {line}\n    parser = "
        return file_is(airflow, "jobs/delays.py", lambda text: text.replace("parser = ", first, 1))

    return cause


def source_that(statement: str) -> Cause:
    """`land`'s function, with a statement before it reads."""

    def cause(airflow: Airflow, day: str) -> AbstractContextManager[None]:
        del day
        change = f"{statement}\n    with _open("
        return file_is(airflow, "source_system.py", lambda text: text.replace("with _open(", change))

    return cause


broken_source = source_that("raise OSError(5, 'the source is away')")
buggy_source = source_that("[][0]")


def yaml_is(old: str, new: str) -> Callable[[Airflow], AbstractContextManager[None]]:
    """`delays.yaml` with an edit, once Airflow knows of it."""

    @contextmanager
    def cause(airflow: Airflow) -> Iterator[None]:
        with file_is(airflow, "delays.yaml", lambda text: text.replace(old, new)):
            wait_until(lambda: new in yaml_of(airflow, "delays"), 180, "the edit")
            yield
        wait_until(lambda: new not in yaml_of(airflow, "delays"), 180, "the edit to be undone")

    return cause


@contextmanager
def too_long(airflow: Airflow, day: str) -> Iterator[None]:
    with (
        job_that("import time; time.sleep(300)")(airflow, day),
        yaml_is("max_runtime: 30m", "max_runtime: 10s")(airflow),
    ):
        yield


@contextmanager
def upstream_stuck(airflow: Airflow, day: str) -> Iterator[None]:
    upstream = airflow.run_of("flights", day)
    with (
        broken_source(airflow, day),
        yaml_is("    cluster: small", "    wait: 3s\n    cluster: small")(airflow),
    ):
        airflow.clear("flights", upstream, "land", downstream=False)
        wait_until(lambda: airflow.task("flights", upstream, "land")["state"] == "up_for_retry", 180, "the failure")
        yield


def end_the_cluster(airflow: Airflow, run: str) -> None:
    """As a person would in the console, while the step runs."""
    emr = airflow.stack.emr()

    def running() -> str | None:
        for cluster in emr.list_clusters(ClusterStates=["RUNNING"])["Clusters"]:
            steps = emr.list_steps(ClusterId=cluster["Id"])["Steps"]
            if any(f"/{DAYS[2]}" in word for step in steps for word in step["Config"]["Args"]):
                return str(cluster["Id"])
        return None

    cluster = wait_until(running, 180, "the cluster to run")
    wait_until(lambda: airflow.task("delays", run, "join")["state"] == "deferred", 180, "the task to be deferred")
    # A trigger that fires before the scheduler has heard of the deferral fails the task (apache/airflow #72716).
    pid = airflow.task("delays", run, "join")["pid"]
    wait_until(lambda: not psutil.pid_exists(pid or 0), 180, "the task's process to end")
    time.sleep(3)
    emr.terminate_job_flows(JobFlowIds=[cluster])


def day_file(pipeline: str, change: Callable[[bytes], bytes] | None) -> Cause:
    suffix = "csv.gz" if pipeline == "weather" else "csv"

    def cause(airflow: Airflow, day: str) -> AbstractContextManager[None]:
        key = f"{pipeline}/{day}.{suffix}"
        if change is None:
            return object_gone(airflow, "landing", key)
        return object_is(airflow, "landing", key, change)

    return cause


def reference_file(name: str, change: Callable[[bytes], bytes] | None) -> Cause:
    if change is None:
        return lambda airflow, day: object_gone(airflow, "landing", f"reference/{name}.csv")
    return lambda airflow, day: object_is(airflow, "landing", f"reference/{name}.csv", change)


FIRST, SECOND, THIRD = DAYS
TOGETHER = (
    (
        Case("flights", "SOURCE_MISSING", "load_flights", day_file("flights", None), FIRST, clear="land"),
        Case("flights", "SOURCE_UNREADABLE", "load_flights", day_file("flights", garbage), SECOND),
        Case("flights", "TOO_MANY_DEAD_LETTERS", "load_flights", day_file("flights", no_values("tailnum")), THIRD),
        Case("weather", "SOURCE_MISSING", "load_weather", day_file("weather", None), FIRST, clear="land"),
        Case("weather", "SOURCE_UNREADABLE", "load_weather", day_file("weather", garbage), SECOND),
        Case("weather", "TOO_MANY_DEAD_LETTERS", "load_weather", day_file("weather", zipped(no_values("day"))), THIRD),
        Case("reference", "SOURCE_UNREADABLE", "load_airlines", reference_file("airlines", garbage)),
        Case("reference", "TOO_MANY_DEAD_LETTERS", "load_planes", reference_file("planes", no_values("model"))),
        Case("reference", "SCHEMA_MISMATCH", "load_airports", reference_file("airports", renamed("tzone", "zone"))),
        Case("delays", "CLUSTER_DEADLINE", "join", too_long, SECOND),
    ),
    (
        Case("flights", "SCHEMA_MISMATCH", "load_flights", day_file("flights", renamed("tailnum", "plane"))),
        Case("weather", "SCHEMA_MISMATCH", "load_weather", day_file("weather", zipped(renamed("visib", "sight")))),
        Case("reference", "SOURCE_MISSING", "load_airlines", reference_file("airlines", None), clear="land"),
        Case("flights", "CODE_BROKEN", "land", buggy_source, THIRD),
        Case("weather", "CODE_BROKEN", "land", buggy_source, THIRD),
        Case("delays", "SOURCE_MISSING", "load_delays", joined_gone, FIRST, clear="join"),
        Case("delays", "TOO_MANY_DEAD_LETTERS", "load_delays", joined_is(bad_carrier), SECOND, clear="join"),
        Case("delays", "CHECK_FAILED", "load_delays", joined_is(header_only), THIRD, clear="join"),
    ),
    (
        Case("flights", "CODE_FAILED", "land", broken_source, FIRST, retried=True),
        Case("weather", "CODE_FAILED", "land", broken_source, FIRST, retried=True),
        Case("reference", "CODE_FAILED", "land", broken_source, retried=True),
        Case("delays", "SOURCE_UNFINISHED", "load_delays", marker_gone, THIRD, clear="join"),
        Case("delays", "UPSTREAM_LATE", "wait_for__flights__land", upstream_stuck, SECOND),
    ),
    (
        Case(
            "delays", "SPARK_STEP_FAILED", "join", job_that("raise RuntimeError('a bad day')"), FIRST, retried=True
        ),
        Case("delays", "SPARK_CODE_BROKEN", "join", job_that("no_such_name"), SECOND),
        Case("reference", "CODE_BROKEN", "land", buggy_source),
        Case(
            "delays", "CLUSTER_TERMINATED_OUTSIDE", "join", job_that("import time; time.sleep(300)"), THIRD,
            meanwhile=end_the_cluster,
        ),
    ),
)  # fmt: skip
"""Cases that are caused, met and mended at the same time, each in a run of its own or on a task of its own.

Those that are retried stand together: what caused them must be over before their last try.
"""
CASES = [case for some in TOGETHER for case in some]


def run_of(airflow: Airflow, case: Case) -> str:
    if case.pipeline != "reference":
        return airflow.run_of(case.pipeline, case.day)
    return str(max(airflow.runs("reference"), key=lambda run: run["run_after"])["dag_run_id"])


@dataclass(frozen=True)
class Seen:
    """What a person saw of a case: the fault and the log of the failed task, and how the tasks ended when mended."""

    fault: str
    log: str
    states: tuple[str, ...]


class Night:
    """Meets the cases, those of `TOGETHER` at once, when the first of them is asked for."""

    def __init__(self, airflow: Airflow) -> None:
        self._airflow = airflow
        self._seen: dict[str, Seen | Exception] = {}

    def seen(self, case: Case) -> Seen:
        if str(case) not in self._seen:
            self._meet(next(some for some in TOGETHER if case in some))
        found = self._seen[str(case)]
        if isinstance(found, Exception):
            raise found
        return found

    def _meet(self, cases: Sequence[Case]) -> None:
        airflow = self._airflow
        runs = {str(case): run_of(airflow, case) for case in cases}
        with ThreadPoolExecutor(len(cases)) as pool:
            with ExitStack() as causes:
                for case in cases:
                    causes.enter_context(case.cause(airflow, case.day))
                self._clear([(case, case.task) for case in cases], runs, downstream=False)
                failed = list(pool.map(lambda case: _caught(lambda: self._failed(case, runs[str(case)])), cases))
            to_clear = [(case, case.clear or case.task) for case in cases if not case.retried]
            self._clear(to_clear, runs, downstream=True)
            ended = list(pool.map(lambda case: _caught(lambda: self._mended(case, runs[str(case)])), cases))
        for case, first, last in zip(cases, failed, ended, strict=True):
            errors = [each for each in (first, last) if isinstance(each, Exception)]
            self._seen[str(case)] = errors[0] if errors else Seen(*first, last)  # type: ignore[misc, call-arg]

    def _clear(self, wanted: Sequence[tuple[Case, str]], runs: Mapping[str, str], *, downstream: bool) -> None:
        """One clear a run, so that none meets a run that another one has just started."""
        tasks: dict[tuple[str, str], list[str]] = {}
        for case, task in wanted:
            tasks.setdefault((case.pipeline, runs[str(case)]), []).append(task)
        for (pipeline, run), some in tasks.items():
            self._airflow.clear(pipeline, run, *some, downstream=downstream)

    def _failed(self, case: Case, run: str) -> tuple[str, str]:
        """The fault and the log of the task that failed."""
        case.meanwhile(self._airflow, run)
        return failed_with(self._airflow, case, run)

    def _mended(self, case: Case, run: str) -> tuple[str, ...]:
        """How the task and the one that was cleared end, and of a pipeline with several steps the last one."""
        if case.retried and self._airflow.wait(case.pipeline, run, case.task) == "failed":
            # On a slow machine its last try may have been over before all the others of its time had failed.
            self._airflow.clear(case.pipeline, run, case.task)
        last = {"delays": "load_delays"}.get(case.pipeline, case.task)
        tasks = dict.fromkeys((case.task, case.clear or case.task, last))
        return tuple(self._airflow.wait(case.pipeline, run, task, timeout=300) for task in tasks)


T = TypeVar("T")


def _caught(act: Callable[[], T]) -> T | Exception:
    """A case that goes wrong fails its own test, not that of its neighbours."""
    try:
        return act()
    except (AssertionError, LookupError, TimeoutError, httpx.HTTPError, psycopg.Error) as error:
        return error


@pytest.fixture(scope="module")
def night(airflow: Airflow) -> Night:
    return Night(airflow)


def failed_with(airflow: Airflow, case: Case, run: str) -> tuple[str, str]:
    """Wait until the task has failed: the code of its fault, and its log."""

    def met() -> bool:
        return airflow.task(case.pipeline, run, case.task)["state"] in ("failed", "up_for_retry")

    wait_until(met, 400, f"{case} to be met")
    number = airflow.task(case.pipeline, run, case.task)["try_number"]
    log = airflow.log(case.pipeline, run, case.task, number)
    return str(airflow.fault(case.pipeline, run, case.task)["code"]), log


def check_words(case: Case, fault: str, log: str) -> None:
    """The log names the fault and says where to read on."""
    assert fault == case.fault, log[-4000:]
    assert f"playbooks/{case.pipeline}.md#{case.fault.lower()}" in log
    assert "what to do:" in log


@pytest.mark.parametrize("case", CASES, ids=str)
def test_its_fault_is_named_and_mended_as_it_says(night: Night, case: Case) -> None:
    seen = night.seen(case)
    check_words(case, seen.fault, seen.log)
    assert set(seen.states) == {"success"}


def case_of(fault: str) -> Case:
    return next(case for case in CASES if case.fault == fault)


def test_a_cluster_ended_by_hand_leaves_none_behind(night: Night, airflow: Airflow) -> None:
    assert night.seen(case_of("CLUSTER_TERMINATED_OUTSIDE")).states == ("success", "success")
    left = airflow.stack.emr().list_clusters(ClusterStates=["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"])
    assert left["Clusters"] == []


def test_the_log_of_a_wait_names_the_upstream_and_the_day(night: Night, airflow: Airflow) -> None:
    case = case_of("UPSTREAM_LATE")
    seen = night.seen(case)
    assert "flights" in seen.log
    assert case.day in seen.log
    assert airflow.wait("flights", airflow.run_of("flights", case.day), "land") == "success"


def yaml_of(airflow: Airflow, dag_id: str) -> str:
    answer = airflow.api.get(f"/dagSources/{dag_id}", headers={"Accept": "application/json"})
    return str(answer.raise_for_status().json()["content"])


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
    case = Case("inbox", fault, "load_file", broken_source)
    check_words(case, *failed_with(airflow, case, run))
    airflow.put("inbox", "people.csv", b"id,name\n3,Cid\n")
    airflow.clear("inbox", run, "load_file")
    assert airflow.wait("inbox", run, "load_file") == "success"
    assert airflow.sql(f"SELECT max(id), max(name) FROM inbox.{table}")[0] == (3, "Cid")


AWAY = [
    ("flights", "load_flights", "WAREHOUSE_UNREACHABLE"),
    ("weather", "load_weather", "WAREHOUSE_UNREACHABLE"),
    ("reference", "load_airlines", "WAREHOUSE_UNREACHABLE"),
    ("delays", "load_delays", "WAREHOUSE_UNREACHABLE"),
    ("inbox", "load_file", "WAREHOUSE_UNREACHABLE"),
    ("flights", "land", "AWS_UNAVAILABLE"),
    ("weather", "land", "AWS_UNAVAILABLE"),
    ("reference", "land", "AWS_UNAVAILABLE"),
]


@pytest.fixture(scope="module")
def away(airflow: Airflow) -> dict[str, str]:
    """What each task of AWAY printed, tried alone with a connection to a port where nobody listens.

    The stack itself must live on. The runs have ended: the scheduler leaves them alone.
    """
    airflow.put("inbox", "away.csv", b"id\n1\n")
    inbox = airflow.trigger("inbox", file="away.csv", table="away")
    assert airflow.ended("inbox", inbox) == "success"
    tries = []
    for pipeline, task, fault in AWAY:
        name = "AIRFLOW_CONN_WAREHOUSE" if fault.startswith("WAREHOUSE") else "AIRFLOW_CONN_AWS_DEFAULT"
        connection = json.loads(airflow.stack.env[name])
        if name.endswith("WAREHOUSE"):
            connection["port"] = 1
        else:
            connection["extra"]["endpoint_url"] = "http://127.0.0.1:1"
        run = inbox if pipeline == "inbox" else run_of(airflow, Case(pipeline, fault, task, broken_source))
        tries.append({"words": ["tasks", "test", pipeline, task, run], "env": {name: json.dumps(connection)}})
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("airflow_commands.py"))],
        input=json.dumps(tries), env=airflow.stack.env, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    shown = json.loads(done.stdout.splitlines()[-1])
    return {f"{pipeline}.{task}": words for (pipeline, task, _), words in zip(AWAY, shown, strict=True)}


@pytest.mark.parametrize(("pipeline", "task", "fault"), AWAY)
def test_a_service_that_is_away(away: dict[str, str], pipeline: str, task: str, fault: str) -> None:
    shown = away[f"{pipeline}.{task}"]
    assert f"{fault} (transient)" in shown, shown[-3000:]
    assert f"playbooks/{pipeline}.md#{fault.lower()}" in shown


def test_no_section_is_left_out() -> None:
    """Each section of a playbook is caused above, and each that is caused has its section."""
    caused = {(case.pipeline, case.fault) for case in CASES}
    caused |= {("inbox", code) for code in INBOX}
    caused |= {(pipeline, fault) for pipeline, _, fault in AWAY}
    folder = Path(__file__).parents[2] / "playbooks"
    written = {
        (page.stem, code) for page in folder.glob("*.md") for code in re.findall(r"^## (\w+)$", page.read_text(), re.M)
    }
    assert written == caused

"""One real stack serves all of these, in this order: what they kill last is the supervisor."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from sluicegate.api import Runs
from sluicegate.api.answers import Fields
from sluicegate.api.run_and_wait import wait_until_finished
from sluicegate.local.stack import AlreadyRunning, Event, Stack, processes, running
from sluicegate.local.stack.state import State
from sluicegate.local.stack.where import psql_line

pytestmark = pytest.mark.timeout(400)

DAG = """
import datetime
from airflow.sdk import dag, task

@dag(schedule=None, start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))
def trivial():
    @task
    def touch():
        import sys
        from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
        from airflow.providers.postgres.hooks.postgres import PostgresHook
        assert "duckdb" in sys.modules, "the scheduler has not imported it"
        s3 = AwsBaseHook("aws_default", client_type="s3").get_conn()
        body = s3.get_object(Bucket="landing", Key="mine.csv")["Body"].read()
        PostgresHook("warehouse").run("CREATE TABLE IF NOT EXISTS seen (body text)")
        PostgresHook("warehouse").run("INSERT INTO seen VALUES (%s)", parameters=[body.decode()])

    touch()

trivial()
"""


WAITING = """
import datetime
from airflow.sdk import dag, task

@dag(schedule=None, start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))
def waiting():
    @task(retries=3, retry_delay=datetime.timedelta(seconds=1))  # a slow machine's api-server may be away for long
    def wait():
        import time
        from pathlib import Path
        Path("{folder}/begun").touch()
        while not Path("{folder}/end").exists():
            time.sleep(0.1)

    wait()

waiting()
"""


class Seen:
    """The events of a start, for tests to look at."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def kinds(self, component: str) -> list[str]:
        return [event.kind for event in self.events if event.component == component]


def wait_until(condition: Callable[[], bool], timeout: float, what: str) -> None:
    until = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < until, f"not within {timeout} s: {what}"
        time.sleep(0.1)


def attached_to(stack: Stack) -> Stack:
    found = running(stack.state.root)
    assert found is not None
    return found


def command_of(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def bundles(dags: Path) -> list[dict[str, object]]:
    classpath = "airflow.dag_processing.bundles.local.LocalDagBundle"
    return [{"name": "tests", "classpath": classpath, "kwargs": {"path": str(dags), "refresh_interval": 3}}]


@pytest.fixture(scope="module")
def dags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dags")
    (folder / "trivial.py").write_text(DAG)
    return folder


@pytest.fixture(scope="module")
def seen() -> Seen:
    return Seen()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, dags: Path, seen: Seen) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack") / "state", dags, bundles=bundles(dags))
    stack.start(seen)
    yield stack
    stack.stop()


def test_it_says_when_each_part_is_ready_and_then_that_all_is_well(stack: Stack, seen: Seen) -> None:
    for component in ("postgres", "aws", "api-server", "scheduler", "dag-processor", "triggerer"):
        assert seen.kinds(component) == ["starting", "ready"]
    assert seen.events[-1].kind == "healthy"
    with stack.api() as api:
        health = api.get("/monitor/health")
    assert isinstance(health, dict)
    assert {part["status"] for part in health.values()} == {"healthy"}


def test_everything_listens_on_this_machine_only(stack: Stack) -> None:
    listening = [
        connection.laddr
        for process in processes.descendants(stack.run.supervisor.pid)
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    ports = stack.run.ports
    assert {address.port for address in listening} >= {ports.airflow, ports.postgres, ports.aws}
    assert {address.ip for address in listening} == {"127.0.0.1"}


def test_a_second_one_says_that_one_is_running_and_where(stack: Stack, dags: Path) -> None:
    with pytest.raises(AlreadyRunning) as caught:
        Stack(stack.state.root, dags).start()
    assert stack.airflow_url in caught.value.message
    assert caught.value.exit_code == 1
    assert stack.is_running


def test_a_persons_file_is_put_where_a_task_finds_it_and_the_warehouse_takes_it(stack: Stack, tmp_path: Path) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_text("a,b\n1,2\n")
    program = "from sluicegate.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "put", mine, "s3://landing/", "--state", stack.state.root],
        capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "s3://landing/mine.csv" in done.stdout
    with stack.api() as api:
        wait_until(lambda: api.find("/dags/trivial") is not None, 180, "the DAG is parsed")
        assert Fields(api.get("/dags/trivial")).value("is_paused") is False
        runs = Runs(api, ["trivial"])
        run_id = runs.trigger("trivial", {})
        [run] = wait_until_finished(runs, {"trivial": 1}, on_change=lambda *_: None, timeout=180)
        assert (run.run_id, run.state) == (run_id, "success"), runs.log_tail(runs.tasks()[0])
    with psycopg.connect(stack.warehouse_dsn) as warehouse:
        assert warehouse.execute("SELECT body FROM seen").fetchall() == [("a,b\n1,2\n",)]


def test_passwords_stand_only_where_their_owner_alone_can_read_them(stack: Stack) -> None:
    state = stack.state
    for private in (state.secrets, state.passwords, state.pgpass, state.run):
        assert stat.S_IMODE(private.stat().st_mode) == 0o600
    from sluicegate.local.stack.state import Secrets

    values = [value.encode() for value in vars(Secrets.load(state)).values()]
    allowed = {state.secrets, state.passwords, state.pgpass}
    files = [one for one in state.root.rglob("*") if one.is_file() and one not in allowed]
    leaks = [
        str(one)
        for one in files
        if "postgres/data" not in str(one) and any(value in one.read_bytes() for value in values)
    ]
    assert leaks == []
    commands = [word.encode() for process in psutil.process_iter() for word in command_of(process)]
    assert not any(value in word for value in values for word in commands)
    assert "warehouse@" in stack.warehouse_url


def test_the_line_for_psql_opens_the_warehouse_without_a_question(stack: Stack) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{psql_line(stack)} --no-password -Atc 'SELECT current_user'"],
        capture_output=True, text=True, timeout=180, check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith("PG")},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("warehouse\n", "")


def test_a_command_run_by_exec_belongs_to_the_stack(stack: Stack) -> None:
    program = "from sluicegate.cli import main; main()"
    script = 'echo "$AIRFLOW_HOME"; command -v airflow; test "$1" = --flag; exit 7'
    done = subprocess.run(
        [sys.executable, "-c", program, "exec", "--state", stack.state.root, "sh", "-c", script, "sh", "--flag"],
        capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 7
    assert done.stdout.splitlines() == [str(stack.state.airflow), str(Path(sys.executable).parent / "airflow")]


def test_whoever_attaches_finds_the_same(stack: Stack) -> None:
    attached = running(stack.state.root)
    assert attached is not None
    assert attached.airflow_url == stack.airflow_url
    assert attached.env["AIRFLOW_HOME"] == str(stack.state.airflow)
    assert attached.emr().list_clusters()["Clusters"] == []


def test_a_killed_component_is_started_again(stack: Stack) -> None:
    def pid(name: str) -> int:
        return attached_to(stack).run.components[name].pid

    before = {name: pid(name) for name in ("scheduler", "postgres")}
    for killed in before.values():
        os.kill(killed, signal.SIGKILL)
    wait_until(lambda: all(pid(name) != old for name, old in before.items()), 180, "they are started again")

    def warehouse_answers() -> bool:
        try:
            with psycopg.connect(stack.warehouse_dsn, connect_timeout=2) as warehouse:
                return warehouse.execute("SELECT count(*) FROM seen").fetchone() == (1,)
        except psycopg.OperationalError:
            return False

    wait_until(warehouse_answers, 180, "the warehouse answers, with what was committed")
    log = stack.state.log("supervisor").read_text()
    assert "scheduler died (killed by SIGKILL); starting it again in 1 s" in log


def test_put_with_run_goes_on_when_the_api_server_is_back(stack: Stack, dags: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.csv"
    mine.touch()
    (dags / "waiting.py").write_text(WAITING.format(folder=str(tmp_path)))
    with stack.api() as api:
        wait_until(lambda: api.find("/dags/waiting") is not None, 180, "the DAG is parsed")
    program = "from sluicegate.cli import main; main()"
    command = [
        sys.executable, "-c", program,
        "put", mine, "s3://landing/", "--run", "waiting", "--state", stack.state.root,
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as put:
        wait_until((tmp_path / "begun").exists, 180, "the task runs")
        api_server = attached_to(stack).run.components["api-server"].pid
        os.kill(api_server, signal.SIGKILL)
        wait_until(lambda: not psutil.pid_exists(api_server), 180, "the api-server is gone")
        (tmp_path / "end").touch()
        out, error = put.communicate(timeout=180)
    assert (put.returncode, error) == (0, ""), out
    assert out.splitlines()[-1] == "waiting.wait: success"
    assert attached_to(stack).run.components["api-server"].pid != api_server


def test_the_next_start_clears_up_after_a_killed_supervisor_and_keeps_the_data(stack: Stack, dags: Path) -> None:
    state = stack.state.root
    os.kill(stack.run.supervisor.pid, signal.SIGKILL)

    class EnoughError(Exception):
        pass

    again = Stack(state, dags, bundles=bundles(dags))

    def until_postgres_is_there(event: Event) -> None:
        if (event.kind, event.component) == ("ready", "postgres"):
            run = again.run
            assert run.ports == stack_ports
            with psycopg.connect(again.warehouse_dsn) as warehouse:
                assert warehouse.execute("SELECT count(*) FROM seen").fetchone() == (1,)
            raise EnoughError

    stack_ports = stack._run.ports if stack._run else None
    with pytest.raises(EnoughError):
        again.start(until_postgres_is_there)
    assert not again.is_running
    assert processes.survivors(state) == []
    assert not State(state).run.exists()
    assert stack.stop() is False

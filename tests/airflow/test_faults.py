"""Faults that really happen, in a real Airflow: what is tried again, what is reported and how often, what is loaded.

All runs are started at once; each test looks at what came of its own. Alerts arrive at a web server and a mail server.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from sluicegate.testing.airflow import wait_until
from tests.airflow.conftest import Airflow
from tests.alerts.servers import Http, Smtp, http_server, smtp_server
from tests.tcp_proxy import proxy_to
from tests.webserver import Answer, Asked, web_server

pytestmark = pytest.mark.system

LAST_YEAR = datetime(datetime.now(UTC).year - 1, 1, 1, tzinfo=UTC)
DAYS = (LAST_YEAR.replace(year=LAST_YEAR.year + 1) - LAST_YEAR).days
DAY = f"{LAST_YEAR:%Y-%m-%d}"
HEAD = f"""\
sluicegate: 1
owner: night-shift
schedule: {{cron: "@yearly", start: {DAY}}}
retries: {{count: 3, delay: 1s, max_delay: 2s}}
"""
DEFAULTS = """\
connections: {ledger: warehouse}
alerts:
  pager: {notifier: sluicegate.alerts.webhook.WebhookNotifier, with: {http_conn_id: faults_pager}}
  mail:
    notifier: airflow.providers.smtp.notifications.smtp.SmtpNotifier
    with: {smtp_conn_id: faults_mail, from_email: airflow@example.org, to: night@example.org}
"""
LOAD = """\
steps:
  load: {{load: {source}, into: table://{into}/faults.{name}, key: id{more}}}
"""
PYTHON = 'steps:\n  work: {{python: "fault_steps:{function}"{more}}}\n'


def load(name: str, source: str = "", into: str = "warehouse", more: str = ", columns: {id: integer}") -> str:
    return HEAD + LOAD.format(source=source or f"URL/{name}.csv", into=into, name=name, more=more)


def python(function: str, more: str = "") -> str:
    return HEAD + PYTHON.format(function=function, more=more)


PIPELINES = {
    "flaky": load("flaky"),
    "limited": load("limited"),
    "truncated": load("truncated").replace("count: 3", "count: 1"),
    "denied": load("denied", "raw", more=", columns: {id: integer}").replace(
        "steps:", "datasets: {raw: {uri: URL/denied.csv, connection: faults_source}}\nsteps:"
    ),
    "down": load("down", into="faults_down", more=", columns: {id: integer}, for_each: [1, 2, 3, 4, 5, 6]").replace(
        "count: 3, delay: 1s, max_delay: 2s", "count: 3, delay: 4s"
    ),
    "cut": load("cut", into="faults_cut"),
    "few_bad": load("few_bad"),
    "many_bad": load("many_bad"),
    "full": python("fill_the_disk"),
    "memory": python("take_all_memory"),
    "killed": python("die").replace("count: 3", "count: 1"),
    "secretive": HEAD
    + """\
params:
  api_token: {type: string, default: canary-by-its-name}
  pin: {type: string, format: password, default: canary-by-its-schema}
steps:
  dsn: {python: "fault_steps:leak_a_dsn"}
  bearer: {python: "fault_steps:leak_a_header"}
  param: {python: "fault_steps:leak_a_param"}
  env: {operator: airflow.providers.standard.operators.bash.BashOperator, with: {bash_command: "echo $FAULTS; exit 1"}}
""",
    "sensitive": load("sensitive", more=", columns: {id: integer, ssn: {type: text, sensitive: true}}"),
    "mapped": python("break_down", ", for_each: [1, 2, 3, 4, 5, 6, 7, 8]"),
    "stopped": python("sleep"),
    "late": python("wait_for_the_gate") + f"fresh_within: {DAYS}d\n",
}
LATER = re.sub("schedule: .*", "schedule: none", load("later", into="faults_down"))
"""Begins once the circuit of `down` is open."""
CIRCUIT = "connection:faults_down"
STEPS = '''\
"""Steps that fail as real ones do."""

import os
import signal
import time


def fill_the_disk():
    with open("/dev/full", "w", encoding="utf-8") as disk:
        disk.write("x" * 100_000)


def take_all_memory():
    return bytearray(1 << 62)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def break_down(item):
    raise ValueError(f"{item} is of no use; password=canary-in-a-message")


def leak_a_dsn():
    raise RuntimeError("no answer from postgresql://app:canary-in-a-dsn@db.example.org:5432/sales")


def leak_a_header():
    raise PermissionError("refused: {'Authorization': 'Bearer canary-in-a-header'}")


def leak_a_param(params):
    raise LookupError(f"no account has the pin {params['pin']}, token={params['api_token']}")


def sleep():
    time.sleep(600)


def wait_for_the_gate():
    while not os.path.exists("GATE"):
        time.sleep(0.2)
'''
GOOD = b"id,name\n" + b"".join(b"%d,name %d\n" % (n, n) for n in range(20))
MANY = b"id,name\n" + b"".join(b"%d,%s\n" % (n, b"x" * 200) for n in range(20_000))


def bad(share: int) -> bytes:
    """A hundred records, of which so many have no number."""
    return b"id,name\n" + b"".join(b"%s,name\n" % (b"x%d" % n if n < share else b"%d" % n) for n in range(100))


@dataclass
class Sources:
    """What the servers of sources answer, by file; `asked` counts."""

    asked: dict[str, int]

    def answer(self, asked: Asked) -> Answer:
        name = asked.path.strip("/").removesuffix(".csv")
        count = self.asked[name] = self.asked.get(name, 0) + 1
        match name:
            case "flaky" if count <= 2:
                return Answer(b"broken", 500)
            case "limited" if count <= 2:
                return Answer(b"slow down", 429, {"Retry-After": "2"})
            case "denied":
                return Answer(b"who are you?", 401)
            case "truncated":
                return Answer(MANY, cut=len(MANY) // 2)
            case "cut":
                return Answer(MANY)
            case "few_bad":
                return Answer(bad(4))
            case "sensitive":
                return Answer(b"id,ssn\n1,fine\nx,canary-in-a-record\n")
            case "many_bad":
                return Answer(bad(40))
        return Answer(GOOD)


@dataclass
class Night:
    """What ran, and what arrived at the two channels."""

    airflow: Airflow
    runs: Mapping[str, str]
    states: Mapping[str, str]
    sources: Sources
    pager: Http
    mails: Smtp

    def tries(self, name: str, task: str = "load") -> int:
        return int(self.airflow.task(f"f_{name}", self.runs[name], task)["try_number"])

    def rows(self, name: str) -> int:
        if self.airflow.sql("SELECT to_regclass(%s)", f"faults.{name}") == [(None,)]:
            return 0
        return int(self.airflow.sql(f"SELECT count(*) FROM faults.{name}")[0][0])

    def paged(self, name: str) -> list[dict[str, Any]]:
        return [one for one in self.pager.bodies if one["pipeline"] == f"f_{name}"]

    def mailed(self, name: str) -> list[str]:
        """The subjects."""
        return [str(mail["Subject"]) for mail in self.mails.mails if f"f_{name}." in str(mail["Subject"])]


def connect(airflow: Airflow, connection_id: str, conn_type: str, **words: Any) -> None:
    body = {"connection_id": connection_id, "conn_type": conn_type, **words}
    airflow.api.post("/connections", json=body).raise_for_status()


def stop(airflow: Airflow, dag: str, run: str, task: str) -> None:
    """Mark a task that runs as failed, as a person does in the UI."""
    path = f"/dags/{dag}/dagRuns/{run}/taskInstances/{task}"
    wait_until(lambda: airflow.task(dag, run, task)["state"] == "running" or None, 180, f"{dag}.{task} to run")
    airflow.api.patch(path, json={"new_state": "failed"}).raise_for_status()


def begin_while_another_task_probes(airflow: Airflow) -> str:
    """Start `later`, which waits then. A real probe would be over soon; the one that stands for it here is not."""
    airflow.wait_for_dag("f_later")
    probe = "UPDATE sluicegate.circuits SET {} WHERE name = %s RETURNING name"
    held = "state = 'half_open', probe_by = 'a test', probe_until = clock_timestamp() + interval '1 hour'"
    airflow.sql(probe.format(held), CIRCUIT)
    run = airflow.trigger("f_later")
    airflow.wait_for_deferred("f_later", run, "load")
    let_go = "state = 'open', until = clock_timestamp(), probe_by = NULL, probe_until = NULL"
    airflow.sql(probe.format(let_go), CIRCUIT)
    return run


@pytest.fixture(scope="module")
def night(airflow: Airflow, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    gate = tmp_path_factory.mktemp("faults") / "gate"
    words = conninfo_to_dict(airflow.stack.warehouse_dsn)
    host, port = str(words["host"]), int(words["port"] or 5432)
    server = {"login": words["user"], "password": words["password"], "schema": words["dbname"], "host": host}
    with (
        web_server() as site, http_server() as pager, smtp_server() as mails,
        proxy_to(host, port) as down, proxy_to(host, port) as cut,
    ):  # fmt: skip
        sources = Sources({})
        site.script = sources.answer
        connect(airflow, "faults_down", "postgres", port=down.port, **server)
        connect(airflow, "faults_cut", "postgres", port=cut.port, **server)
        connect(airflow, "faults_pager", "http", host=f"http://127.0.0.1:{pager.port}", password="canary-pager")
        said = json.loads(mails.connection())
        connect(airflow, "faults_mail", **{**said, "extra": json.dumps(said["extra"])})
        connect(airflow, "faults_source", "http", host=site.url, login="us", password="canary-of-a-source")
        airflow.sql("CREATE SCHEMA IF NOT EXISTS faults")
        down.stop()
        began = time.monotonic()
        cut.cut_after = 500_000
        airflow.write("fault_steps.py", STEPS.replace("GATE", str(gate)))
        airflow.write("faults/defaults.yaml", DEFAULTS)
        for name, text in PIPELINES.items():
            airflow.write(f"faults/f_{name}.yaml", text.replace("URL", site.url))
        airflow.write("faults/f_later.yaml", LATER.replace("URL", site.url))
        runs = {name: airflow.first_run(f"f_{name}") for name in PIPELINES}
        stop(airflow, "f_stopped", runs["stopped"], "work")
        wait_until(
            lambda: any(one["pipeline"] == "f_late" for one in pager.bodies), 180, "the alert of a missed deadline"
        )
        gate.touch()
        is_open = "SELECT true FROM sluicegate.circuits WHERE name = %s AND state = 'open'"
        wait_until(lambda: airflow.sql(is_open, CIRCUIT), 180, "the circuit of the warehouse that is away to open")
        runs["later"] = begin_while_another_task_probes(airflow)
        time.sleep(max(0.0, began + 30 - time.monotonic()))
        down.start()
        states = {name: airflow.ended(f"f_{name}", run) for name, run in runs.items()}
        yield Night(airflow, runs, states, sources, pager, mails)


RECOVERED = ("flaky", "limited", "down", "cut", "few_bad")
"""By name, what ends well, some of it after retries: nobody is told."""
FAILED = {
    "truncated": ("NETWORK", "load", 2),
    "denied": ("SOURCE_DENIED", "load", 1),
    "many_bad": ("TOO_MANY_DEAD_LETTERS", "load", 1),
    "full": ("DISK_FULL", "work", 1),
    "memory": ("OUT_OF_MEMORY", "work", 1),
    "mapped": ("CODE_BROKEN", "work", 1),
}
"""By name, the fault, the step and the number of tries."""


@pytest.mark.parametrize(
    ("name", "rows"), [("flaky", 20), ("limited", 20), ("down", 20), ("cut", 20_000), ("few_bad", 96)]
)
def test_what_passes_by_itself_is_loaded_once_and_nobody_is_told(night: Night, name: str, rows: int) -> None:
    assert night.states[name] == "success"
    assert night.rows(name) == rows
    assert night.paged(name) == []
    assert night.mailed(name) == []


@pytest.mark.parametrize("name", FAILED)
def test_what_fails_is_reported_once_on_each_channel(night: Night, name: str) -> None:
    code, step, tries = FAILED[name]
    assert night.states[name] == "failed"
    assert night.rows(name) == 0
    [one] = night.paged(name)
    assert (one["pipeline"], one["step"], one["fault"]["code"]) == (f"f_{name}", step, code)
    assert one["dedupe_key"] == f"f_{name}/{night.runs[name]}/{code}"
    assert one["owner"] == "night-shift"
    if name != "mapped":
        assert night.tries(name, step) == tries
    [mail] = night.mailed(name)
    assert code in mail


def test_a_server_that_is_busy_is_asked_when_it_said(night: Night) -> None:
    assert night.sources.asked["limited"] >= 3


def test_a_warehouse_that_is_away_is_left_alone_until_one_probe_comes_through(night: Night) -> None:
    """It was open, as the night began: six loads with three retries each would have used them up."""
    assert night.airflow.sql("SELECT state FROM sluicegate.circuits WHERE name = 'connection:faults_down'") == [
        ("closed",)
    ]
    assert night.airflow.states("f_down", night.runs["down"]) == {"load": ["success"] * 6}


def test_a_task_that_begins_while_a_circuit_is_not_closed_waits_and_uses_no_retry(night: Night) -> None:
    assert (night.states["later"], night.tries("later"), night.rows("later")) == ("success", 1, 20)
    log = night.airflow.log("f_later", night.runs["later"], "load")
    assert "connection:faults_down is not asked now" in log


def test_a_worker_that_is_killed_is_reported_too(night: Night) -> None:
    assert night.states["killed"] == "failed"
    assert night.tries("killed", "work") == 2
    [one] = wait_until(lambda: night.paged("killed"), 180, "the alert of a killed worker")
    assert one["step"] == "work"


def test_a_deadline_that_is_missed_is_reported_once(night: Night) -> None:
    assert night.states["late"] == "success"
    [one] = night.paged("late")
    assert one["fault"]["code"] == "PIPELINE_LATE"


def test_what_a_person_stops_is_not_reported(night: Night) -> None:
    assert night.states["stopped"] == "failed"
    assert night.paged("stopped") == []


def kept(night: Night) -> Iterator[tuple[str, str]]:
    """All that is written anywhere: logs, tables, alerts, XComs, state stores."""
    state = night.airflow.workspace.state
    for file in (state / "logs").rglob("*"):
        if file.is_file():
            yield str(file.relative_to(state)), file.read_text("utf-8", "replace")
    tables = night.airflow.sql("SELECT table_name FROM information_schema.tables WHERE table_schema = 'sluicegate'")
    for (table,) in tables:
        yield table, str(night.airflow.sql(f"SELECT to_jsonb(t)::text FROM sluicegate.{table} t"))
    yield "pager", json.dumps(night.pager.bodies)
    yield "mail", "\n".join([*map(str, night.mails.mails), *night.mails.bodies])
    for name, run in night.runs.items():
        for one in night.airflow.instances(f"f_{name}", run):
            path = f"/dags/f_{name}/dagRuns/{run}/taskInstances/{one['task_id']}"
            mapped = {"map_index": one["map_index"]}
            keys = [entry["key"] for entry in night.airflow.get(f"{path}/xcomEntries", **mapped)["xcom_entries"]]
            for where in (f"{path}/state-store", *(f"{path}/xcomEntries/{key}" for key in keys)):
                yield where, night.airflow.api.get(where, params=mapped).text


def test_nothing_secret_is_written_anywhere(night: Night) -> None:
    words = conninfo_to_dict(night.airflow.stack.warehouse_dsn)
    places = dict(kept(night))
    assert len(places) > 60
    secrets = re.compile(rf"canary-[a-z-]+|{re.escape(str(words['password']))}")
    assert {where: sorted(set(secrets.findall(text))) for where, text in places.items() if secrets.search(text)} == {}

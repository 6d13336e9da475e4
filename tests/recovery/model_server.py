"""The model of Airflow as a real HTTP server on loopback: the few REST calls that carrying out a plan makes.

A test says what becomes of which call: the process that makes it is killed, the answer is a 500, or it is lost.
"""

from __future__ import annotations

import json
import random
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from sluicegate.api.errors import Refused
from sluicegate.recovery.definition import InstanceKey, Plan, RunKey, Server
from sluicegate.recovery.plan_file import sealed
from tests.recovery.model import AirflowModel, Cell, Scenario, plan_of

TOKEN = "token-1"


@dataclass(frozen=True)
class Call:
    """A request, by its number from 1."""

    number: int
    method: str
    path: str
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_effect(self) -> bool:
        return self.method in ("PATCH", "PUT", "DELETE") or (self.method == "POST" and not self.path.endswith("/list"))


Fate = Callable[[Call], str]
"""What becomes of a call: `""`, `500 before`, `500 after`, `lost` (done without an answer), `dropped` (neither)."""


@dataclass
class ModelServer:
    airflow: AirflowModel
    url: str = ""
    before: Fate = lambda _: ""
    after: Callable[[Call], None] = lambda _: None
    token: str = TOKEN
    no_variables: bool = False
    paused: set[str] = field(default_factory=set)
    calls: list[Call] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    errors: dict[InstanceKey, dict[str, Any]] = field(default_factory=dict)
    """What steps have left in the state store."""

    def plan(self, **options: Any) -> Plan:
        made = plan_of(self.airflow.scenario, self.airflow, **options)
        airflow = self.airflow
        for edge in made.edges:
            b, a = made.instances[edge.before].key, made.instances[edge.after].key
            if b.of != a.of:
                airflow.edges.setdefault("http", set()).add((b, a))
        return sealed(replace(made, id="", server=Server(self.url, "3.3.2")))

    def answer(self, method: str, target: str, token: str, body: Mapping[str, Any]) -> tuple[int, Any] | None:
        with self.lock:
            parts = urlsplit(target)
            call = Call(len(self.calls) + 1, method, parts.path.removeprefix("/api/v2"), body)
            self.calls.append(call)
            fate = self.before(call)
            if fate == "dropped":
                return None
            if fate == "500 before":
                return 500, {"detail": "out of memory"}
            answer = self._answer(call, parse_qs(parts.query), token)
            self.after(call)
            if fate == "lost":
                return None
            return (500, {"detail": "out of memory"}) if fate == "500 after" else answer

    def _answer(self, call: Call, query: Mapping[str, list[str]], token: str) -> tuple[int, Any]:
        words = [unquote(word) for word in call.path.strip("/").split("/")]
        if words == ["version"]:
            return 200, {"version": "3.3.2"}
        if token != self.token:
            return 401, {"detail": "Token Expired"}
        try:
            if words[0] == "variables":
                return self._variables(call, words)
            if call.path.endswith("/list") or call.method == "GET":
                return self._read(call, words, query)
            return self._effect(call, words, query)
        except Refused as refusal:
            return refusal.status, {"detail": refusal.message}
        except KeyError:
            return 404, {"detail": "not found"}

    def _variables(self, call: Call, words: list[str]) -> tuple[int, Any]:
        if self.no_variables:
            return 403, {"detail": "Forbidden"}
        stored = self.airflow.variables
        if call.method == "POST":
            stored[call.body["key"]] = call.body["value"]
            return 201, {"key": call.body["key"], "value": call.body["value"]}
        if len(words) == 1:
            found = [{"key": key, "value": value} for key, value in stored.items()]
            return 200, {"variables": found, "total_entries": len(found)}
        if call.method == "DELETE":
            del stored[words[1]]
            return 204, None
        value = stored[words[1]]
        if call.method == "PATCH":
            value = stored[words[1]] = call.body["value"]
        return 200, {"key": words[1], "value": value}

    def _read(self, call: Call, words: list[str], query: Mapping[str, list[str]]) -> tuple[int, Any]:
        if words[-1] == "last_error":
            key = InstanceKey(words[1], words[3], words[5], int(query["map_index"][0]))
            return 200, {"key": "last_error", "value": self.errors[key]}
        if len(words) == 2 and words[0] == "dags":
            return 200, {"dag_id": words[1], "is_paused": words[1] in self.paused, "is_stale": False}
        if "taskInstances" in words:
            wanted = call.body if call.body else {"dag_ids": [words[1]], "dag_run_ids": [words[3]]}
            cells = [
                cell
                for run, each in self.airflow.of.items()
                if run.dag in wanted["dag_ids"] and run.run in wanted["dag_run_ids"]
                for cell in each
            ]
            found = list(map(_shown, cells))
            return 200, {"task_instances": found, "total_entries": len(found), "next_cursor": None}
        for _ in range(60):  # time passes between two looks
            self.airflow.step()
        runs = [
            {"dag_id": run.dag, "dag_run_id": run.run, "state": state}
            for run, state in self.airflow.runs.items()
            if run.dag in call.body["dag_ids"] and state in call.body["states"]
        ]
        return 200, {"dag_runs": runs, "total_entries": len(runs)}

    def _effect(self, call: Call, words: list[str], query: Mapping[str, list[str]]) -> tuple[int, Any]:
        airflow, dag = self.airflow, words[1]
        if words[-1] == "clearTaskInstances":
            run = RunKey(dag, call.body["dag_run_id"])
            tasks = {(task, index) for task, index in call.body["task_ids"]}
            done = airflow.clear("http", run, tasks, call.body["note"])
            found = [_shown(airflow.cells[InstanceKey(dag, run.run, task, index)]) for task, index in done]
            return 200, {"task_instances": found, "total_entries": len(found)}
        if words[-1] == "queuedEvents":
            airflow.events.remove((dag, int(words[3])))
            return 204, None
        if "taskInstances" in words and call.method == "PATCH":
            key = InstanceKey(dag, words[3], words[5], int(query["map_index"][0]))
            if query.get("update_mask") == ["note"]:
                airflow.cells[key].note = call.body["note"]
            else:
                airflow.mark("http", key, call.body["new_state"], call.body["note"])
        elif call.method == "PATCH":
            airflow.requeue(RunKey(dag, words[3]))
        return 200, {}


def _shown(cell: Cell) -> dict[str, Any]:
    return {
        "dag_id": cell.key.dag, "dag_run_id": cell.key.run, "task_id": cell.key.task, "map_index": cell.key.index,
        "id": cell.id, "state": cell.state, "note": cell.note or None, "try_number": cell.tries, "duration": None,
        "operator": "PythonOperator", "pool": "default_pool", "pool_slots": 1, "start_date": None, "end_date": None,
        "rendered_fields": {},
    }  # fmt: skip


@contextmanager
def serving(scenario: Scenario, seed: int = 1) -> Iterator[ModelServer]:
    server = ModelServer(AirflowModel(scenario, random.Random(seed)))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer in two packets would wait for the client's acknowledgement

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else {}
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            answer = server.answer(self.command, self.path, token, body)
            if answer is None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            status, content = answer
            data = b"" if content is None else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _answer  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Quiet."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that was killed is no error."""

    http = Quiet(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()

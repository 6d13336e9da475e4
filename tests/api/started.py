"""An Airflow on loopback that keeps runs and backfills, as far as starting and following them asks; with accidents."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Answer = tuple[int, object]
DAY = timedelta(days=1)


def param(value: object, **schema: object) -> dict[str, object]:
    return {"value": value, "schema": schema, "description": None}


@dataclass
class FakeAirflow:
    """One DAG, `orders`, with a window a day since 2026-01-01.

    `accidents`: what happens to the next writes, one after the other: a number is answered and nothing is done, `lost`
    does it and breaks the connection, `late` does it and answers after a while.
    """

    url: str = ""
    params: dict[str, dict[str, object]] = field(
        default_factory=lambda: {
            "file": param("a.csv", type="string"),
            "region": param("eu", type="string", enum=["eu", "us"]),
            "limit": param(None, type=["null", "integer"], minimum=1),
            "dry_run": param(False, type="boolean"),
            "force": param(False, type="boolean"),
        }
    )
    details: dict[str, object] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    backfills: list[dict[str, Any]] = field(default_factory=list)
    import_errors: list[dict[str, str]] = field(default_factory=list)
    accidents: list[int | str] = field(default_factory=list)
    ends: str = "success"
    """What becomes of a run, at the second look at it."""
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    looks: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def writes(self, where: str = "") -> list[Any]:
        return [
            body for method, path, body in self.asked if method == "POST" and where in path and "dry_run" not in path
        ]

    def add_run(self, run_id: str, conf: dict[str, object] | None = None, **said: Any) -> None:
        now = datetime.now(UTC)
        date = said.pop("date", now)
        self.runs[run_id] = {
            "dag_id": "orders", "dag_run_id": run_id, "state": "queued", "run_type": "manual", "conf": conf or {},
            "logical_date": date.isoformat(), "data_interval_start": date.isoformat(),
            "data_interval_end": (date + DAY).isoformat(), "run_after": now.isoformat(),
        } | said  # fmt: skip

    def answer(self, method: str, target: str, body: Any) -> Answer | None:
        with self.lock:
            split = urlsplit(target)
            where, query = unquote(split.path).removeprefix("/api/v2"), parse_qs(split.query)
            self.asked.append((method, where, body))
            accident = self.accidents.pop(0) if method == "POST" and self.accidents and "dry_run" not in where else None
            if isinstance(accident, int):
                return accident, {"detail": "an accident"}
            done = self._post(where, body) if method != "GET" else self._get(where, query)
        if accident == "late":
            time.sleep(5)
        return None if accident == "lost" else done

    def _get(self, where: str, query: dict[str, list[str]]) -> Answer:
        if where == "/dags/orders/details":
            flags = {"has_import_errors": False, "is_stale": False, "is_paused": False, "timezone": "UTC"}
            return 200, {"dag_id": "orders", "params": self.params} | flags | self.details
        if where == "/dags/orders/dagRuns":
            return 200, self._listed(query)
        if where.endswith("/taskInstances"):
            run_id = where.split("/")[4]
            found = {"task_instances": self._tasks(run_id), "next_cursor": None} if run_id in self.runs else {}
            return (200, found) if found else (404, {"detail": "no such run"})
        if where.startswith("/dags/orders/dagRuns/"):
            run = self.runs.get(where.removeprefix("/dags/orders/dagRuns/"))
            if run is not None:
                self.looks += 1
                run["state"] = self.ends if self.looks > 2 else run["state"]
            return (200, run) if run else (404, {"detail": "no such run"})
        lists = {
            "/importErrors": ("import_errors", self.import_errors),
            "/dags": ("dags", [{"dag_id": "orders"}]),
            "/backfills": ("backfills", self.backfills[::-1]),
        }
        if where in lists:
            name, entries = lists[where]
            return 200, {name: entries, "total_entries": len(entries)}
        return 404, {"detail": "not found"}

    def _listed(self, query: dict[str, list[str]]) -> object:
        def within(run: dict[str, Any]) -> bool:
            return all(
                run[name] >= query.get(f"{name}_gte", [""])[0] and run[name] <= query.get(f"{name}_lte", ["~"])[0]
                for name in ("logical_date", "run_after")
            ) and run["run_type"] in query.get("run_type", [run["run_type"]])

        found = sorted((run for run in self.runs.values() if within(run)), key=lambda run: run["run_after"])[::-1]
        first = int(query.get("offset", ["0"])[0])
        return {"dag_runs": found[first : first + 100], "total_entries": len(found)}

    def _tasks(self, run_id: str) -> list[object]:
        state = {"success": "success", "failed": "failed"}.get(self.runs[run_id]["state"], "running")
        return [
            {
                "dag_id": "orders", "dag_run_id": run_id, "task_id": "load", "map_index": -1, "state": state,
                "try_number": 1, "duration": None, "id": "i", "operator": None, "pool": "p", "pool_slots": 1,
                "start_date": None, "end_date": None, "note": None, "rendered_fields": {},
            }
        ]  # fmt: skip

    def _post(self, where: str, body: Any) -> Answer:
        if where == "/dags/orders/dagRuns":
            taken = {run["logical_date"] for run in self.runs.values()}
            if body["dag_run_id"] in self.runs or body["logical_date"] in taken:
                return 409, {"detail": {"reason": "Unique constraint violation"}}
            self.add_run(body["dag_run_id"], body["conf"], logical_date=body["logical_date"], note=body.get("note"))
            return 200, self.runs[body["dag_run_id"]]
        if where.startswith("/backfills"):
            return self._backfill(where, body)
        run = self.runs[where.rpartition("/")[2]]
        run |= body
        return 200, run

    def _backfill(self, where: str, body: Any) -> Answer:
        first, last = (datetime.fromisoformat(body[name]) for name in ("from_date", "to_date"))
        start = datetime(2026, 1, 1, tzinfo=UTC)
        dates = [start + DAY * n for n in range(60) if first <= start + DAY * n <= last]
        if where.endswith("dry_run"):
            idle = [date for date in dates if not any(run["logical_date"] == date.isoformat() for run in self._open())]
            return 200, {"backfills": [{"logical_date": date.isoformat()} for date in idle], "total_entries": len(idle)}
        self.backfills.append(body | {"created_at": datetime.now(UTC).isoformat()})
        for date in dates:
            before = [run for run in self.runs.values() if run["logical_date"] == date.isoformat()]
            for run in before:
                run |= {"state": "queued", "conf": body["dag_run_conf"], "run_type": "backfill"}
            if not before:
                self.add_run(f"backfill__{date.isoformat()}", body["dag_run_conf"], date=date, run_type="backfill")
        return 200, {"id": len(self.backfills)}

    def _open(self) -> list[dict[str, Any]]:
        return [run for run in self.runs.values() if run["state"] not in ("success", "failed")]


@contextmanager
def fake_airflow() -> Iterator[FakeAirflow]:
    airflow = FakeAirflow()

    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            answer = airflow.answer(self.command, self.path, body)
            if answer is None:
                self.connection.close()
                self.close_connection = True
                return
            status, content = answer
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = respond  # noqa: N815 - its base's words

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its base's word
            """Quiet."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    airflow.url = f"http://127.0.0.1:{http.server_address[1]}"
    try:
        yield airflow
    finally:
        http.shutdown()
        http.server_close()

"""An EMR and an S3 that a test plays on: a real server on loopback, whose clusters do what the test says.

And a task instance without an Airflow around it: what survives its tries is the store.
"""

from __future__ import annotations

import asyncio
import functools
import gzip
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskDeferred
from botocore.loaders import JSONFileLoader

LIVE = ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING")


class AwsError(Exception):
    def __init__(self, code: str, status: int = 400, message: str = "no") -> None:
        super().__init__(message)
        self.code, self.status = code, status


class LostAnswerError(Exception):
    """The work is done, and the connection breaks before anybody hears of it."""


class FakeAws:
    """State of the server. `before` and `after` may raise for an action, by its name; `calls` counts them."""

    def __init__(self) -> None:
        self.clusters: dict[str, dict[str, Any]] = {}
        self.objects: dict[str, bytes] = {}
        self.buckets = {"code", "logs", "lake"}
        self.calls: list[str] = []
        self.before: dict[str, list[BaseException | Callable[[], None]]] = {}
        self.after: dict[str, list[BaseException | Callable[[], None]]] = {}
        self.tap: Callable[[str], None] = lambda action: None
        self.page = 2
        self.lock = threading.RLock()
        self.url = ""

    def emr(self, action: str, body: dict[str, Any]) -> dict[str, Any]:
        self._due(self.before, action)
        with self.lock:
            self.calls.append(action)
            answer: dict[str, Any] = getattr(self, f"do_{action}")(body) or {}
        self.tap(action)
        self._due(self.after, action)
        return answer

    def _due(self, plan: dict[str, list[Any]], action: str) -> None:
        with self.lock:
            due = plan[action].pop(0) if plan.get(action) else None
        if isinstance(due, BaseException):
            raise due
        if due is not None:
            due()

    # What a test does.
    def run_step(self, cluster_id: str, n: int = 0, *, ago: float = 5.0) -> None:
        cluster = self.clusters[cluster_id]
        cluster["State"] = "RUNNING"
        cluster["Steps"][n] |= {"State": "RUNNING", "Start": now() - timedelta(seconds=ago)}

    def finish(self, cluster_id: str) -> None:
        cluster = self.clusters[cluster_id]
        for step in cluster["Steps"]:
            step["Start"] = step.get("Start") or now() - timedelta(seconds=5)
            step |= {"State": "COMPLETED", "End": now()}
        self.end(cluster_id, "TERMINATED", "ALL_STEPS_COMPLETED")

    def fail_step(self, cluster_id: str, n: int = 0, *, stdout: str = "", stderr: str = "") -> None:
        cluster = self.clusters[cluster_id]
        step = cluster["Steps"][n]
        step["Start"] = step.get("Start") or now() - timedelta(seconds=5)
        step |= {
            "State": "FAILED",
            "End": now(),
            "Failure": {"Reason": "Unknown Error.", "Message": "see log"},
        }
        folder = f"logs/emr/{cluster_id}/steps/{step['Id']}/"
        self.objects[folder + "stdout.gz"] = gzip.compress(stdout.encode())
        self.objects[folder + "stderr.gz"] = gzip.compress(stderr.encode())
        self.end(cluster_id, "TERMINATED_WITH_ERRORS", "STEP_FAILURE")

    def end(self, cluster_id: str, state: str, code: str, message: str = "", error: str = "") -> None:
        self.clusters[cluster_id] |= {
            "State": state, "Code": code, "Message": message, "Error": error, "Ended": now(),
        }  # fmt: skip
        for step in self.clusters[cluster_id]["Steps"]:
            if step["State"] in ("PENDING", "RUNNING"):
                step["State"] = "CANCELLED"

    def live(self) -> list[str]:
        return [c for c, cluster in self.clusters.items() if cluster["State"] in LIVE]

    # What the API does.
    def do_RunJobFlow(self, body: dict[str, Any]) -> dict[str, Any]:
        cluster_id = f"j-{len(self.clusters) + 1:04d}"
        self.clusters[cluster_id] = {
            "Name": body["Name"],
            "State": "STARTING",
            "Created": now(),
            "Tags": {tag["Key"]: tag["Value"] for tag in body["Tags"]},
            "LogUri": body.get("LogUri", ""),
            "Protected": body["Instances"]["TerminationProtected"],
            "Request": body,
            "Steps": [
                {"Id": f"s-{cluster_id}-{n}", "Name": step["Name"], "State": "PENDING"}
                for n, step in enumerate(body["Steps"])
            ],
        }
        return {"JobFlowId": cluster_id}

    def do_ListClusters(self, body: dict[str, Any]) -> dict[str, Any]:
        after = body.get("CreatedAfter", 0)
        after = after if isinstance(after, (int, float)) else datetime.fromisoformat(after).timestamp()
        fitting = [
            (cluster_id, cluster)
            for cluster_id, cluster in reversed(self.clusters.items())
            if cluster["State"] in body["ClusterStates"] and cluster["Created"].timestamp() > after
        ]
        first = int(body.get("Marker", 0))
        page = {
            "Clusters": [
                {"Id": cluster_id, "Name": cluster["Name"], "Status": status(cluster)}
                for cluster_id, cluster in fitting[first : first + self.page]
            ]
        }
        return page | ({"Marker": str(first + self.page)} if first + self.page < len(fitting) else {})

    def do_DescribeCluster(self, body: dict[str, Any]) -> dict[str, Any]:
        cluster = self.clusters[body["ClusterId"]]
        tags = [{"Key": key, "Value": value} for key, value in cluster["Tags"].items()]
        return {
            "Cluster": {
                "Id": body["ClusterId"], "Name": cluster["Name"], "Status": status(cluster),
                "Tags": tags, "LogUri": cluster["LogUri"],
            }
        }  # fmt: skip

    def do_ListSteps(self, body: dict[str, Any]) -> dict[str, Any]:
        steps = self.clusters[body["ClusterId"]]["Steps"]
        return {"Steps": [step_entry(step) for step in reversed(steps)]}

    def do_AddTags(self, body: dict[str, Any]) -> None:
        tags = self.clusters[body["ResourceId"]]["Tags"]
        tags |= {tag["Key"]: tag["Value"] for tag in body["Tags"]}

    def do_SetTerminationProtection(self, body: dict[str, Any]) -> None:
        for cluster_id in body["JobFlowIds"]:
            self.clusters[cluster_id]["Protected"] = body["TerminationProtected"]

    def do_TerminateJobFlows(self, body: dict[str, Any]) -> None:
        for cluster_id in body["JobFlowIds"]:
            if self.clusters[cluster_id]["Protected"]:
                raise AwsError("ValidationException", 400, "one or more job flows are termination protected")
        for cluster_id in body["JobFlowIds"]:
            if self.clusters[cluster_id]["State"] in LIVE:
                self.end(cluster_id, "TERMINATED", "USER_REQUEST", "Terminated by user request")


def now() -> datetime:
    return datetime.now(UTC)


def status(cluster: dict[str, Any]) -> dict[str, Any]:
    times = {"CreationDateTime": cluster["Created"].timestamp()}
    if "Ended" in cluster:
        times["EndDateTime"] = cluster["Ended"].timestamp()
    reason = {"Code": cluster.get("Code"), "Message": cluster.get("Message")}
    errors = [{"ErrorCode": cluster["Error"]}] if cluster.get("Error") else []
    return {"State": cluster["State"], "StateChangeReason": reason, "Timeline": times, "ErrorDetails": errors}


def step_entry(step: dict[str, Any]) -> dict[str, Any]:
    times = {
        name: step[key].timestamp()
        for name, key in (("StartDateTime", "Start"), ("EndDateTime", "End"))
        if step.get(key)
    }
    state = {"State": step["State"], "Timeline": times, "FailureDetails": step.get("Failure")}
    return {"Id": step["Id"], "Name": step["Name"], "Status": state}


class Handler(BaseHTTPRequestHandler):
    fake: FakeAws
    wbufsize = -1  # one packet an answer: the second of two waits for the first one's acknowledgement
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self._body()
        action = self.headers["X-Amz-Target"].partition(".")[2]
        try:
            self._send(200, json.dumps(self.fake.emr(action, json.loads(body or b"{}"))).encode())
        except LostAnswerError:
            self.close_connection = True
            self.connection.close()
        except AwsError as error:
            self._send(error.status, json.dumps({"__type": error.code, "message": str(error)}).encode())

    def do_HEAD(self) -> None:
        self._send(200 if self.path[1:] in self.fake.objects else 404)

    def do_GET(self) -> None:
        content = self.fake.objects.get(self.path[1:])
        if content is None:
            missing = "NoSuchKey" if self.path.split("/")[1] in self.fake.buckets else "NoSuchBucket"
            self._send(404, f"<Error><Code>{missing}</Code></Error>".encode())
        else:
            self._send(200, content)

    def do_PUT(self) -> None:
        body = self._body()
        if self.path.split("/")[1] not in self.fake.buckets:
            self._send(404, b"<Error><Code>NoSuchBucket</Code></Error>")
            return
        self.fake.calls.append("PutObject")
        self.fake.objects[self.path[1:]] = body
        self._send(200)

    def _body(self) -> bytes:
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
            self.wfile.flush()
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _send(self, code: int, content: bytes = b"") -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@pytest.fixture(scope="session", autouse=True)
def quick_sessions() -> Iterator[None]:
    """botocore reads the same 2 MB of JSON for every session; each task of a test makes one."""
    read = JSONFileLoader._load_file
    cached = functools.cache(lambda path, opener: read(JSONFileLoader(), path, opener))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "_load_file", lambda _, path, opener: cached(path, opener))
        yield


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    """The server, and the Airflow connection `aws_default` that leads to it."""
    fake = FakeAws()

    server = ThreadingHTTPServer(("127.0.0.1", 0), type("FakeHandler", (Handler,), {"fake": fake}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection(fake.url))
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()


def connection(url: str) -> str:
    extra = {
        "region_name": "us-east-1",
        "endpoint_url": url,
        "config_kwargs": {"s3": {"addressing_style": "path"}},
    }
    return json.dumps({"conn_type": "aws", "login": "test", "password": "test", "extra": extra})


class Store(dict[str, Any]):
    """Airflow's task state store: JSON in, JSON out, and it survives everything."""

    def set(self, key: str, value: Any, **kwargs: Any) -> None:
        assert value is not None
        self[key] = json.loads(json.dumps(value))

    def delete(self, key: str) -> None:
        self.pop(key, None)


class Task:
    """One task instance. Each `execute` or `resume` is a new worker: a new operator on the old store."""

    def __init__(self, root: Path, **arguments: Any) -> None:
        self.arguments = {
            "jobs": ["jobs/delays.py"],
            "cluster": {
                "release": "emr-7.13.0",
                "instances": {"primary": "m7g.xlarge", "core": {"type": "m7g.xlarge", "count": 2}},
                "log_uri": "s3://logs/emr/",
            },
            "cluster_name": "small",
            "reads": {"flights": "s3://lake/flights/{{ ds }}.csv"},
            "writes": {"out": "s3://lake/delays/{{ ds }}/"},
            "artifacts": "s3://code/",
            "root": str(root),
            "retries": 2,
            "log_wait": timedelta(seconds=0),
        } | arguments
        self.store = Store()
        self.try_number, self.max_tries = 1, self.arguments["retries"]
        self.params: dict[str, Any] = {}
        self.operator: Any = None
        self.pushed: dict[str, Any] = {}

    def context(self) -> dict[str, Any]:
        start = datetime(2013, 2, 11, tzinfo=UTC)
        ti = SimpleNamespace(
            try_number=self.try_number,
            max_tries=self.max_tries,
            map_index=-1,
            xcom_push=lambda key, value: self.pushed.update({key: value}),
        )
        return {
            "ti": ti,
            "run_id": "scheduled__2013-02-11T00:00:00+00:00",
            "params": self.params,
            "data_interval_start": start,
            "data_interval_end": start + timedelta(days=1),
            "task_state_store": self.store,
            "ds": "2013-02-11",
        }

    def new(self) -> Any:
        from sluicegate.emr import SparkOperator

        with DAG("delays", schedule=None):
            self.operator = SparkOperator(task_id="join", **self.arguments)
        return self.operator

    def execute(self) -> Any:
        """What `execute` returns, or the `TaskDeferred` that it raised."""
        operator, context = self.new(), self.context()
        operator.render_template_fields(context)
        try:
            return operator.execute(context)
        except TaskDeferred as deferred:
            return deferred

    def resume(self, deferred: TaskDeferred, event: Any) -> Any:
        operator, context = self.new(), self.context()
        operator.render_template_fields(context)
        try:
            return operator.resume_execution(deferred.method_name, (deferred.kwargs or {}) | {"event": event}, context)
        except TaskDeferred as again:
            return again

    def fail_trigger(self, error: str) -> Any:
        operator, context = self.new(), self.context()
        try:
            return operator.resume_execution("__fail__", {"error": error}, context)
        except TaskDeferred as again:
            return again

    def retry(self) -> Any:
        self.try_number += 1
        return self.execute()

    def clear(self) -> Any:
        """What a person does to a task, and then Airflow runs it again."""
        self.max_tries = self.try_number + self.arguments["retries"]
        self.try_number += 1
        return self.execute()


def fire(deferred: TaskDeferred) -> dict[str, Any]:
    """The trigger, as the triggerer makes it out of the database, until it fires."""
    from airflow._shared.module_loading import import_string

    path, kwargs = deferred.trigger.serialize()
    trigger = import_string(path)(**json.loads(json.dumps(kwargs)))

    async def first() -> Any:
        async for event in trigger.run():
            return event.payload
        raise AssertionError("the trigger ended without an event")

    payload: dict[str, Any] = json.loads(json.dumps(asyncio.run(first())))
    return payload


@pytest.fixture
def root(tmp_path: Path) -> Path:
    jobs = tmp_path / "dags" / "jobs"
    jobs.mkdir(parents=True)
    (jobs / "delays.py").write_text("print('delays')\n")
    (jobs / "report.py").write_text("print('report')\n")
    return tmp_path / "dags"


@pytest.fixture
def make_task(aws: FakeAws, root: Path) -> Callable[..., Task]:
    del aws
    return lambda **arguments: Task(root, **arguments)


@pytest.fixture
def task(make_task: Callable[..., Task]) -> Task:
    return make_task()


@pytest.fixture
def fired() -> Callable[[TaskDeferred], dict[str, Any]]:
    return fire

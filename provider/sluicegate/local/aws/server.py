"""The local AWS as a server on 127.0.0.1: lets in who may call, and hands S3 and EMR their requests.

Its endpoint executes what it is sent. So it listens on the loopback only, wants requests that are signed with the
access key and the secret it was given, and turns away what a browser sends (an Origin, or a Host that is not the
loopback: DNS rebinding).
"""

from __future__ import annotations

import fcntl
import json
import logging
import re
import socket
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol
from wsgiref.types import StartResponse, WSGIEnvironment

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from sluicegate.local.aws.archive import Archives
from sluicegate.local.aws.chaos import Chaos
from sluicegate.local.aws.chaos_control import CONTROL, ChaosApi
from sluicegate.local.aws.errors import LostAnswerError
from sluicegate.local.aws.fleet import Fleet
from sluicegate.local.aws.objects import Objects
from sluicegate.local.aws.plan import Plan
from sluicegate.local.aws.runner import Builder, GuardedRunner, SparkBuilder
from sluicegate.local.aws.s3 import S3Api
from sluicegate.local.aws.signature import Credentials, refusal
from sluicegate.local.aws.wire import xml

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
HEALTH = "/_sluicegate/health"
_LOOPBACK = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::\d+)?")
_TARGET = "ElasticMapReduce."


class RootInUseError(Exception):
    """Another server works on this root."""


class LocalAws:
    """EMR and S3 over the folder `root`, from `start` to `stop`; also a context manager.

    `root` holds a folder per bucket. `logs` gets each step's plain logs (default: `emr-logs` beside the
    root), `state` the records of clusters (default: `emr-state` beside it). With `create_buckets` a write, or
    a Spark job that names one, makes a missing bucket. Port 0 lets the OS pick. `slots`
    is how many steps run at the same time, `cores` and `memory` are for each of them. Without `access_key`
    every client is let in, without `secret_key` every client that has the access key. `cache` is a folder for what
    makes Spark start faster (`archive`), shared by all servers of a user. `chaos` is what goes wrong on purpose; with
    or without it `chaos.arm` lets one exact fault happen. `builder` replaces Spark, for tests.
    """

    def __init__(
        self,
        root: Path,
        *,
        port: int = 0,
        logs: Path | None = None,
        state: Path | None = None,
        buckets: Iterable[str] = (),
        create_buckets: bool = False,
        access_key: str | None = None,
        secret_key: str | None = None,
        slots: int = 1,
        cores: int = 2,
        memory: str = "1g",
        cache: Path | None = None,
        chaos: Plan | None = None,
        builder: Builder | None = None,
    ) -> None:
        self.root = root.resolve()
        self.logs = (logs or self.root.parent / "emr-logs").resolve()
        self.state = (state or self.root.parent / "emr-state").resolve()
        self._credentials = Credentials(access_key, secret_key) if access_key else None
        self._port = port
        self._buckets = tuple(buckets)
        self._create_buckets = create_buckets
        self._slots = slots
        self._cores = cores
        self._memory = memory
        self._cache = cache
        self.chaos = Chaos(chaos)
        self._builder = builder
        self._lock: IO[str] | None = None
        self._server: BaseWSGIServer | None = None
        self._thread: threading.Thread | None = None
        self._fleet: Fleet | None = None
        self._archives: Archives | None = None

    @property
    def port(self) -> int:
        """The port it listens on; 0 until `start` where the OS picks."""
        return self._port

    @property
    def endpoint_url(self) -> str:
        """What an AWS client takes as `endpoint_url`, for S3 and EMR alike."""
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Returns when requests are answered. Raises RootInUseError, or OSError if the port is taken."""
        # Code that only imports this class need not import botocore.
        from sluicegate.local.aws.emr import EmrApi

        self._lock = _locked(self.root)
        self.chaos.start()
        try:
            # The port is known before anything is built, for jobs are given the endpoint.
            with socket.create_server((HOST, self._port)) as listener:
                self._port = listener.getsockname()[1]
                objects = Objects(self.root, create_buckets=self._create_buckets)
                for name in self._buckets:
                    objects.create_bucket(name)
                self._archives = Archives(self._cache) if self._cache else None
                builder = self._builder or self._spark(objects)
                runner = GuardedRunner(objects, self.logs, self.state / "work", builder)
                self._fleet = Fleet(runner, self.state, self._slots)
                app = _Application(
                    S3Api(objects), EmrApi(self._fleet, self.chaos), ChaosApi(self.chaos), self._credentials
                )
                self._server = make_server(
                    HOST,
                    self._port,
                    app,
                    threaded=True,
                    request_handler=_QuietHandler,
                    fd=listener.fileno(),
                )
        except BaseException:
            self.stop()
            raise
        self._thread = threading.Thread(target=self._server.serve_forever, name="local-aws", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Kills what clusters run, closes the port. May be called twice."""
        self.chaos.stop()
        if self._server:
            if self._thread:
                self._server.shutdown()
                self._thread.join()
            self._server.server_close()
        if self._fleet:
            self._fleet.close()
        if self._archives:
            self._archives.close()
        if self._lock:
            self._lock.close()
        self._server = self._thread = self._fleet = self._archives = self._lock = None

    def __enter__(self) -> LocalAws:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _spark(self, objects: Objects) -> SparkBuilder:
        known = self._credentials or Credentials("local")
        env = {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": known.key,
            "AWS_SECRET_ACCESS_KEY": known.secret or "local",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        return SparkBuilder(objects, self._cores, self._memory, env, self._archives)


class _Api(Protocol):
    def respond(self, request: Request) -> Response: ...


class _Application:
    """The WSGI application: the door, then EMR or S3."""

    def __init__(self, s3: S3Api, emr: _Api, chaos: _Api, known: Credentials | None) -> None:
        self._s3 = s3
        self._emr = emr
        self._chaos = chaos
        self._known = known

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        try:
            response = self._respond(request)
        except LostAnswerError:
            raise  # no answer is sent, and the connection is closed
        except Exception:
            log.exception("%s %s", request.method, request.path)
            response = _error("InternalError", "The local AWS has a fault: see its log.", 500, request)
        return response(environ, start_response)

    def _respond(self, request: Request) -> Response:
        if not _LOOPBACK.fullmatch(request.headers.get("Host", "")) or "Origin" in request.headers:
            return _error("AccessDenied", "The local AWS answers this machine's programs only.", 403, request)
        if request.path == HEALTH:
            return Response('{"status": "healthy"}', content_type="application/json")
        if self._known is not None and (refused := refusal(request, self._known)) is not None:
            return _error(refused.code, refused.message, 403, request)
        if request.path == CONTROL:
            return self._chaos.respond(request)
        if _is_emr(request):
            return self._emr.respond(request)
        return self._s3.respond(request)


class _QuietHandler(WSGIRequestHandler):
    """Logs no line per request."""

    def connection_dropped(self, error: BaseException, environ: WSGIEnvironment | None = None) -> None:
        self.close_connection = True  # or the client would wait for the answer that was lost

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        log.debug("%s %s", self.requestline, code)


def _is_emr(request: Request) -> bool:
    return request.headers.get("X-Amz-Target", "").startswith(_TARGET)


def _error(code: str, message: str, status: int, request: Request) -> Response:
    if _is_emr(request):
        body = json.dumps({"__type": code, "message": message})
        return Response(body, status, content_type="application/x-amz-json-1.1")
    return Response(xml("Error", ("Code", code), ("Message", message)), status, content_type="application/xml")


def _locked(root: Path) -> IO[str]:
    """The root, made and held for this process; the lock goes with the process, however it ends."""
    root.mkdir(parents=True, exist_ok=True)
    lock = (root / ".lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise RootInUseError(f"Another local AWS works on {root}: stop it first.") from error
    return lock

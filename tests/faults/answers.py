"""A web server on loopback that answers as recorded: the first part of a path says how."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

XML = {"Content-Type": "application/xml"}
JSON = {"Content-Type": "application/x-amz-json-1.1"}


def s3(code: str, message: str = "as S3 says it") -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


def sts(code: str) -> bytes:
    return f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code></Error></ErrorResponse>".encode()


def emr(kind: str) -> bytes:
    return f'{{"__type": "{kind}", "message": "as EMR says it"}}'.encode()


RECORDED: dict[str, tuple[int, dict[str, str], bytes]] = {
    "html": (200, {"Content-Type": "text/html"}, b"<h1>Under maintenance</h1>"),
    "cut": (200, {"Content-Length": "1000"}, b'{"orders": ['),
    "broken-gzip": (200, {"Content-Encoding": "gzip"}, b"no gzip at all"),
    "round": (302, {"Location": "/round"}, b""),
    "s3-slow-down": (503, XML, s3("SlowDown", "Please reduce your request rate.")),
    "s3-internal": (500, XML, s3("InternalError")),
    "s3-no-key": (404, XML, s3("NoSuchKey")),
    "s3-no-bucket": (404, XML, s3("NoSuchBucket")),
    "s3-denied": (403, XML, s3("AccessDenied")),
    "s3-signature": (403, XML, s3("SignatureDoesNotMatch")),
    "s3-expired": (400, XML, s3("ExpiredToken")),
    "s3-archived": (403, XML, s3("InvalidObjectState")),
    "s3-changed": (412, XML, s3("PreconditionFailed")),
    "s3-shorter": (416, XML, s3("InvalidRange")),
    "s3-cut": (200, {"Content-Length": "1000"}, b"a,b\n1,"),
    "s3-gateway": (502, {"Content-Type": "text/html"}, b"<html>Bad Gateway</html>"),
    "emr-throttled": (400, JSON, emr("ThrottlingException")),
    "emr-invalid": (400, JSON, emr("ValidationException")),
    "emr-not-found": (400, JSON, emr("InvalidRequestException")),
    "emr-denied": (400, JSON, emr("AccessDeniedException")),
    "emr-internal": (500, JSON, emr("InternalServerException")),
    "sts-token": (403, XML, sts("InvalidClientTokenId")),
    "sts-expired": (403, XML, sts("ExpiredToken")),
} | {str(status): (status, {"Retry-After": "7"} if status in {429, 503} else {}, b"words of the server")
     for status in (400, 401, 403, 404, 409, 410, 412, 422, 429, 500, 502, 503, 504)}  # fmt: skip


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        name = self.path.split("?")[0].split("/")[1]
        self.close_connection = True
        if name == "hangs-up":
            return
        if name == "sleeps":
            time.sleep(20)  # nobody waits for this thread
            return
        status, headers, body = RECORDED[name]
        self.send_response(status)
        for key, value in ({"Content-Length": str(len(body)), "Connection": "close"} | headers).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_HEAD = answer  # noqa: N815 - the names that http.server calls

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def answering() -> Iterator[str]:
    """The server's address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def closed_port() -> int:
    """One at which nobody listens; a free one might be somebody's by the time it is asked."""
    return 1


def raised_by(work: Callable[[], object]) -> BaseException:
    try:
        work()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")

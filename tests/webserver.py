"""A web server on loopback that answers by a script, faults included; what it was asked is kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """`cut`: break off after so many bytes of the body. A HEAD gets the same headers."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


Script = Callable[[Asked], Answer]


@dataclass
class WebServer:
    """`script` answers; by default `answers` one after the other, the last of them for good, whatever the path."""

    url: str = ""
    answers: list[Answer] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    script: Script | None = None

    def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        if self.script is not None:
            return self.script(asked)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def ranged(asked: Asked, answer: Answer) -> Answer:
    """`answer`, or what a `Range` that is still right asks of it."""
    wanted, only_if = asked.headers.get("Range"), asked.headers.get("If-Range")
    if wanted is None or only_if != answer.headers.get("ETag"):
        return answer
    start = int(wanted.removeprefix("bytes=").partition("-")[0])
    headers = {**answer.headers, "Content-Range": f"bytes {start}-{len(answer.body) - 1}/{len(answer.body)}"}
    return Answer(answer.body[start:], 206, headers)


@contextmanager
def web_server() -> Iterator[WebServer]:
    site = WebServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def respond(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            asked = Asked(self.command, self.path, dict(self.headers.items()), self.rfile.read(length))
            answer = site.answer(asked)
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "HEAD":
                return
            self.wfile.write(answer.body[: answer.cut])
            if answer.cut is not None:
                self.wfile.flush()
                self.close_connection = True

        do_GET = respond  # noqa: N815 - its base's words
        do_HEAD = respond  # noqa: N815
        do_POST = respond  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its base's word
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()

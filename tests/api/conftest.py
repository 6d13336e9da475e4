"""An api-server on loopback that answers what a test says, and notes what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

Answer = tuple[int, object]


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    token: str
    body: Mapping[str, object]


@dataclass
class Server:
    """`answers` by "METHOD path", one after the other; the last is given for ever. None breaks the connection."""

    url: str = ""
    password: str = "right"
    tokens: list[str] = field(default_factory=lambda: ["token-1"])
    answers: dict[str, list[Answer | None]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def answer(self, asked: Asked) -> Answer | None:
        self.asked.append(asked)
        place = asked.path.partition("?")[0]
        if place == "/auth/token":
            good = asked.body.get("password") == self.password
            return (201, {"access_token": self.tokens[-1]}) if good else (401, {"detail": "Invalid credentials"})
        if asked.token not in self.tokens[-1:]:
            return 401, {"detail": "Not authenticated"}
        left = self.answers[f"{asked.method} {place.removeprefix('/api/v2')}"]
        return left.pop(0) if len(left) > 1 else left[0]

    def paths(self, method: str = "GET") -> list[str]:
        return [each.path for each in self.asked if each.method == method]


def serve(server: Server) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else {}
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            answer = server.answer(Asked(self.command, self.path, token, body))
            if answer is None:
                self.connection.close()
                self.close_connection = True
                return
            status, content = answer
            data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Content-Type", "text/html" if isinstance(content, str) else "application/json")
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Quiet."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return http


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    http = serve(server)
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    yield server
    http.shutdown()
    http.server_close()

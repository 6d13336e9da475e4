"""Real servers on loopback that take alerts: HTTP and SMTP, in threads of the test's own process."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Http:
    """`statuses` are the answers in order, the last one for all that follow; none comes while it `hangs`."""

    port: int = 0
    requests: list[Request] = field(default_factory=list)
    statuses: list[int] = field(default_factory=lambda: [200])
    says: str = "ok"
    """The body of the answers that take something."""
    hangs: bool = False
    ends: threading.Event = field(default_factory=threading.Event)

    @property
    def bodies(self) -> list[Any]:
        return [request.body for request in self.requests]

    def connection(self, **more: Any) -> str:
        return json.dumps({"conn_type": "http", "host": f"http://127.0.0.1:{self.port}", **more})


@contextmanager
def http_server() -> Iterator[Http]:
    state = Http()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            state.requests.append(Request(self.path, dict(self.headers), json.loads(raw or b"null")))
            status = state.statuses.pop(0) if len(state.statuses) > 1 else state.statuses[0]
            if state.hangs:
                state.ends.wait(300)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"no, password=hunter2" if status >= 400 else state.says.encode())

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        state.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield state
        state.ends.set()
        server.shutdown()


@dataclass
class Smtp:
    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)

    @property
    def bodies(self) -> list[str]:
        return ["".join(part.get_content() for part in mail.walk() if not part.is_multipart()) for mail in self.mails]

    def connection(self) -> str:
        extra = {
            "disable_tls": True,
            "disable_ssl": True,
            "timeout": 60,
            "retry_limit": 1,
            "from_email": "us@example.com",
        }
        return json.dumps({"conn_type": "smtp", "host": "127.0.0.1", "port": self.port, "extra": extra})


@contextmanager
def smtp_server() -> Iterator[Smtp]:
    """As much of SMTP as a client needs that sends a mail."""
    state = Smtp()

    class Handler(socketserver.StreamRequestHandler):
        def say(self, words: str) -> None:
            self.wfile.write(f"{words}\r\n".encode())

        def handle(self) -> None:
            self.say("220 here")
            while words := self.rfile.readline().decode().strip():
                verb = words.split()[0].upper()
                if verb == "DATA":
                    self.say("354 go on")
                    lines = iter(self.rfile.readline, b".\r\n")
                    state.mails.append(message_from_bytes(b"".join(lines), _class=EmailMessage, policy=default))
                self.say("221 bye" if verb == "QUIT" else "250 ok")
                if verb == "QUIT":
                    return

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        state.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield state
        server.shutdown()

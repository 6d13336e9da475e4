"""A TCP proxy on loopback that can be down, or cut its connections in the middle of what they carry."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Proxy:
    """`cut_after`: the next connection that carries more bytes than this to the server is cut there, once."""

    server: tuple[str, int]
    port: int = 0
    cut_after: int | None = None
    connections: int = 0
    """How many were asked for, those that were refused included."""
    _listener: socket.socket | None = None
    _open: set[socket.socket] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Listen, at the port that it had before if it was down."""
        self._listener = socket.create_server(("127.0.0.1", self.port), reuse_port=False)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections, and break off those that there are."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        with self._lock:
            for one in self._open:
                _break_off(one)
            self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            try:
                server = socket.create_connection(self.server)
            except OSError:
                _break_off(client)
                continue
            with self._lock:
                self._open |= {client, server}
            for one, other, counted in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._carry, args=(one, other, counted), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket, counted: bool) -> None:
        carried = 0
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                carried += len(data)
                if counted and self.cut_after is not None and carried > self.cut_after:
                    self.cut_after = None
                    break
                other.sendall(data)
        for each in (one, other):
            _break_off(each)
        with self._lock:
            self._open -= {one, other}


def _break_off(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


@contextlib.contextmanager
def proxy_to(host: str, port: int) -> Iterator[Proxy]:
    """A proxy to a server, which is up."""
    proxy = Proxy((host, port))
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()

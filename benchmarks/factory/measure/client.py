"""The other end of `server.py`: one server an environment, one session a contender, workload and role."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

__all__ = ["AskError", "Servers", "Session", "airflow_environment"]

_SERVER = Path(__file__).with_name("server.py")
_START_TIMEOUT = 600.0


class AskError(Exception):
    """What a contender could not do, in its own words."""


class Session:
    """A process that has done what Airflow does before it parses."""

    def __init__(self, address: Path, **said: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(address))
        self._stream = self._socket.makefile("rw", encoding="utf-8")
        self.prepared: float = self._exchange(said)["cpu"]
        """CPU seconds that the bundle took to get ready."""

    def ask(self, what: str, **arguments: Any) -> dict[str, Any]:
        """:raises AskError: when it fails there, or files could not be imported."""
        return self._exchange({"ask": what, **arguments})

    def close(self) -> None:
        self._stream.close()
        self._socket.close()

    def _exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        self._stream.write(json.dumps(request) + "\n")
        self._stream.flush()
        answer: dict[str, Any] = json.loads(self._stream.readline() or '{"failed": "it ended without a word"}')
        if "failed" in answer or answer.get("errors"):
            raise AskError(str(answer.get("failed") or answer["errors"])[:2000])
        return answer


class Servers:
    """Started when they are first asked for; they end with the block."""

    def __init__(self, stack: ExitStack, home: Path) -> None:
        self._stack, self._home = stack, home
        self._addresses: dict[Path, Path] = {}

    def session(self, python: Path, **said: str) -> Session:
        if python not in self._addresses:
            self._addresses[python] = self._stack.enter_context(_server(python, self._home, len(self._addresses)))
        session = Session(self._addresses[python], **said)
        self._stack.callback(session.close)
        return session


@contextmanager
def _server(python: Path, home: Path, number: int) -> Iterator[Path]:
    address, log = home / f"server{number}", home / f"server{number}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [python, str(_SERVER), str(address)],
            stdin=subprocess.PIPE, stdout=output, stderr=output, env=airflow_environment(home), cwd=home,
        )  # fmt: skip
    deadline = time.monotonic() + _START_TIMEOUT
    while not address.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise AskError(f"{python} cannot import Airflow:\n{log.read_text()[-2000:]}")
        time.sleep(0.05)
    try:
        yield address
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def airflow_environment(home: Path) -> dict[str, str]:
    """Airflow's defaults in a home of their own. What the caller has set for Airflow is left out."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
    return kept | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        # The slowest of the peers would be cut off on a busy machine.
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "600",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(home / "bundles"),
        # dag-factory would tell its makers of every run.
        "DO_NOT_TRACK": "true",
        "PYTHONDONTWRITEBYTECODE": "",
    }

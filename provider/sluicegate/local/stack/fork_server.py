"""Starts Python modules as forks of one process that has imported Airflow already (Linux).

Importing Airflow takes each of the five commands of a start seconds of a core. `ForkServer` is the supervisor's side;
`python -m sluicegate.local.stack.fork_server SOCKET` is the process. An order is a line of JSON, the answer a process
id. What is started becomes the supervisor's own child: its parent ends at once, and the supervisor is the subreaper.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sluicegate.local.stack import processes

__all__ = ["ForkServer"]

_PATIENCE = 60.0
"""Seconds that an answer may take: Airflow is imported before the first one."""

_FIRST = ("airflow", "airflow.__main__", "airflow.cli.cli_parser")
_WHILE_IDLE = (
    "alembic.runtime.environment",
    "airflow.migrations",
    "airflow.jobs.scheduler_job_runner",
    "airflow.jobs.triggerer_job_runner",
    "airflow.jobs.dag_processor_job_runner",
    "airflow.dag_processing.manager",
)
"""What some of the components import, as far as there is time before they are ordered."""


class ForkServer:
    """Spawns like `processes.spawn`, which it falls back on where the fork server cannot: elsewhere than on Linux,
    for a command other than `python -m`, once it is closed or has died.
    """

    def __init__(self, env: Mapping[str, str], log: Path, cwd: Path) -> None:
        self._channel: socket.socket | None = None
        if not processes.adopts_orphans():
            return
        self._channel, theirs = socket.socketpair()
        with theirs:
            self._server = processes.spawn(
                [sys.executable, "-m", "sluicegate.local.stack.fork_server", str(theirs.fileno())],
                env=env, log=log, cwd=cwd, pass_fds=[theirs.fileno()],
            )  # fmt: skip
        self._channel.settimeout(_PATIENCE)
        self._answers = self._channel.makefile("r")

    def spawn(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        log: Path,
        cwd: Path,
        user: int | None = None,
        group: int | None = None,
        death_signal: signal.Signals = signal.SIGTERM,
    ) -> processes.ChildProcess:
        """As `processes.spawn`."""
        if self._channel is not None and tuple(command[:2]) == (sys.executable, "-m") and user is None:
            order = {
                "module": command[2],
                "arguments": list(command[3:]),
                "env": dict(env),
                "log": str(log),
                "cwd": str(cwd),
                "death_signal": int(death_signal),
            }
            with contextlib.suppress(OSError, ValueError):
                self._channel.sendall(json.dumps(order).encode() + b"\n")
                if pid := json.loads(self._answers.readline()):
                    return processes.Adopted(pid)
            self.close()
        return processes.spawn(
            command, env=env, log=log, cwd=cwd, user=user, group=group, death_signal=death_signal
        )  # fmt: skip

    def close(self) -> None:
        """End the server; what it has started lives on."""
        if self._channel is not None:
            self._answers.close()
            self._channel.close()
            self._channel = None


def serve(channel: socket.socket) -> None:
    """Carry out the orders that come through `channel` until its other end is closed."""
    supervisor = os.getppid()
    sys.argv = ["airflow"]
    for module in _FIRST:
        importlib.import_module(module)
    for order in _orders(channel, iter(_WHILE_IDLE)):
        pid = _start(order, channel, supervisor) if _is_alone() else None
        channel.sendall(f"{json.dumps(pid)}\n".encode())


def _orders(channel: socket.socket, modules: Iterator[str]) -> Iterator[Any]:
    """Each order; while there is none, another module is imported."""
    with channel.makefile("r") as lines:
        while True:
            for module in modules:
                with contextlib.suppress(ImportError):
                    importlib.import_module(module)
                if select.select([channel], [], [], 0)[0]:
                    break
            line = lines.readline()
            if not line:
                return
            yield json.loads(line)


def _is_alone() -> bool:
    """Whether this thread is the only one: a fork would lose the others and keep their locks."""
    return len([*Path("/proc/self/task").iterdir()]) == 1


def _start(order: Mapping[str, Any], channel: socket.socket, supervisor: int) -> int:
    read, write = os.pipe()
    gc.freeze()  # a collection in a child would copy each page of what all share
    between = os.fork()
    if between == 0:
        child = os.fork()
        if child:
            os.write(write, str(child).encode())
            os._exit(0)
        os.close(read)
        os.close(write)
        channel.close()
        _become(order, supervisor)
    os.close(write)
    pid = int(os.read(read, 32))
    os.close(read)
    os.waitpid(between, 0)
    return pid


def _become(order: Mapping[str, Any], supervisor: int) -> None:
    """Run the module as `python -m` would, and end with it."""
    from setproctitle import setproctitle  # Airflow's

    os.setsid()
    while (parent := os.getppid()) != supervisor:
        if parent == 1:
            os._exit(1)
        time.sleep(0.001)
    processes.die_with_parent(supervisor, order["death_signal"])
    os.chdir(order["cwd"])
    # Only what differs: with an environment that is cleared, setproctitle no longer finds where the title is.
    for name in os.environ.keys() - order["env"].keys():
        del os.environ[name]
    os.environ.update({name: value for name, value in order["env"].items() if os.environ.get(name) != value})
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for number, file in ((0, os.open(os.devnull, os.O_RDONLY)), (1, log), (2, log)):
        os.dup2(file, number)
    sys.argv = [order["module"], *order["arguments"]]
    setproctitle(" ".join([sys.executable, "-m", *sys.argv]))
    # Airflow's local settings have been imported, with another command line.
    from sluicegate.discovery.preload import preload_tasks

    preload_tasks()
    runpy.run_module(order["module"], run_name="__main__", alter_sys=True)
    sys.exit()


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))

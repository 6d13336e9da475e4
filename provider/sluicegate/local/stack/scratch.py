"""A Postgres for a while, on a port of its own: for tests and benchmarks. Nothing in it is meant to last."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sluicegate.local.stack.errors import StackError
from sluicegate.local.stack.postgres import STOP_SIGNAL, Binaries, choose_run_as
from sluicegate.local.stack.processes import spawn
from sluicegate.local.stack.state import State

__all__ = ["scratch_postgres"]

_START_TIMEOUT = 20.0


@contextmanager
def scratch_postgres(folder: Path) -> Iterator[str]:
    """Its connection string without a database name; it ends with the block. `folder` is left to the caller.

    Any process that reaches 127.0.0.1 may use it. Not durable: `fsync` is off.

    Raises `StackError` if it does not start.
    """
    import psycopg

    state = State.at(folder)
    state.postgres.mkdir(parents=True)
    run_as = choose_run_as(state, Binaries.find())
    data = state.postgres / "data"
    subprocess.run(
        run_as.command("initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale", "C.UTF-8"),
        check=True, capture_output=True, user=run_as.user, group=run_as.group, cwd="/",
    )  # fmt: skip
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "fsync": "off"}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    conninfo = f"host=127.0.0.1 port={port} user=postgres"
    log = state.root / "log"
    process = spawn(
        run_as.command("postgres", "-D", str(data), *options),
        env=os.environ, log=log, cwd=Path("/"), user=run_as.user, group=run_as.group, death_signal=STOP_SIGNAL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + _START_TIMEOUT
        while True:
            try:
                psycopg.connect(f"{conninfo} dbname=postgres").close()
                break
            except psycopg.OperationalError as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise StackError(f"Postgres did not start: {error}", log.read_text()[-2000:]) from error
                time.sleep(0.05)
        yield conninfo
    finally:
        process.send_signal(STOP_SIGNAL)
        process.wait(20)

"""Free ports on 127.0.0.1: the wanted one, else the one of last time, else whatever the system gives."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterable

from sluicegate.local.stack.errors import StackError
from sluicegate.local.stack.state import Ports, State, read_json, write_json

LOOPBACK = "127.0.0.1"
AIRFLOW_DEFAULT = 8080
_claims: dict[int, socket.socket] = {}
"""What this process has claimed, until it ends."""


def claim(port: int) -> bool:
    """Keep other stacks that start at the same moment from a port that no server listens on yet (Linux).

    The claim is a name in the kernel, which drops it with this process. False when another process has it.
    """
    if sys.platform != "linux" or port in _claims:
        return True
    name = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        name.bind(f"\0sluicegate-port-{port}")
    except OSError:
        name.close()
        return False
    _claims[port] = name
    return True


def is_free(port: int) -> bool:
    """Whether a server could listen there now. A port in TIME_WAIT is free, one on 0.0.0.0 is not."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.5)
        if probe.connect_ex((LOOPBACK, port)) == 0:
            return False
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """The process that listens there, as far as this user may know: `node (pid 4711)`, or empty."""
    import psutil

    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except (psutil.Error, OSError):
        pass
    return ""


def require(port: int) -> int:
    """The port itself.

    Raises `StackError`, naming who has it, if it is taken.
    """
    if not is_free(port):
        by = holder(port)
        raise StackError(
            f"Port {port} on {LOOPBACK} is taken{f' by {by}' if by else ''}.",
            "Stop that process, give another --port, or leave --port out to have a free one found.",
        )
    if not claim(port):
        raise StackError(
            f"Port {port} on {LOOPBACK} is about to be used by another stack.",
            "Give another --port, or leave --port out to have a free one found.",
        )
    return port


def find(preferred: Iterable[int], avoid: Iterable[int] = ()) -> int:
    """The first preferred port that is free, else one from the system.

    Raises `StackError` if the system has none.
    """
    avoided = set(avoid)
    for port in preferred:
        if port not in avoided and is_free(port) and claim(port):
            return port
    try:
        while True:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.bind((LOOPBACK, 0))
                port = int(probe.getsockname()[1])
            if port not in avoided and claim(port):
                return port
    except OSError as error:
        raise StackError(
            f"There is no free port on {LOOPBACK}: {error}.", "Stop what holds them, then try again."
        ) from error


def choose(state: State, airflow: int | None = None) -> Ports:
    """Ports for one run, written down so that the next run gets the same ones while they are free."""
    try:
        last = {name: int(port) for name, port in read_json(state.ports).items()}
    except (StackError, TypeError, ValueError):
        last = {}
    remembered = {name: [last[name]] if name in last else [] for name in ("airflow", "postgres", "aws")}
    ui = require(airflow) if airflow else find([*remembered["airflow"], AIRFLOW_DEFAULT])
    postgres = find(remembered["postgres"], avoid=[ui])
    aws = find(remembered["aws"], avoid=[ui, postgres])
    chosen = Ports(airflow=ui, postgres=postgres, aws=aws)
    write_json(state.ports, {"airflow": ui, "postgres": postgres, "aws": aws})
    return chosen

"""Loads in processes that die at a named point: reads a case a line, forks a child for it, prints how it ended.

A case is JSON: `point` (None: it is not to die), `how` (`client` or `server`: the child itself, or the server process
of its transaction), and the words of the load.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import duckdb  # noqa: F401 - imported once, for all children
import pgpq  # noqa: F401
import psycopg
import pyarrow as pa  # noqa: F401

from sluicegate.graph.window import Window
from sluicegate.ledger.entries import Origin
from sluicegate.ledger.postgres.ledger import PostgresLedger
from sluicegate.load.load import Loader
from sluicegate.load.request import LoadRequest
from sluicegate.load.stage import Stage
from sluicegate.storage import Storage
from sluicegate.targets.postgres import copy, session
from sluicegate.targets.postgres.merger import Merger
from sluicegate.targets.postgres.session import PostgresSession
from sluicegate.targets.postgres.target import PostgresTarget

POINTS: dict[str, tuple[Any, str]] = {
    "listed": (Storage, "require_parts"),
    "read": (Stage, "fill"),
    "deduplicated": (Stage, "verdicts"),
    "locked": (PostgresSession, "__init__"),
    "table made": (PostgresSession, "prepare"),
    "window deleted": (PostgresSession, "remove"),
    "stage made": (session, "create_stage"),
    "half copied": (copy, "as_binary"),
    "copied": (PostgresSession, "_copy"),
    "merged": (Merger, "run"),
    "letters kept": (PostgresLedger, "set_aside"),
    "recorded": (PostgresLedger, "record"),
    "committed": (PostgresSession, "commit"),
}
"""Each is when what it names has been done; `half copied` when the first chunk was sent."""


def dying_at(point: str, how: str, conninfo: str) -> None:
    owner, name = POINTS[point]
    whole: Callable[..., Any] = getattr(owner, name)

    def die() -> None:
        if how == "client":
            os.kill(os.getpid(), signal.SIGKILL)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            mine = "datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            pids = connection.execute(f"SELECT pid FROM pg_stat_activity WHERE {mine}".encode()).fetchall()
            for (pid,) in pids:
                os.kill(pid, signal.SIGKILL)
            # Till the server has seen it and ends all sessions, a retry would still be let in, and end with them.
            with suppress(psycopg.OperationalError):
                while pids:
                    connection.execute("SELECT pg_sleep(0.01)")

    def dies(*words: Any, **more: Any) -> Any:
        done = whole(*words, **more)
        die()
        return done

    def dies_in_the_middle(*words: Any) -> Any:
        for number, chunk in enumerate(whole(*words)):
            yield chunk
            if number == 0:
                die()

    setattr(owner, name, dies_in_the_middle if point == "half copied" else dies)


def load(case: dict[str, Any]) -> dict[str, object]:
    if case["point"] is not None:
        dying_at(case["point"], case["how"], case["conninfo"])
    start, end = (datetime.fromisoformat(moment) for moment in case["window"])
    request = LoadRequest(
        sources=(case["source"],), table="t", origin=Origin("p", "s", "r", 1, Window(start, end)), **case["words"]
    )
    return Loader(request, Storage(), PostgresTarget(case["conninfo"], "t")).run().as_dict()


def say(facts: dict[str, Any]) -> None:
    """Print a line at once: `print` may write its end by itself, and children that run at once share the pipe."""
    os.write(1, f"{json.dumps(facts)}\n".encode())


def forked(case: dict[str, Any]) -> int:
    if child := os.fork():
        return child
    try:
        say(load(case))
    except BaseException as error:
        say({"error": repr(error)})
        os._exit(1)
    os._exit(0)


def main() -> None:
    """A line may be a list of cases too, which then run at once."""
    for line in sys.stdin:
        cases = json.loads(line)
        children = [forked(case) for case in (cases if isinstance(cases, list) else [cases])]
        killed = [os.WIFSIGNALED(os.waitpid(child, 0)[1]) for child in children]
        say({"killed": any(killed)})


if __name__ == "__main__":
    main()

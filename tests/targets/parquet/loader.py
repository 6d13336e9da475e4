"""Loads into folders of Parquet files, each in a process of its own, which kills itself at a named point.

Forked from one that has imported everything and started nothing: it reads a request a line, and answers with the signal
that ended the process, or 0.

A point is a function of the load and how often it was called: it dies before the call or, with `+`, after it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sluicegate.graph.window import Window
from sluicegate.ledger.entries import Origin
from sluicegate.ledger.postgres import PostgresLedger
from sluicegate.ledger.postgres.intents import PostgresIntents
from sluicegate.load.load import load
from sluicegate.load.request import LoadRequest
from sluicegate.storage import Storage
from sluicegate.targets.parquet import merger, session
from sluicegate.targets.parquet.lake import Lake
from sluicegate.targets.parquet.target import ParquetTarget

POINTS: dict[str, tuple[Any, str, int, bool]] = {
    "the lock is taken": (Lake, "sweep", 1, True),
    "the records are written": (merger, "write_records", 1, True),
    "the new files are written": (session.FileMerger, "run", 1, True),
    "dead letters are in the ledger": (PostgresLedger, "set_aside", 1, True),
    "the ledger's row is written": (PostgresLedger, "record", 1, True),
    "a file is staged": (Lake, "stage", 1, True),
    "the intent is noted": (PostgresIntents, "note", 1, True),
    "the ledger is committed": (session, "carry_out", 1, False),
    "the first file is placed": (Lake, "place", 1, True),
    "all files are placed": (Lake, "delete", 1, False),
    "what was replaced is deleted": (Lake, "delete", 1, True),
    "the intent is forgotten": (PostgresIntents, "done", 1, False),
    "all is done": (session, "carry_out", 1, True),
}
"""By its words: where it is, which call, and whether the process dies behind it."""


def die_at(where: Any, name: str, call: int, after: bool) -> None:
    whole: Callable[..., Any] = getattr(where, name)
    calls = 0

    def dying(*arguments: Any, **words: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = whole(*arguments, **words)
        if calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(where, name, dying)


def run(words: dict[str, Any]) -> None:
    if words.get("point"):
        die_at(*POINTS[words["point"]])
    start, end = map(datetime.fromisoformat, words["window"])
    request = LoadRequest(
        sources=(words["source"],), table="t", columns=words["columns"], dead_letters={"max": "100%"},
        origin=Origin("p", "s", words["run"], 1, Window(start, end)), **words["options"],
    )  # fmt: skip
    storage = Storage(client=client_of(words["endpoint_url"]) if words.get("endpoint_url") else None)
    load(request, storage, ParquetTarget(words["uri"], words["conninfo"], storage))


def client_of(endpoint_url: str) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3", endpoint_url=endpoint_url, region_name="us-east-1", aws_access_key_id="test",
        aws_secret_access_key="test", config=Config(s3={"addressing_style": "path"}),
    )  # fmt: skip


def main() -> None:
    import boto3  # noqa: F401
    import duckdb  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                run(json.loads(line))
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        _, status = os.waitpid(child, 0)
        print(status, flush=True)


if __name__ == "__main__":
    main()

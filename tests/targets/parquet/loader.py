"""Loads into folders of Parquet files, each in a process that kills itself at a named point."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sluicegate.graph.window import Window
from sluicegate.ledger.entries import Origin
from sluicegate.ledger.postgres.intents import PostgresIntents
from sluicegate.ledger.postgres.ledger import PostgresLedger
from sluicegate.load.load import load
from sluicegate.load.request import LoadRequest
from sluicegate.storage import Storage
from sluicegate.targets.parquet import merger, session
from sluicegate.targets.parquet.lake import Lake
from sluicegate.targets.parquet.target import ParquetTarget
from tests.targets.dying import Point, client_of, serve

POINTS: dict[str, Point] = {
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


def run(words: dict[str, Any]) -> None:
    start, end = map(datetime.fromisoformat, words["window"])
    request = LoadRequest(
        sources=(words["source"],), table="t", columns=words["columns"], dead_letters={"max": "100%"},
        origin=Origin("p", "s", words["run"], 1, Window(start, end)), **words["options"],
    )  # fmt: skip
    storage = Storage(client=client_of(words["endpoint_url"]) if words.get("endpoint_url") else None)
    load(request, storage, ParquetTarget(words["uri"], words["conninfo"], storage))


if __name__ == "__main__":
    serve(run, POINTS)

"""Loads into tables of Iceberg, each in a process that kills itself at a named point."""

from __future__ import annotations

import importlib
from datetime import datetime
from typing import Any

from pyiceberg.catalog.sql import SqlCatalog

from sluicegate.graph.window import Window
from sluicegate.ledger.entries import Origin
from sluicegate.ledger.postgres.intents import PostgresIntents
from sluicegate.load.load import load
from sluicegate.load.request import LoadRequest
from sluicegate.storage import Storage
from sluicegate.targets.iceberg.table import IcebergFiles
from sluicegate.targets.iceberg.target import IcebergTarget
from sluicegate.targets.parquet import session
from tests.targets.dying import Point, serve

POINTS: dict[str, Point] = {
    "a data file is in its place": (IcebergFiles, "_upload", 1, True),
    "the intent is noted": (PostgresIntents, "note", 1, True),
    "the ledger is committed": (session, "carry_out", 1, False),
    "the catalog has committed": (SqlCatalog, "commit_table", 1, True),
    "the intent is forgotten": (PostgresIntents, "done", 1, True),
}


def run(words: dict[str, Any]) -> None:
    start, end = map(datetime.fromisoformat, words["window"])
    request = LoadRequest(
        sources=(words["source"],), table="t", columns=words["columns"], dead_letters={"max": "100%"},
        origin=Origin("p", "s", "killed", 1, Window(start, end)), **words["options"],
    )  # fmt: skip
    catalog = SqlCatalog("ice", uri=words["catalog"], warehouse=words["files"])
    load(request, Storage(), IcebergTarget(words["uri"], catalog, words["conninfo"]))


if __name__ == "__main__":
    for name in ("pandas", "pyiceberg.io.pyarrow", "sqlalchemy.dialects.postgresql.psycopg"):
        importlib.import_module(name)  # what each load imports: once, for all children
    serve(run, POINTS)

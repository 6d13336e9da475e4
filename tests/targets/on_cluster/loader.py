"""Loads that a server copies from S3, each in a process that kills itself at a named point."""

from __future__ import annotations

from typing import Any

from sluicegate.ledger.entries import Origin
from sluicegate.ledger.postgres.ledger import PostgresLedger
from sluicegate.load.load import load
from sluicegate.load.request import LoadRequest
from sluicegate.storage import Storage
from sluicegate.targets.postgres import from_s3
from sluicegate.targets.postgres.session import PostgresSession
from sluicegate.targets.postgres.target import PostgresTarget
from tests.targets.dying import Point, client_of, serve

POINTS: dict[str, Point] = {
    "the server has copied": (from_s3, "_copy", 1, True),
    "all is brought in": (PostgresSession, "apply", 1, True),
    "the ledger's row is written": (PostgresLedger, "record", 1, True),
    "all is committed": (PostgresSession, "commit", 1, True),
}


def run(words: dict[str, Any]) -> None:
    request = LoadRequest(
        sources=(words["source"],), table="t", dead_letters={"max": "100%"}, format="parquet", check_on="cluster",
        copy_from="s3", origin=Origin("p", "load_orders", "run1", 1), **words["options"],
    )  # fmt: skip
    load(request, Storage(client=client_of(words["endpoint_url"])), PostgresTarget(words["conninfo"], "t"))


if __name__ == "__main__":
    serve(run, POINTS)

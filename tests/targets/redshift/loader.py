"""Loads into tables of the stand-in, each in a process that kills itself at a named point."""

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
from sluicegate.targets.redshift.connect import RedshiftConnection
from sluicegate.targets.redshift.place import RedshiftTable
from sluicegate.targets.redshift.session import RedshiftSession
from sluicegate.targets.redshift.staging import Staging
from sluicegate.targets.redshift.target import RedshiftTarget
from tests.targets.dying import Point, client_of, serve
from tests.targets.redshift import standin

POINTS: dict[str, Point] = {
    "the records are staged": (Staging, "stage", 1, True),
    "the records are copied": (RedshiftSession, "_stage", 1, True),
    "the records are merged": (RedshiftSession, "apply", 1, True),
    "the ledger's row is written": (PostgresLedger, "record", 1, True),
    "the intent is noted": (PostgresIntents, "note", 1, True),
    "the ledger is committed": (RedshiftConnection, "commit", 1, False),
    "Redshift is committed": (RedshiftConnection, "commit", 1, True),
    "the intent is forgotten": (PostgresIntents, "done", 1, True),
    "all is done": (RedshiftSession, "commit", 1, True),
}


def run(words: dict[str, Any]) -> None:
    client = client_of(words["endpoint_url"])
    standin.stand_in(client)
    start, end = map(datetime.fromisoformat, words["window"])
    request = LoadRequest(
        sources=(words["source"],), table="t", columns=words["columns"], dead_letters={"max": "100%"},
        origin=Origin("p", "s", words["run"], 1, Window(start, end)), **words["options"],
    )  # fmt: skip
    place, cluster = RedshiftTable.at(f"table://warehouse/{words['table']}"), standin.cluster_of(words["conninfo"])
    load(request, Storage(), RedshiftTarget(place, cluster, words["conninfo"], Storage(client=client)))


if __name__ == "__main__":
    import redshift_connector  # noqa: F401

    serve(run, POINTS)

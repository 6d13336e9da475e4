"""What a load does to its tables, so that it can be done again: its statements, and what they answered.

A load that is in the ledger and was not committed in Redshift is carried out by the next attempt from its journal. It
decides nothing anew: where a query has another answer by then, somebody else has changed the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sluicegate.targets.redshift.connect import RedshiftConnection

__all__ = ["Journal", "again"]


class Journal:
    """Runs on `connection`, and notes it."""

    def __init__(self, connection: RedshiftConnection) -> None:
        self._connection = connection
        self.entries: list[Mapping[str, Any]] = []

    def run(self, *statements: str) -> None:
        for statement in statements:
            self._connection.execute(statement)
            self.entries.append({"sql": statement})

    def ask(self, query: str) -> list[list[Any]]:
        rows = self._connection.execute(query)
        self.entries.append({"sql": query, "rows": rows})
        return rows

    def forget(self) -> None:
        self.entries = []


def again(connection: RedshiftConnection, entries: Sequence[Mapping[str, Any]]) -> bool:
    """Do all of it again; False as soon as an answer is another one."""
    return all(_agrees(connection.execute(entry["sql"]), entry.get("rows")) for entry in entries)


def _agrees(rows: list[list[Any]], noted: list[list[Any]] | None) -> bool:
    return noted is None or rows == noted

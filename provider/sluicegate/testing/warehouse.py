"""A database of a test's own, on a scratch Postgres that several tests share, and what a test asks of it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

__all__ = ["DeadLetter", "Warehouse"]


@dataclass(frozen=True)
class DeadLetter:
    """A record that a load has set aside. `line` is that of the file; `rules` are those that the record breaks."""

    table: str
    source: str
    line: int
    record: str
    rules: tuple[str, ...]
    failures: tuple[Mapping[str, Any], ...]
    key: Mapping[str, str] | None
    status: str


class Warehouse:
    """One database, by libpq's connection string."""

    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo

    @classmethod
    def create(cls, server: str, name: str = "") -> Warehouse:
        """A new, empty database.

        :param server: what `scratch_postgres` gave
        :param name: of the database; one that no other has unless given
        """
        database = name or f"w{uuid.uuid4().hex[:12]}"
        with psycopg.connect(server, dbname="postgres", autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(database)))
        return cls(make_conninfo(server, dbname=database))

    @property
    def connection(self) -> str:
        """The database as an Airflow connection, for an environment variable `AIRFLOW_CONN_…`."""
        words = conninfo_to_dict(self.conninfo)
        return json.dumps(
            {
                "conn_type": "postgres",
                "host": words["host"],
                "port": int(words["port"] or 5432),
                "login": words["user"],
                "schema": words["dbname"],
            }
        )

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """What any statement returns; `%s` stands for each of `values`."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            cursor = connection.execute(query.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def one(self, query: str, *values: object) -> Any:
        """The first column of the first row."""
        return self.rows(query, *values)[0][0]

    def dead_letters(self, table: str = "") -> list[DeadLetter]:
        """All of them, whatever became of them since, in the order of their files and lines.

        :param table: only those of this table, with its schema: `public.flights`
        """
        if self.one("SELECT to_regclass('sluicegate.dead_letters')") is None:
            return []
        found = self.rows(
            "SELECT target, source, line, record, failures, key, status FROM sluicegate.dead_letters"
            " WHERE %s IN ('', target) ORDER BY target, source, line",
            table,
        )
        return [
            DeadLetter(
                target, source, line, record, tuple(str(one["rule"]) for one in failures), tuple(failures), key, status
            )
            for target, source, line, record, failures, key, status in found
        ]

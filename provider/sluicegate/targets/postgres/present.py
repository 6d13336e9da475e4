"""Which keys a Postgres table has already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from sluicegate.targets.postgres.dialect import PostgresDialect
from sluicegate.targets.target import Table

__all__ = ["present"]

_DIALECT = PostgresDialect()
_ASK = sql.SQL(
    "SELECT EXISTS (SELECT FROM {table} AS t WHERE {same}) FROM unnest({texts}) WITH ORDINALITY AS k ({names}, n) "
    "ORDER BY n"
)


def present(
    connection: psycopg.Connection[tuple[Any, ...]], table: Table, key: Sequence[str], values: Sequence[Sequence[str]]
) -> list[bool]:
    """Whether `table` has a row with each of these keys, whose values are texts, by the order of `key`."""
    names = [sql.Identifier(f"k{number}") for number in range(len(key))]
    same = sql.SQL(" AND ").join(
        sql.SQL("t.{} = k.{}::{}").format(
            sql.Identifier(column), name, sql.SQL(_DIALECT.name(table.columns[column].type))
        )
        for column, name in zip(key, names, strict=True)
    )
    columns = [[row[number] for row in values] for number in range(len(key))]
    statement = _ASK.format(
        table=sql.Identifier(table.schema, table.table),
        same=same,
        # Not parameters: psycopg takes a `%` in a column's name for one.
        texts=sql.SQL(", ").join(sql.SQL("{}::text[]").format(sql.Literal(column)) for column in columns),
        names=sql.SQL(", ").join(names),
    )
    return [bool(found) for (found,) in connection.execute(statement)]

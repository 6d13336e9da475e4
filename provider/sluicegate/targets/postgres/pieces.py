"""A merge of many records by pieces: a piece's stage and what it meets in the table stay in the server's caches.

Records come in the order of their key, so that a piece meets a range of the table's keys: with the ends of that range
in the MERGE, the server reads it through the index once, and joins it by a small hash table. While it does, the client
writes the next piece. It means the same as one statement for all where nothing looks at what a statement changes as a
whole, and where two records of one key cannot be in two pieces, which is seen by the ranges.
"""

from __future__ import annotations

import logging
from typing import Any

import psycopg
from psycopg import sql

from sluicegate.pipeline.keys.model import Mode
from sluicegate.records.types import ColumnType
from sluicegate.targets.postgres.copy import opened
from sluicegate.targets.postgres.merge import STAGE
from sluicegate.targets.postgres.merger import Merger, keeps_records_away
from sluicegate.targets.postgres.stage import create_stage, stage_columns
from sluicegate.targets.target import Merge, Outcome, Table

__all__ = ["can_go_by_pieces", "merge_by_pieces"]

log = logging.getLogger("sluicegate.load")

_PIECE = 5_500_000
"""Bytes; a server keeps 8 MB of a temporary table in memory by default."""
_MANY = 100_000
"""Records from which on pieces are worth the question."""
_ORDERED = {"smallint", "integer", "bigint", "date", "timestamp", "timestamptz", "text", "varchar"}
"""Types of which every supported Postgres has a least and a greatest, and DuckDB the same; of texts by their bytes."""
# No trigger: one may see what a statement changes, and constraints that are checked at its end are triggers too.
_ASK = sql.SQL("""
SELECT true
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_collation l ON l.oid = a.attcollation,
    pg_database d
WHERE c.oid = {table}::regclass AND a.attname = {key} AND d.datname = current_database()
  AND c.relkind = 'r' AND NOT c.relhassubclass
  AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid)
  AND EXISTS (
    SELECT FROM pg_index i JOIN pg_opclass o ON o.oid = i.indclass[0]
    WHERE i.indrelid = c.oid AND i.indkey[0] = a.attnum AND i.indnkeyatts = 1 AND i.indisunique AND i.indisvalid
      AND i.indpred IS NULL AND o.opcdefault AND i.indcollation[0] = a.attcollation)
  AND (a.attcollation = 0 OR CASE
    WHEN l.collprovider = 'd' THEN d.datlocprovider = 'b' OR (d.datlocprovider = 'c' AND d.datcollate = ANY ({bytes}))
    ELSE l.collprovider = 'b' OR (l.collprovider = 'c' AND l.collcollate = ANY ({bytes})) END)
""")
_BY_BYTES = ["C", "POSIX", "C.UTF-8", "C.utf8"]
_RANGE = sql.SQL("SELECT min({key})::text, max({key})::text, min({key}) > {last} FROM {stage}")


def can_go_by_pieces(connection: psycopg.Connection[tuple[Any, ...]], table: Table, merge: Merge) -> bool:
    """Whether the records may be merged by pieces, and are worth it."""
    if merge.rows < _MANY or merge.batch_rows is not None or merge.records.stored is not None:
        return False
    if not merge.records.is_ordered:
        return False
    if merge.mode not in {Mode.MERGE, Mode.INSERT_ONLY} or len(merge.key) != 1:
        return False
    if not _is_ordered(merge.columns[merge.key[0]]):
        return False
    name = sql.Identifier(table.schema, table.table).as_string(connection)
    words = {"table": sql.Literal(name), "key": sql.Literal(merge.key[0]), "bytes": sql.Literal(_BY_BYTES)}
    return connection.execute(_ASK.format(**words)).fetchone() is not None


def merge_by_pieces(
    connection: psycopg.Connection[tuple[Any, ...]], table: Table, merge: Merge, *, has_tombstones: bool
) -> Outcome | None:
    """Bring the records in; None, and nothing was done, where one statement for all has to.

    :param has_tombstones: whether anything of the table was deleted at a version.
    """
    try:
        with connection.transaction():
            return _merge(connection, table, merge, has_tombstones)
    except _OutOfOrderError:
        log.info("%s has its keys in another order than DuckDB: all records by one statement", table.name)
        return None


def _merge(
    connection: psycopg.Connection[tuple[Any, ...]], table: Table, merge: Merge, has_tombstones: bool
) -> Outcome:
    create_stage(connection, table, merge, is_kept=False)
    merger = Merger(connection, table, merge, has_tombstones=has_tombstones, by_pieces=True)
    ranges, outcome = _Ranges(connection, merge), Outcome()
    with opened(merge, stage_columns(merge)) as records:
        while not records.is_done:
            if records.rows:
                connection.execute(sql.SQL("TRUNCATE {}").format(STAGE))
            rows = records.copy(connection, STAGE, _PIECE)
            buried = merger.leave_out_buried()
            within = None if rows == buried else ranges.next()
            outcome += merger.run(rows - buried, within=within) + Outcome(stale=buried)
            merger.bury()
    if records.rows != merge.rows:
        raise keeps_records_away(table, records.rows, merge.rows)
    return outcome


class _OutOfOrderError(Exception):
    """The server has the keys in another order than the records come in, or takes two of them for the same."""


class _Ranges:
    """The ranges of the keys that are in the stage, one after the other."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]], merge: Merge) -> None:
        self._connection = connection
        self._key = sql.Identifier(merge.key[0])
        self._last: sql.Composable = sql.NULL

    def next(self) -> sql.Composable:
        """The condition that a row of the table, `t`, may have the key of a record of the stage.

        :raises _OutOfOrderError: when a record of a piece before may have one of these keys.
        """
        row = self._connection.execute(_RANGE.format(key=self._key, stage=STAGE, last=self._last)).fetchone()
        assert row is not None
        first, last, is_behind = row
        if is_behind is False:
            raise _OutOfOrderError
        self._last = sql.Literal(last)
        return sql.SQL("t.{0} >= {1} AND t.{0} <= {2}").format(self._key, sql.Literal(first), self._last)


def _is_ordered(type_: ColumnType) -> bool:
    return type_.native is None and (type_.name in _ORDERED or (type_.name == "numeric" and not type_.is_text))

"""What was deleted from a table of files, by key and version: kept beside the ledger, so that older records stay away.

Only with a version: without one, the record that comes last is right.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psycopg

from sluicegate.ledger.postgres.storable import storable
from sluicegate.targets.parquet.statements import GONE, Layout

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["bury", "fetch_buried"]

Connection = psycopg.Connection[tuple[Any, ...]]

_PAGE = 10_000
_ALL = """
SELECT ARRAY(SELECT jsonb_array_elements_text(key)), version FROM sluicegate.tombstones WHERE target = %s
"""
_STAGE = "CREATE TEMP TABLE sluicegate_buried (key jsonb, version text, gone boolean)"
_RAISE = """
DELETE FROM sluicegate.tombstones AS d USING sluicegate_buried AS s
WHERE d.target = %s AND d.key = s.key AND NOT s.gone
"""
_BURY = """
INSERT INTO sluicegate.tombstones AS d (target, key, version)
SELECT %s, key, version FROM sluicegate_buried WHERE gone ORDER BY 2
ON CONFLICT (target, key) DO UPDATE SET version = excluded.version, deleted_at = excluded.deleted_at
"""


def fetch_buried(connection: Connection, duck: DuckDBPyConnection, target: str, layout: Layout) -> int:
    """Make the table `buried` of DuckDB: keys as texts, and versions. Returns how many."""
    if layout.newest_by is None:
        return 0
    names = [*(f"k{number}" for number in range(len(layout.key))), "version"]
    duck.execute(f"CREATE TABLE buried ({', '.join(f'{name} VARCHAR' for name in names)})")
    count = 0
    with connection.cursor("sluicegate_buried") as cursor:
        cursor.execute(_ALL, [target])
        while rows := cursor.fetchmany(_PAGE):
            known = [(*key, version) for key, version in rows if len(key) == len(layout.key)]
            columns = [list(column) for column in zip(*known, strict=True)]
            if columns:
                unnested = ", ".join(f"unnest(${number + 1}::VARCHAR[])" for number in range(len(columns)))
                duck.execute(f"INSERT INTO buried SELECT {unnested}", columns)
            count += len(known)
    return count


def bury(
    connection: Connection, duck: DuckDBPyConnection, target: str, layout: Layout, *, buried: int, with_gone: bool
) -> None:
    """Keep the versions of what `incoming` deletes, and forget them of what it brings back."""
    if layout.newest_by is None or not (buried or with_gone):
        return
    keys = ", ".join(f"CAST({layout.identity('s', name)} AS VARCHAR)" for name in layout.key)
    gone = f"s.{GONE}" if with_gone else "false"
    found = (
        f"SELECT {gone}, CAST({layout.version('s')} AS VARCHAR), {keys} FROM incoming s "
        "ANTI JOIN (SELECT s_row FROM fates WHERE fate = 'buried') f ON f.s_row = s.row"
        f"{'' if buried else f' WHERE {gone}'}"
    )
    connection.execute(_STAGE)
    with duck.cursor() as asked, connection.cursor() as cursor:
        asked.execute(found)
        with cursor.copy("COPY sluicegate_buried FROM STDIN") as sink:
            while rows := asked.fetchmany(_PAGE):
                for is_gone, version, *key in rows:
                    sink.write_row((json.dumps(storable(key), ensure_ascii=False), storable(version), is_gone))
    connection.execute(_RAISE, [target])
    connection.execute(_BURY, [target])
    connection.execute("DROP TABLE sluicegate_buried")

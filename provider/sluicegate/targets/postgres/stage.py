"""The temporary table from which records are merged.

It is kept from one load of a connection to the next: making and dropping it takes longer than the merge of a few
hundred records, and leaves dead rows in the catalogues of the database.
"""

from __future__ import annotations

from psycopg import sql

from sluicegate.targets.postgres.connect import Connection, has_own_server
from sluicegate.targets.postgres.merge import GONE, STAGE, identifiers
from sluicegate.targets.target import Merge, Table

__all__ = ["create_stage", "stage_columns"]

# A type of a user's own could not be dropped as long as a table has a column of it. What a load has left that was
# rolled back is not seen, and takes room all the same.
_KEPT = """
WITH kept AS (SELECT * FROM pg_attribute WHERE attrelid = to_regclass('pg_temp.sluicegate_stage') AND attnum > 0),
wanted AS (SELECT * FROM pg_attribute WHERE attname = ANY(%(names)s)
           AND attrelid = to_regclass(format('%%I.%%I', %(schema)s::text, %(table)s::text)))
SELECT EXISTS (SELECT FROM kept),
       (SELECT count(*) FROM kept) = %(columns)s
       AND (SELECT count(*) FROM kept JOIN wanted USING (attname, atttypid, atttypmod, attcollation)) = %(taken)s
       AND (NOT %(gone)s OR EXISTS (SELECT FROM kept WHERE attname = %(gone_name)s))
       AND pg_relation_size(to_regclass('pg_temp.sluicegate_stage')) = 0,
       NOT EXISTS (SELECT FROM wanted WHERE atttypid >= 16384)
"""


def stage_columns(merge: Merge, position: str | None = None) -> list[str]:
    """The columns in which the stage takes records."""
    front = [] if position is None else [position]
    return [*front, *merge.columns, *([GONE] if merge.has_tombstones else [])]


def create_stage(
    connection: Connection, table: Table, merge: Merge, position: str | None = None, *, is_kept: bool = True
) -> None:
    """Have an empty stage that has the columns of `merge` as the target has them.

    :param is_kept: whether it may be there already, and stay; never one with positions. To empty one again and again
        costs little only where the same transaction has made it.
    """
    keeps = False
    if has_own_server(connection):
        is_there, is_alike, may_stay = _kept(connection, table, merge)
        keeps = may_stay and position is None and is_kept
        if is_there and is_alike and keeps:
            return
        if is_there:
            connection.execute(sql.SQL("DROP TABLE {}").format(STAGE))
    front = sql.SQL("") if position is None else sql.SQL("0::bigint AS {}, ").format(sql.Identifier(position))
    behind = sql.SQL(", false AS {}").format(sql.Identifier(GONE)) if merge.has_tombstones else sql.SQL("")
    connection.execute(
        sql.SQL("CREATE TEMP TABLE sluicegate_stage ON COMMIT {} AS SELECT {}{}{} FROM {} WITH NO DATA").format(
            sql.SQL("DELETE ROWS" if keeps else "DROP"), front, identifiers(merge.columns), behind,
            sql.Identifier(table.schema, table.table),
        )
    )  # fmt: skip


def _kept(connection: Connection, table: Table, merge: Merge) -> tuple[bool, bool, bool]:
    """Whether there is a stage already, whether it is as that of `merge` is to be, and whether that one may be kept."""
    facts = {
        "schema": table.schema, "table": table.table, "names": list(merge.columns), "taken": len(merge.columns),
        "columns": len(stage_columns(merge)), "gone": merge.has_tombstones, "gone_name": GONE,
    }  # fmt: skip
    row = connection.execute(_KEPT, facts, prepare=True).fetchone()
    assert row is not None
    return row[0], row[1], row[2]

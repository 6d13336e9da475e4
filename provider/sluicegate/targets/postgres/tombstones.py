"""What was deleted, by key and version, so that an older record of it stays away when it comes later.

Only with a version: without one, the record that comes last is right.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from sluicegate.targets.postgres.merge import GONE, STAGE, is_newer, version_of
from sluicegate.targets.target import Merge, Table

__all__ = ["bury", "leave_out_buried", "was_anything_buried"]

Connection = psycopg.Connection[tuple[Any, ...]]

_ANY = "SELECT 1 FROM sluicegate.tombstones WHERE target = %s LIMIT 1"
_LEAVE_OUT = sql.SQL("""
DELETE FROM {stage} AS s USING sluicegate.tombstones AS d
WHERE d.target = {target} AND d.key = {key} AND {is_newer}
""")
_RAISE = sql.SQL("""
DELETE FROM sluicegate.tombstones AS d USING {stage} AS s
WHERE d.target = {target} AND d.key = {key} AND NOT s.{gone}
""")
_BURY = sql.SQL("""
INSERT INTO sluicegate.tombstones AS d (target, key, version)
SELECT {target}, {key}, {version}::text FROM {stage} AS s WHERE s.{gone} ORDER BY 2
ON CONFLICT (target, key) DO UPDATE SET version = excluded.version, deleted_at = excluded.deleted_at
""")


def was_anything_buried(connection: Connection, table: Table, merge: Merge) -> bool:
    """Whether anything of the table was deleted at a version."""
    return merge.newest_by is not None and connection.execute(_ANY, [table.name]).fetchone() is not None


def leave_out_buried(connection: Connection, table: Table, merge: Merge) -> int:
    """Take records out of the stage that are older than the deletion of their key; returns how many."""
    assert merge.newest_by is not None
    kept = sql.SQL("d.version::{}").format(_type_of_version(merge))
    kept = sql.SQL('{} COLLATE "C"').format(kept) if _is_text(merge) else kept
    statement = _LEAVE_OUT.format(
        stage=STAGE, target=sql.Literal(table.name), key=_key(merge),
        is_newer=is_newer(kept, version_of("s", merge, merge.newest_by)),
    )  # fmt: skip
    return connection.execute(statement).rowcount


def bury(connection: Connection, table: Table, merge: Merge) -> None:
    """Keep the versions of what the stage deletes, and forget them of what it brings back."""
    if merge.newest_by is None:
        return
    words = {
        "stage": STAGE, "target": sql.Literal(table.name), "key": _key(merge), "gone": sql.Identifier(GONE),
        "version": sql.Identifier("s", merge.newest_by),
    }  # fmt: skip
    connection.execute(_RAISE.format(**words))
    connection.execute(_BURY.format(**words))


def _key(merge: Merge) -> sql.Composable:
    """The key as JSON, the same whatever the session's time zone is."""
    parts = []
    for name in merge.key:
        value: sql.Composable = sql.Identifier("s", name)
        if merge.columns[name].name == "timestamptz":
            value = sql.SQL("({} AT TIME ZONE 'UTC')").format(value)
        parts.append(value)
    return sql.SQL("jsonb_build_array({})").format(sql.SQL(", ").join(parts))


def _type_of_version(merge: Merge) -> sql.Composable:
    from sluicegate.targets.postgres.dialect import PostgresDialect

    assert merge.newest_by is not None
    return sql.SQL(PostgresDialect().name(merge.columns[merge.newest_by]))


def _is_text(merge: Merge) -> bool:
    assert merge.newest_by is not None
    return merge.columns[merge.newest_by].name in {"text", "varchar", "char"}

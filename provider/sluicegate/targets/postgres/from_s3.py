"""COPY by the server itself, out of S3: RDS and Aurora have the extension `aws_s3` for that.

Never run against either: tests have a stand-in with the signature that AWS documents.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql

from sluicegate.faults import FaultError, fault
from sluicegate.storage.uri import parse_uri
from sluicegate.targets.postgres.merge import STAGE, identifiers
from sluicegate.targets.postgres.refusal import puts_down_to_records
from sluicegate.targets.target import Merge, Stored, Table

__all__ = ["import_stored"]

log = logging.getLogger("sluicegate.load")

Connection = psycopg.Connection[tuple[Any, ...]]

_IMPORT = "aws_s3.table_import_from_s3"
_NEEDED = (_IMPORT, "aws_commons.create_s3_uri")
_FOUND = """
SELECT n.nspname || '.' || p.proname,
       has_schema_privilege(n.oid, 'USAGE') AND has_function_privilege(p.oid, 'EXECUTE')
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname || '.' || p.proname = ANY (%s)
"""
_COPY = """
SELECT aws_s3.table_import_from_s3(%s::text, %s::text, %s::text,
                                   aws_commons.create_s3_uri(%s::text, %s::text, %s::text))
"""
_OPTIONS = "(FORMAT text, ENCODING 'UTF8')"
_SERVERS_OWN = ("08", "25", "40", "53", "55", "57")
"""Classes of SQLSTATEs that say something of the server or the session, and nothing of S3."""
_COUNT = re.compile(r"\s*(\d+)\b")
_QUERY = re.compile(r"\?\S+")
"""The part of a URL that may be a signature."""
_GONE = re.compile(r"\b404\b|nosuchkey|not found", re.IGNORECASE)
_BUSY = re.compile(r"\b5\d\d\b|slow ?down|timed? ?out|could(n't| not) connect|connection reset", re.IGNORECASE)


def import_stored(
    connection: Connection, table: Table, into: sql.Identifier, merge: Merge, report: Callable[[str], None]
) -> int | None:
    """Let the server copy the records of `merge` into `into` from where they are stored; returns how many it took, None
    when it cannot, and a worker has to.

    :param report: is called with what is being done
    :raises FaultError: IMPORT_REFUSED when the server cannot read them, CHECKS_OUTDATED when they are gone,
        CONSTRAINT_VIOLATED when not all of them went in.
    """
    if (stored := merge.records.stored) is None:
        return None
    if (why := _why_not(connection, merge, stored)) is not None:
        log.warning("%s is not copied by the server of %s, but through this worker: %s", stored.uri, table.name, why)
        return None
    place = _named(connection, into)
    columns = identifiers(stored.columns).as_string(connection)
    count = 0
    with connection.transaction():
        for number, uri in enumerate(stored.files, 1):
            report(f"copying {uri} into {table.name} ({number:,} of {len(stored.files):,} files)")
            count += _copy(connection, table, place, columns, uri, stored.region)
    if count != merge.rows:
        raise fault(
            "CONSTRAINT_VIOLATED",
            f"{table.name} took {count:,} of {merge.rows:,} records of {stored.uri}, says its server: a trigger of the "
            "table keeps records away, or a file was changed while it was read",
        )
    log.info("%s records were copied by the server of %s from %s", f"{count:,}", table.name, stored.uri)
    return count


def _why_not(connection: Connection, merge: Merge, stored: Stored) -> str | None:
    if list(stored.columns) != list(merge.columns):
        return "the files have columns that the table is not given"
    usable: dict[str, bool] = {}
    for name, may_be_used in connection.execute(_FOUND, [list(_NEEDED)]).fetchall():
        usable[name] = usable.get(name, False) or bool(may_be_used)
    if usable.keys() < set(_NEEDED):
        return "it has no extension aws_s3 (RDS and Aurora have: `CREATE EXTENSION aws_s3 CASCADE`)"
    if not all(usable.values()):
        [(user,)] = connection.execute("SELECT quote_ident(current_user)").fetchall()
        return (
            f"{user} has no grant for the extension aws_s3: `GRANT USAGE ON SCHEMA aws_s3, aws_commons TO {user}` and "
            f"`GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA aws_s3, aws_commons TO {user}`"
        )
    return None


def _named(connection: Connection, into: sql.Identifier) -> str:
    """The table as a text: the function takes one, and might not know that `pg_temp` stands for a schema."""
    if into != STAGE:
        return into.as_string(connection)
    row = connection.execute("SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()").fetchone()
    assert row is not None
    return sql.Identifier(row[0], "sluicegate_stage").as_string(connection)


def _copy(connection: Connection, table: Table, place: str, columns: str, uri: str, region: str) -> int:
    at = parse_uri(uri)
    try:
        row = connection.execute(_COPY, [place, columns, _OPTIONS, at.bucket, at.key, region]).fetchone()
    except psycopg.Error as error:
        state = error.sqlstate or ""
        if puts_down_to_records(error) or state.startswith(_SERVERS_OWN) or state == "42501" or not state:
            raise
        raise _refused(table, uri, region, error) from None
    assert row is not None
    found = _COUNT.match(str(row[0]))
    if found is None:
        raise fault("WAREHOUSE_ERROR", f"{_IMPORT} has answered {str(row[0])[:80]!r}, and not how many records it took")
    return int(found[1])


def _refused(table: Table, uri: str, region: str, error: psycopg.Error) -> FaultError:
    said = _QUERY.sub("?...", error.diag.message_primary or type(error).__name__)
    if _GONE.search(said):
        return fault("CHECKS_OUTDATED", f"what the cluster has checked is gone: {uri} ({said})")
    if _BUSY.search(said):
        return fault("NETWORK", f"the server of {table.name} could not read {uri}: {said}")
    return fault("IMPORT_REFUSED", f"the server of {table.name} could not read {uri} in {region}: {said}")
